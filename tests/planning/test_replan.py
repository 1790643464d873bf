from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import models
import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import (
    Cluster,
    ClusterError,
    InfeasibleError,
    Link,
    ModelGraph,
    Node,
    Plan,
    Replan,
    partition,
    replan,
)
from carbonedge.planning import OperatorCosts, load_model, operator_costs, partition_problem

NAMES = ("a", "b", "c")


@functools.cache
def model() -> ModelGraph:
    return load_model(models.layers(depth=4))


@functools.cache
def costs() -> OperatorCosts:
    """10, 14 and 20 ms in all on the three nodes; a cut at every operator."""
    return operator_costs(model(), cluster([1, 1, 1]).nodes, "macs")


def cluster(
    intensities: Sequence[float],
    *,
    memory_mb: Sequence[float] = (100, 100, 100),
    links: Sequence[tuple[str, str]] = (("a", "b"), ("b", "c"), ("a", "c")),
    j_per_mb: float = 1.0,
) -> Cluster:
    nodes = [
        Node(
            name,
            cpu_cores=1,
            memory_mb=mb,
            power_w=watts,
            avg_time_ms=time_ms,
            intensity_g_per_kwh=intensity,
        )
        for name, watts, time_ms, mb, intensity in zip(
            NAMES, (40, 20, 10), (10, 14, 20), memory_mb, intensities, strict=True
        )
    ]
    return Cluster(
        nodes, [Link(*pair, bandwidth_mbps=1000, energy_j_per_mb=j_per_mb) for pair in links]
    )


def again(
    plan: Plan, now: Cluster, *, inferences: float, session_start_ms: float = 100.0, **limits: float
) -> Replan:
    return replan(
        plan,
        model(),
        now,
        horizon_s=1.0,
        requests_per_s=inferences,
        session_start_ms=session_start_ms,
        costs=costs(),
        **limits,
    )


def stages(plan: Plan) -> list[tuple[str, int, int]]:
    return [(stage.node, stage.start, stage.stop) for stage in plan.stages]


intensities = st.lists(st.floats(1, 1000), min_size=3, max_size=3)
# From where no session start pays to where every move does.
counts = st.floats(-4, 5).map(lambda exponent: 10**exponent)
tight = st.lists(st.floats(5e-4, 2e-3), min_size=3, max_size=3)


def switching_g(old: Plan, new: Plan, now: Cluster, session_start_ms: float) -> float:
    """By the definition, over links that are all there and alike."""
    was_on = {
        position: stage.node for stage in old.stages for position in range(stage.start, stage.stop)
    }
    intensity = {node.name: node.known_intensity() for node in now.nodes}
    grams = 0.0
    for stage in new.stages:
        if (stage.node, stage.start, stage.stop) in stages(old):
            continue
        node = now.nodes[now.index(stage.node)]
        grams += node.power_w * session_start_ms / 1000 * intensity[node.name] / 3.6e6
        for position in range(stage.start, stage.stop):
            source = was_on[position]
            if source != stage.node:
                mb = model().operators[position].parameter_mb
                grams += min(
                    sum(
                        mb * (intensity[x] + intensity[y]) / 2 / 3.6e6
                        for x, y in itertools.pairwise(way)
                    )
                    for way in ((source, stage.node), *_round(source, stage.node))
                )
    return grams


def _round(source: str, target: str) -> list[tuple[str, str, str]]:
    return [(source, name, target) for name in NAMES if name not in (source, target)]


@given(intensities, intensities, tight, counts)
def test_a_move_saves_what_it_says_and_more_than_it_costs(
    before: list[float], after: list[float], memory_mb: list[float], inferences: float
) -> None:
    try:
        plan = partition(
            model(), cluster(before, memory_mb=memory_mb), costs=costs(), objective="emissions"
        )
    except InfeasibleError:
        return
    now = cluster(after, memory_mb=memory_mb)
    found = again(plan, now, inferences=inferences)
    stay = again(plan, now, inferences=0).plan
    assert stages(stay) == stages(plan)
    assert found.saving is not None
    if not found.moved:
        assert found.plan == stay
        assert found.saving <= found.switching_cost * (1 + 1e-6)
        return
    assert found.saving == pytest.approx(
        inferences * (stay.emissions_g - found.plan.emissions_g), rel=1e-6
    )
    assert found.switching_cost == pytest.approx(switching_g(plan, found.plan, now, 100.0))
    assert found.saving > found.switching_cost


@given(intensities, intensities, tight, counts)
def test_a_lasting_change_moves_it_once(
    before: list[float], after: list[float], memory_mb: list[float], inferences: float
) -> None:
    try:
        plan = partition(model(), cluster(before, memory_mb=memory_mb), costs=costs())
    except InfeasibleError:
        return
    now = cluster(after, memory_mb=memory_mb)
    found = again(plan, now, inferences=inferences)
    for _ in range(3):
        next_one = again(found.plan, now, inferences=inferences)
        assert not next_one.moved
        assert stages(next_one.plan) == stages(found.plan)
        found = next_one


@given(
    intensities,
    st.sampled_from([0.01, 0.1, 0.3]),
    st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=5),
)
def test_wobbling_intensities_do_not_make_it_flap(
    base: list[float], share: float, wobbles: list[list[float]]
) -> None:
    plan = partition(model(), cluster(base), costs=costs())
    # Within +-share no plan betters the best by more than twice that share of it, and the
    # cheapest session costs so much at least.
    session_g = min(
        node.power_w * 0.1 * node.known_intensity() * (1 - share) / 3.6e6
        for node in cluster(base).nodes
    )
    inferences = 0.99 * session_g / (2 * share * plan.emissions_g)
    for wobble in wobbles:
        now = cluster([g * (1 + share * w) for g, w in zip(base, wobble, strict=True)])
        found = again(plan, now, inferences=inferences)
        assert not found.moved
        plan = found.plan


@given(intensities, intensities, counts)
def test_where_sessions_start_at_once_no_better_move_is_missed(
    before: list[float], after: list[float], inferences: float
) -> None:
    plan = partition(model(), cluster(before), costs=costs())
    now = cluster(after)
    found = again(plan, now, inferences=inferences, session_start_ms=0)
    problem = partition_problem(model(), now, costs())
    value = inferences * found.plan.emissions_g
    if found.moved:
        value += found.switching_cost
    names = [node.name for node in now.nodes]
    for cuts, nodes, total in oracle.plans(problem):
        bounds = itertools.pairwise([0, *cuts, len(model().operators)])
        other = dataclasses.replace(
            plan,
            stages=tuple(
                dataclasses.replace(plan.stages[0], node=names[node], start=start, stop=stop)
                for node, (start, stop) in zip(nodes, bounds, strict=True)
            ),
        )
        cost = inferences * total.emissions + switching_g(plan, other, now, 0.0)
        assert value <= cost * (1 + 1e-6)


@given(intensities, counts)
def test_a_plan_that_cannot_run_any_more_always_gives_way(
    grid: list[float], inferences: float
) -> None:
    plan = partition(model(), cluster(grid), costs=costs())
    gone = plan.stages[0].node
    full = cluster(grid, memory_mb=[1e-6 if n == gone else 100 for n in NAMES])
    found = again(plan, full, inferences=inferences)
    assert found.moved
    assert found.saving is None
    assert f"its stage on node {gone!r} needs" in found.why
    assert gone not in [stage.node for stage in found.plan.stages]


def test_a_node_that_is_gone_is_left() -> None:
    plan = partition(model(), cluster([900, 10, 900]), costs=costs())
    assert [stage.node for stage in plan.stages] == ["b"]
    rest = Cluster([node for node in cluster([900, 10, 900]).nodes if node.name != "b"])
    of_rest = operator_costs(model(), rest.nodes, "macs")
    found = replan(plan, model(), rest, horizon_s=1, requests_per_s=0, costs=of_rest)
    assert found.moved
    assert found.why == "the plan in force cannot run any more: node 'b' is gone"
    assert [stage.node for stage in found.plan.stages] == ["c"]


@pytest.mark.parametrize(
    ("limits", "why"),
    [({"slo_ms": 12}, "it takes 14 ms and slo_ms=12"), ({}, None)],
)
def test_a_target_that_the_plan_misses_makes_it_move(
    limits: dict[str, float], why: str | None
) -> None:
    grid = [900, 10, 900]
    plan = partition(model(), cluster(grid), costs=costs())
    found = again(plan, cluster(grid), inferences=0, **limits)
    assert found.moved == (why is not None)
    if why is not None:
        assert why in found.why
        assert found.plan.latency_ms <= 12


def test_parameters_that_no_links_lead_to_stay_where_they_are() -> None:
    plan = partition(model(), cluster([900, 10, 900]), costs=costs())
    now = cluster([1, 900, 900], links=[("b", "c")])
    found = again(plan, now, inferences=1e9)
    # The best without "a", which "b" cannot reach.
    assert "a" not in [stage.node for stage in found.plan.stages]
    alone = again(plan, cluster([1, 900, 900], links=[]), inferences=1e9)
    assert not alone.moved
    assert math.isinf(alone.switching_cost)
    assert "no links lead" in alone.why


def test_parameters_take_the_cheapest_way() -> None:
    plan = partition(model(), cluster([900, 1, 900]), costs=costs())
    assert [stage.node for stage in plan.stages] == ["b"]
    now = cluster([900, 900, 1], links=[("a", "b"), ("a", "c")])
    found = again(plan, now, inferences=1e6, session_start_ms=0)
    assert [stage.node for stage in found.plan.stages] == ["c"]
    mb = model().parameter_mb
    assert found.switching_cost == pytest.approx(mb * (900 + 450.5) / 3.6e6)


@pytest.mark.parametrize("objective", ["latency", "energy", "emissions", "weighted", "throughput"])
def test_every_objective_can_be_replanned(objective: str) -> None:
    weights = {"latency": 1.0, "emissions": 1e4} if objective == "weighted" else None
    first = cluster([1, 500, 900])
    plan = partition(model(), first, objective=objective, weights=weights, costs=costs())
    slower = np.array([[10.0, 1.0, 1.0]])
    changed = dataclasses.replace(costs(), time_ms=costs().time_ms * slower)
    found = replan(plan, model(), first, horizon_s=1e6, requests_per_s=10, costs=changed)
    fresh = partition(model(), first, objective=objective, weights=weights, costs=changed)
    assert stages(found.plan) == stages(fresh)
    assert found.plan.optimal
    assert found.moved == (stages(fresh) != stages(plan))
    assert found.plan.objective == objective


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon_s": 0}, "horizon_s is 0"),
        ({"requests_per_s": -1}, "requests_per_s is -1"),
        ({"session_start_ms": -1}, "session_start_ms is -1"),
        ({"objective": "speed"}, "'speed' is not known"),
        ({"slo_ms": 0}, "slo_ms is 0"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    plan = partition(model(), cluster([1, 2, 3]), costs=costs())
    with pytest.raises(ValueError, match=message):
        replan(
            plan,
            model(),
            cluster([1, 2, 3]),
            **({"horizon_s": 1, "requests_per_s": 1, "costs": costs()} | arguments),  # type: ignore[arg-type]
        )


def test_the_plan_of_another_model_is_refused() -> None:
    plan = partition(models.layers(depth=2), cluster([1, 2, 3]), costs="macs")
    with pytest.raises(ValueError, match=r"stages end at 4 and the model has 8 operators"):
        again(plan, cluster([1, 2, 3]), inferences=1)


def test_a_plan_cut_where_a_fresh_measurement_would_not_cut_is_still_compared() -> None:
    plan = partition(
        model(), cluster([900, 10, 900], memory_mb=[1, 7e-4, 1]), costs=costs(), slo_ms=13
    )
    assert plan.cuts
    elsewhere = dataclasses.replace(
        costs(), positions=frozenset(p for p in costs().positions if p not in plan.cuts)
    )
    found = replan(
        plan,
        model(),
        cluster([900, 10, 900], memory_mb=[1, 7e-4, 1]),
        horizon_s=1e6,
        requests_per_s=1,
        slo_ms=13,
        costs=elsewhere,
    )
    assert not found.moved
    assert found.plan.emissions_g == pytest.approx(plan.emissions_g)


def test_the_source_of_the_plan_stays_the_source() -> None:
    plan = partition(model(), cluster([900, 10, 900]), source="a", costs=costs())
    found = again(plan, cluster([900, 10, 900]), inferences=1)
    assert found.plan == plan
    assert found.plan.source == "a"
    rest = Cluster([node for node in cluster([900, 10, 900]).nodes if node.name != "a"])
    with pytest.raises(ClusterError, match="no node 'a'"):
        replan(plan, model(), rest, horizon_s=1, requests_per_s=1, costs=costs())
    # It was left out for it parts something.
    assert plan.parting == ()
    assert found.plan.parting == plan.cuts
