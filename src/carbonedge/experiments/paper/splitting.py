"""What a split takes besides its share of the whole model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from carbonedge.carbon.footprint import together
from carbonedge.cluster import Cluster, Link, Node
from carbonedge.experiments.paper.calibration import (
    as_measured,
    mean_of,
    means,
    predicted,
    time_one,
)
from carbonedge.experiments.paper.deployed import open_plan, warm_up
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.planning import OperatorCosts
from carbonedge.planning.formulation import formulate
from carbonedge.runtime import InferenceSession
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = ["Splitting", "as_slow", "measure_splitting", "with_stage_ms"]


@dataclass(frozen=True, slots=True)
class Splitting:
    """What it takes.

    Parameters
    ----------
    links
        The cluster's, with what a hop through Ray takes here on top of their own.
    stage_ms
        Of a core, for each stage more: a process that takes turns with others finds its caches cold.
    """

    links: tuple[Link, ...]
    stage_ms: float


def measure_splitting(
    model: PaperModel,
    cluster: Cluster,
    *,
    costs: OperatorCosts,
    whole: Mapping[str, InferenceSession],
    photos: Photos,
    address: str,
) -> Splitting:
    """Run two plans of two stages, one with little and one with much to send, each photo in turn
    with the whole model on every node.
    """
    formulation = formulate(model.graph, cluster, costs)
    ends = (0, len(cluster.nodes) - 1)
    link = cluster.link(*(cluster.nodes[place].name for place in ends))
    assert link is not None, "the paper's nodes are linked"
    inner = range(1, len(formulation.cuts) - 1)
    if not inner:
        return Splitting(cluster.links, 0.0)
    ways: list[tuple[float, float]] = []
    more_ms: list[float] = []
    for pick in (min, max):
        cut = pick(inner, key=lambda number: formulation.cuts[number].mb)
        found = formulation.problem.evaluate((cut,), ends)
        plan = formulation.plan(found, objective="latency", strategy="given")
        whole_ms, answered = [], []
        with open_plan(model, cluster, plan, costs=costs, photos=photos, address=address) as one:
            warm_up(model, one, photos)
            for photo in photos.tensors:
                whole_ms.append(time_one(model, whole, photo))
                answered.append(one.run_with_footprint(None, {model.input: photo})[1])
        total = together(answered)
        ways.append((plan.transfers[0].mb, total.transfers.time_ms / total.inferences))
        fitted = as_measured(costs, cluster.nodes, means(whole_ms))
        took_ms = {name: share.time_ms / total.inferences for name, share in total.by_node.items()}
        more_ms.append(
            sum(
                (took_ms[stage.node] - stage.time_ms) * _share(cluster.nodes, stage.node)
                for stage in predicted(model, cluster, plan, fitted).stages
            )
        )
    return Splitting(as_slow(cluster.links, link, *ways), max(0.0, mean_of(more_ms)))


def with_stage_ms(costs: OperatorCosts, nodes: Sequence[Node], stage_ms: float) -> OperatorCosts:
    """Costs of which each stage takes so much of a core more; see `as_measured` for what the whole
    model then takes.
    """
    shares = np.array([_share(nodes, node.name) for node in nodes])
    return dataclasses.replace(costs, overhead_ms=costs.overhead_ms + stage_ms / shares)


def _share(nodes: Sequence[Node], name: str) -> float:
    """Of a core, that one thread gets on a node."""
    return next(min(1.0, node.cpu_cores) for node in nodes if node.name == name)


def as_slow(
    links: Sequence[Link], link: Link, few: tuple[float, float], much: tuple[float, float]
) -> tuple[Link, ...]:
    """Links with what one of them took more than its own figures say, by two sizes in MB and the
    ms that they took; no link gets faster.
    """
    (few_mb, few_ms), (much_mb, much_ms) = few, much
    own_ms = ms_per_mb = MEGABITS_PER_MB / link.bandwidth_mbps * MS_PER_S
    if much_mb > few_mb:
        ms_per_mb = max(own_ms, (much_ms - few_ms) / (much_mb - few_mb))
    latency_ms = max(link.latency_ms, few_ms - few_mb * ms_per_mb)
    return tuple(
        dataclasses.replace(
            one,
            latency_ms=one.latency_ms + latency_ms - link.latency_ms,
            bandwidth_mbps=1
            / (1 / one.bandwidth_mbps + (ms_per_mb - own_ms) / (MEGABITS_PER_MB * MS_PER_S)),
        )
        for one in links
    )
