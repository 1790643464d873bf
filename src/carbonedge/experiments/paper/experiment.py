"""The paper's experiment from the models to what they came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from carbonedge.carbon.footprint import together
from carbonedge.cluster import Cluster, Node
from carbonedge.experiments.front import compare_with_front
from carbonedge.experiments.machine import machine_text
from carbonedge.experiments.paper.calibration import (
    as_measured,
    means,
    time_whole,
    timed,
)
from carbonedge.experiments.paper.deployed import check_fits, open_whole
from carbonedge.experiments.paper.load import answer_loaded
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.experiments.paper.plans import Tried, targets, try_plan
from carbonedge.experiments.paper.published import REFERENCE_MS
from carbonedge.experiments.paper.result import ModelResult, PaperResult
from carbonedge.experiments.paper.routing import (
    MONOLITHIC,
    answer_photos,
    back_to_back_us,
    routings,
    summed_up,
)
from carbonedge.experiments.paper.splitting import measure_splitting, with_stage_ms
from carbonedge.experiments.paper_cluster import paper_cluster
from carbonedge.experiments.sweep import Sweep, sweep_carbon
from carbonedge.planning import OperatorCosts, operator_costs
from carbonedge.planning.session import quiet_options
from carbonedge.runtime.local_cluster.context import LocalCluster
from carbonedge.runtime.ray.connection import import_ray
from carbonedge.scheduling import MODES, Task, schedule

__all__ = ["FULL", "QUICK", "Extent", "run_paper"]

PASSES = 3
"""Of all photos on each node, before a scheduler is told what it takes there."""
SWEEP_STEPS = 101
ASKED = 201
"""Latencies along the front that a plan is asked for, of which few are run."""
REFERENCE = "node-high"
"""The node by whose time the paper's host is compared with this machine."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is run.

    Parameters
    ----------
    photos
        Of each row.
    repeats
        Of all of them.
    targets
        Latencies along the front that plans are made for.
    """

    photos: int
    repeats: int
    targets: int


FULL = Extent(photos=50, repeats=3, targets=9)
QUICK = Extent(photos=10, repeats=3, targets=5)


def run_paper(
    models: Sequence[PaperModel],
    photos: Photos,
    extent: Extent,
    *,
    advance: Callable[[str], None] = lambda _: None,
) -> PaperResult:
    """Run the experiment on the paper's nodes, under their limits where the system lets us.

    Parameters
    ----------
    models
        From `read_models`.
    photos
        From `read_photos`.
    extent
        `FULL` or `QUICK`, or your own.
    advance
        Told what comes next.

    Raises
    ------
    CarbonEdgeError
        If Ray is not installed or does not start.
    ModelError
        If ONNX Runtime cannot run a model, or it does not fit whole on each node.
    """
    import_ray()  # said before minutes go by
    nodes = paper_cluster().nodes
    for model in models:
        check_fits(model, nodes)
    # Before there is a Ray, whose processes would disturb it.
    costs = []
    for model in models:
        advance(f"{model.label}: operators")
        costs.append(_operators(model, nodes, photos))
    with LocalCluster(paper_cluster()) as local:
        advance(f"{models[0].label}: the speed of this machine")
        scale = _scale(models[0], costs[0], photos, local)
        done = tuple(
            _run_model(
                model,
                its,
                photos,
                extent,
                local,
                scale=scale,
                # Unthrottled, every node's load is the machine's.
                loaded=local.throttled and model is models[0],
                advance=advance,
            )
            for model, its in zip(models, costs, strict=True)
        )
    first_ms = {name: plan.latency_ms * scale for name, plan in done[0].whole.items()}
    return PaperResult(
        models=done,
        machine=machine_text(),
        throttled=local.throttled,
        why=local.why,
        photos=photos.source,
        requests=len(photos.tensors),
        repeats=extent.repeats,
        scale=scale,
        nodes=tuple(nodes),
        scheduling_us=_scheduling_us(models[0], timed(nodes, first_ms)),
        sweeps={"reference": _sweep(nodes, REFERENCE_MS), "measured": _sweep(nodes, first_ms)},
    )


def _operators(model: PaperModel, nodes: Sequence[Node], photos: Photos) -> OperatorCosts:
    feed = {model.input: photos.tensors[0]}
    return operator_costs(model.graph, nodes, feed=feed, sess_options=quiet_options(1))


def _scale(model: PaperModel, costs: OperatorCosts, photos: Photos, local: LocalCluster) -> float:
    """How many times longer the paper's host takes than this machine."""
    with open_whole(
        model, local.cluster, costs=costs, photos=photos, address=local.address
    ) as whole:
        whole_ms = means([time_whole(model, whole, photos) for _ in range(PASSES)])
    return REFERENCE_MS[REFERENCE] / whole_ms[REFERENCE]


def _run_model(
    model: PaperModel,
    costs: OperatorCosts,
    photos: Photos,
    extent: Extent,
    local: LocalCluster,
    *,
    scale: float,
    loaded: bool,
    advance: Callable[[str], None],
) -> ModelResult:
    up, nodes, address = local.cluster, local.cluster.nodes, local.address
    advance(f"{model.label}: whole on each node")
    with open_whole(model, up, costs=costs, photos=photos, address=address) as whole:
        whole_ms = [time_whole(model, whole, photos) for _ in range(PASSES)]
        ways = routings(means(whole_ms)[MONOLITHIC])
        answered = []
        for number in range(extent.repeats):
            advance(f"{model.label}: routed, repeat {number + 1} of {extent.repeats}")
            known = timed(nodes, means(whole_ms))
            answered.append(answer_photos(model, ways, known, whole, photos, scale=scale))
            whole_ms.append(time_whole(model, whole, photos))
        means_ms = means(whole_ms)
        counted = together(session.footprint for session in whole.values())
        advance(f"{model.label}: what splitting takes")
        splitting = measure_splitting(
            model, up, costs=costs, whole=whole, photos=photos, address=address
        )
        cluster = Cluster(nodes, splitting.links)
        costs = with_stage_ms(costs, nodes, splitting.stage_ms)
        fitted = as_measured(costs, nodes, means_ms)
        found = compare_with_front(model.graph, cluster, costs=fitted)
        wanted = targets(model, cluster, fitted, found.plans, extent.targets)
        asked = targets(model, cluster, fitted, found.plans, ASKED)
        tried: dict[str, Tried] = {}
        for target in wanted:
            if target.plan.identity not in tried:
                advance(f"{model.label}: a plan for {target.slo_ms:.1f} ms")
                tried[target.plan.identity] = try_plan(
                    model,
                    cluster,
                    target,
                    up=up,
                    costs=costs,
                    whole=whole,
                    photos=photos,
                    repeats=extent.repeats,
                    address=address,
                )
        under_load = None
        if loaded:
            advance(f"{model.label}: node-high busy with other work")
            under_load = answer_loaded(
                model,
                nodes,
                whole,
                photos,
                repeats=extent.repeats,
                scale=scale,
                environment=local.environment,
            )
    return ModelResult(
        label=model.label,
        summary=model.graph.summary(),
        whole={one.name: one.plan for one in found.baselines if one.whole and one.plan},
        strategies=tuple(one for one in found.baselines if not one.whole),
        routed=tuple(
            summed_up(way, nodes, repeats)
            for way, repeats in zip(ways, zip(*answered, strict=True), strict=True)
        ),
        front=found.plans,
        targets=tuple(wanted),
        asked=ASKED,
        most_excess=max(target.excess for target in asked),
        tried=tuple(tried.values()),
        links=splitting.links,
        stage_ms=splitting.stage_ms,
        own_speed=_own_speed(model, timed(nodes, means_ms)),
        loaded=under_load,
        method=counted.method,
        time_source=counted.time_source,
        energy_source=counted.energy_source,
    )


def _own_speed(model: PaperModel, nodes: Sequence[Node]) -> dict[str, str]:
    task = Task(memory_mb=model.graph.memory_mb)
    return {mode: schedule(task, nodes, mode=mode, scoring="paper").node for mode in MODES}


def _scheduling_us(model: PaperModel, nodes: Sequence[Node]) -> float:
    task = Task(memory_mb=model.graph.memory_mb, slo_ms=max(node.avg_time_ms for node in nodes))
    ways = routings(monolithic_ms=1.0)
    return max(back_to_back_us(way, nodes, task) for way in ways if way.scoring is not None)


def _sweep(nodes: Sequence[Node], times_ms: Mapping[str, float]) -> Sweep:
    """By the weights of mode performance: with these the paper's nodes change where it says."""
    return sweep_carbon(
        timed(nodes, times_ms), Task(), base=MODES["performance"], steps=SWEEP_STEPS
    )
