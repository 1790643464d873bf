from __future__ import annotations

import dataclasses
import itertools

import models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import Cluster, InfeasibleError, Link, Node, Plan, pareto
from carbonedge.planning import OperatorCosts, load_model, operator_costs, partition_for_mode
from carbonedge.runtime.placement import MOST_PLANS, Placement, plans_for

MODEL = load_model(models.layers(depth=6))
NAMES = "abc"


def cluster(memory_mb: tuple[float, ...] = (1, 1, 1)) -> Cluster:
    """The faster a node the dirtier."""
    nodes = [
        Node(
            name,
            cpu_cores=1,
            memory_mb=mb,
            power_w=10,
            avg_time_ms=ms,
            intensity_g_per_kwh=g_per_kwh,
        )
        for name, mb, ms, g_per_kwh in zip(
            NAMES, memory_mb, (10, 20, 40), (900, 300, 30), strict=True
        )
    ]
    links = [Link(*pair, bandwidth_mbps=1000) for pair in itertools.combinations(NAMES, 2)]
    return Cluster(nodes, links)


COSTS = operator_costs(MODEL, cluster().nodes, "macs")


def held_mb(plans: list[Plan]) -> dict[str, float]:
    """By node, a stage that several plans have counting once, as one session serves them."""
    stages = {(s.node, s.start, s.stop): s.memory_mb for plan in plans for s in plan.stages}
    held = dict.fromkeys(NAMES, 0.0)
    for (node, _, _), mb in stages.items():
        held[node] += mb
    return held


@pytest.mark.parametrize("mode", ["performance", "balanced", "green"])
def test_partitioned_is_the_plan_of_the_mode(mode: str) -> None:
    [plan] = plans_for(Placement(mode=mode), MODEL, cluster(), costs=COSTS)
    assert plan == partition_for_mode(MODEL, cluster(), mode, costs=COSTS)


def test_the_one_plan_meets_the_latency_that_is_asked_for() -> None:
    [plan] = plans_for(Placement(slo_ms=15.0), MODEL, cluster(), costs=COSTS)
    assert plan.latency_ms <= 15
    with pytest.raises(InfeasibleError, match="slo_ms=1"):
        plans_for(Placement(slo_ms=1.0), MODEL, cluster(), costs=COSTS)


def test_replicated_is_a_plan_for_each_node_that_fits() -> None:
    little = MODEL.memory_mb * 0.9
    plans = plans_for(Placement("replicated"), MODEL, cluster((1, little, 1)), costs=COSTS)
    assert [[stage.node for stage in plan.stages] for plan in plans] == [["a"], ["c"]]
    with pytest.raises(InfeasibleError, match=r"a: .*; b: .*; c: "):
        plans_for(Placement("replicated"), MODEL, cluster((little,) * 3), costs=COSTS)


def test_auto_is_plans_of_the_front_with_both_its_ends() -> None:
    front = pareto(MODEL, cluster(), costs=COSTS)
    plans = plans_for(Placement("auto"), MODEL, cluster(), costs=COSTS)
    assert len(front) > 2
    assert (plans[0], plans[-1]) == (front[0], front[-1])
    assert len(plans) == min(len(front), MOST_PLANS)
    assert all(plan in front for plan in plans)
    assert len({plan.identity for plan in plans}) == len(plans)


def test_of_a_long_front_those_taken_lie_far_apart() -> None:
    """A front whose latencies bunch at one end is taken from end to end all the same."""
    model = load_model(models.layers(depth=24))
    plans = plans_for(
        Placement("auto"),
        model,
        cluster(),
        costs=operator_costs(model, cluster().nodes, "macs"),
    )
    assert len(plans) == MOST_PLANS
    front = pareto(model, cluster(), costs=operator_costs(model, cluster().nodes, "macs"))
    steps = [after.latency_ms - before.latency_ms for before, after in itertools.pairwise(plans)]
    assert max(steps) <= (front[-1].latency_ms - front[0].latency_ms) / 2


def test_a_front_of_one_plan_is_put_up_whole() -> None:
    alone = Cluster(cluster().nodes[:1])
    costs = operator_costs(MODEL, alone.nodes, "macs")
    [plan] = plans_for(Placement("auto"), MODEL, alone, costs=costs)
    assert [stage.node for stage in plan.stages] == ["a"]


@given(st.tuples(*[st.floats(0.1, 2.5)] * 3))
def test_what_auto_puts_up_fits_the_nodes_together(shares: tuple[float, ...]) -> None:
    small = cluster(tuple(share * MODEL.memory_mb for share in shares))
    try:
        front = pareto(MODEL, small, costs=COSTS)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            plans_for(Placement("auto"), MODEL, small, costs=COSTS)
        return
    plans = plans_for(Placement("auto"), MODEL, small, costs=COSTS)
    assert front[-1] in plans  # any plan of the front fits alone, and this one comes first
    held = held_mb(plans)
    for node in small.nodes:
        assert held[node.name] <= node.memory_mb * (1 + 1e-9)
    for left in front if len(plans) < MOST_PLANS else []:
        if left not in plans:  # then it fits no more
            more = held_mb([*plans, left])
            assert any(more[node.name] > node.memory_mb for node in small.nodes)
    assert [p.latency_ms for p in plans] == sorted(p.latency_ms for p in plans)


def test_a_stage_of_several_plans_takes_its_memory_once() -> None:
    """Otherwise a node that holds the whole model could not serve a second plan with it."""
    plans = plans_for(Placement("auto"), MODEL, cluster(), costs=COSTS)
    stages = [(s.node, s.start, s.stop) for plan in plans for s in plan.stages]
    assert len(set(stages)) < len(stages)
    exactly = tuple(held_mb(plans).values())
    again = plans_for(Placement("auto"), MODEL, cluster(exactly), costs=COSTS)
    assert [plan.stages for plan in again] == [plan.stages for plan in plans]


@pytest.mark.parametrize(
    ("given", "scoring"),
    [
        ({}, "normalized"),
        ({"slo_ms": 5.0}, "constrained"),
        ({"slo_ms": 5.0, "scoring": "paper"}, "paper"),
        ({"scoring": "constrained"}, "constrained"),
    ],
)
def test_the_scoring_follows_from_the_latency_unless_given(
    given: dict[str, object], scoring: str
) -> None:
    assert Placement("auto", **given).scoring == scoring  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "anywhere"}, r"'anywhere' is not known: choose one of partitioned, replicated"),
        ({"mode": "turbo"}, "turbo"),
        ({"scoring": "fair"}, "fair"),
        ({"slo_ms": 0.0}, "slo_ms"),
        ({"slo_ms": -1.0}, "slo_ms"),
    ],
)
def test_wrong_words_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Placement(**given)  # type: ignore[arg-type]


def test_costs_of_nothing_are_borne() -> None:
    """Times of 0 tell no plans apart; none is a reason to divide by it."""
    nothing = OperatorCosts("none", np.zeros_like(COSTS.time_ms), np.zeros(3), COSTS.positions)
    for kind in ("partitioned", "replicated", "auto"):
        assert plans_for(Placement(kind), MODEL, cluster(), costs=nothing)


def test_the_memory_of_a_node_matters_to_each_kind() -> None:
    for kind in ("partitioned", "replicated", "auto"):
        tiny = [dataclasses.replace(node, memory_mb=1e-6) for node in cluster().nodes]
        with pytest.raises(InfeasibleError):
            plans_for(Placement(kind), MODEL, Cluster(tiny), costs=COSTS)
