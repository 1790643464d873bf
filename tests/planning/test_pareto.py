from __future__ import annotations

import itertools

import pytest

from carbonedge import Cluster, InfeasibleError, pareto, partition
from carbonedge.experiments import light_model
from carbonedge.planning import ModelGraph, OperatorCosts, load_model, operator_costs


@pytest.fixture(scope="module")
def squeezenet() -> ModelGraph:
    return load_model(light_model("squeezenet"))


@pytest.fixture
def costs(squeezenet: ModelGraph, cluster: Cluster) -> OperatorCosts:
    return operator_costs(squeezenet, cluster.nodes, "macs")


def test_a_front_goes_from_the_fastest_plan_to_the_greenest(
    squeezenet: ModelGraph, cluster: Cluster, costs: OperatorCosts
) -> None:
    front = pareto(squeezenet, cluster, costs=costs)
    assert len(front) > 10
    for before, after in itertools.pairwise(front):
        assert before.latency_ms < after.latency_ms
        assert before.emissions_g > after.emissions_g
    fastest = partition(squeezenet, cluster, objective="latency", costs=costs)
    greenest = partition(squeezenet, cluster, costs=costs)
    assert front[0].latency_ms == pytest.approx(fastest.latency_ms)
    assert front[-1].emissions_g == pytest.approx(greenest.emissions_g)
    assert {plan.objective for plan in front} == {"latency, emissions"}
    assert all(plan.optimal for plan in front)


def test_every_target_on_the_way_is_met_by_a_plan_of_the_front(
    squeezenet: ModelGraph, cluster: Cluster, costs: OperatorCosts
) -> None:
    front = pareto(squeezenet, cluster, costs=costs)
    for slo_ms in (11, 15, 20, 25, 29.9):
        plan = partition(squeezenet, cluster, slo_ms=slo_ms, costs=costs)
        within = [p.emissions_g for p in front if p.latency_ms <= slo_ms]
        assert min(within) == pytest.approx(plan.emissions_g)


def test_throughput_adds_plans(
    squeezenet: ModelGraph, cluster: Cluster, costs: OperatorCosts
) -> None:
    objectives = ("latency", "emissions", "throughput")
    of_two = pareto(squeezenet, cluster, costs=costs)
    of_three = pareto(squeezenet, cluster, objectives=objectives, epsilon=0.05, costs=costs)
    most = partition(squeezenet, cluster, objective="throughput", costs=costs)
    assert max(plan.throughput_rps for plan in of_three) >= most.throughput_rps / 1.05
    assert len(of_three) >= len(of_two)


def test_limits_and_the_source_hold_for_a_front_too(
    squeezenet: ModelGraph, cluster: Cluster, costs: OperatorCosts
) -> None:
    whole = pareto(squeezenet, cluster, max_stages=1, costs=costs)
    assert [[stage.node for stage in plan.stages] for plan in whole] == [["fast"], ["clean"]]
    from_clean = pareto(squeezenet, cluster, max_stages=1, source="clean", costs=costs)
    assert from_clean[0].latency_ms > whole[0].latency_ms
    assert from_clean[0].inputs is not None
    assert from_clean[1].inputs is None
    with pytest.raises(InfeasibleError, match=r"slo_ms=1: the fastest takes 10 ms, 9 ms more"):
        pareto(squeezenet, cluster, slo_ms=1, costs=costs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": ("emissions", "latency")}, "no front of emissions, latency"),
        ({"objectives": ("latency", "weighted")}, "give both or neither"),
        ({"epsilon": 2}, "epsilon is 2"),
        ({"max_stages": 0}, "max_stages is 0"),
        ({"time_limit_s": 0}, "time_limit_s is 0"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_read(
    arguments: dict[str, object], message: str, cluster: Cluster
) -> None:
    with pytest.raises(ValueError, match=message):
        pareto("no-such-file.onnx", cluster, **arguments)  # type: ignore[arg-type]
