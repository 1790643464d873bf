from __future__ import annotations

import dataclasses
import math
from typing import Any

import models
import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import Cluster, InfeasibleError, Link, Node, PartitionProblem, partition
from carbonedge.experiments import light_model
from carbonedge.planning import load_model, operator_costs
from carbonedge.planning.search import OBJECTIVES, Limits
from carbonedge.planning.strategies import greedy_parts, held_to, proportional_parts

MEASURE = {
    "latency": lambda plan: plan.latency_ms,
    "energy": lambda plan: plan.energy_j,
    "emissions": lambda plan: plan.emissions_g,
    "throughput": lambda plan: 1 / plan.throughput_rps,
}


def chain(**changes: Any) -> PartitionProblem:
    """Ten operators of 10 MB, 1, 2 and 4 ms on three linked nodes."""
    values: dict[str, Any] = {
        "time_ms": np.tile([1.0, 2.0, 4.0], (10, 1)),
        "energy_j": np.tile([4.0, 2.0, 1.0], (10, 1)),
        "memory_mb": np.full(10, 10.0),
        "cut_mb": np.zeros(11),
        "node_memory_mb": [100, 100, 100],
        "intensity_g_per_kwh": [100, 100, 100],
        "link_latency_ms": np.full((3, 3), 0.5),
        "link_mbps": np.full((3, 3), np.inf),
        "link_j_per_mb": np.zeros((3, 3)),
        "stage_overhead_ms": np.zeros(3),
        "node_names": ("a", "b", "c"),
    }
    return PartitionProblem(**(values | changes))


def test_the_papers_parts_are_in_proportion_to_capability() -> None:
    assert proportional_parts(chain(), np.ones(10), [1.0, 0.6, 0.4]) == ((5, 8), (0, 1, 2))
    uneven = [6, 1, 1, 1, 1, 1, 1, 3, 3, 2]
    # Of 20 in all, 10, 6 and 4 are due: the first five make 10, the next three 5.
    assert proportional_parts(chain(), uneven, [1.0, 0.6, 0.4]) == ((5, 8), (0, 1, 2))


def test_the_most_capable_nodes_stay_where_stages_are_few() -> None:
    assert proportional_parts(chain(), np.ones(10), [1, 3, 1], max_stages=1) == ((), (1,))
    assert proportional_parts(chain(), np.ones(10), [2, 1, 2], max_stages=2) == ((5,), (0, 2))


@given(strategies.partition_problems(most_operators=8), st.data())
def test_every_part_has_an_operator(problem: PartitionProblem, data: st.DataObject) -> None:
    num_operators, num_nodes = problem.time_ms.shape
    work = data.draw(st.lists(st.integers(0, 3), min_size=num_operators, max_size=num_operators))
    able = data.draw(st.lists(st.sampled_from([0.1, 1, 8]), min_size=num_nodes, max_size=num_nodes))
    cuts, nodes = proportional_parts(problem, work, able)
    assert len(nodes) == min(num_operators, num_nodes)
    assert problem.evaluate(cuts, nodes).nodes == nodes


def test_greedy_goes_to_the_best_node_and_on_when_it_is_full() -> None:
    assert greedy_parts(chain(), "latency") == ((), (0,))
    assert greedy_parts(chain(), "energy") == ((), (2,))
    assert greedy_parts(chain(node_memory_mb=[60, 100, 100]), "latency") == ((6,), (0, 1))
    weights = {"latency": 1, "energy": 100}
    assert greedy_parts(chain(), "weighted", weights=weights) == ((), (2,))


def test_greedy_spreads_for_throughput() -> None:
    # Two operators on the first take as long as one on the second, and then one on the third.
    assert greedy_parts(chain(), "throughput") == ((2, 4), (0, 1, 2))


@given(strategies.partition_problems(), st.sampled_from(OBJECTIVES), st.integers(1, 4))
def test_a_greedy_plan_is_one_and_not_better_than_the_best(
    problem: PartitionProblem, objective: str, max_stages: int
) -> None:
    weights = {"latency": 1.0, "emissions": 1e3} if objective == "weighted" else None
    try:
        parts = greedy_parts(problem, objective, weights=weights, max_stages=max_stages)
    except InfeasibleError:
        return
    found = held_to(problem, parts, Limits(None, max_stages, 1.0), "greedy")
    assert len(found.nodes) <= max_stages
    costs = oracle.costs_of(problem, found.cuts, found.nodes)
    assert costs is not None
    assert found.latency_ms == pytest.approx(costs.latency)
    assert found.emissions_g == pytest.approx(costs.emissions)
    best = problem.solve(objective, weights=weights, max_stages=max_stages)
    if objective in MEASURE and math.isfinite(found.throughput_rps):
        measure = MEASURE[objective]
        assert measure(found) >= measure(best) * (1 - 1e-9)


def test_greedy_says_where_it_is_stuck() -> None:
    apart = chain(node_memory_mb=[60, 100, 100], link_latency_ms=np.full((3, 3), math.inf))
    with pytest.raises(InfeasibleError, match=r"operator '6' would take node 'a' to 70 MB of 60"):
        greedy_parts(apart, "latency")
    with pytest.raises(InfeasibleError, match="max_stages=1 is reached"):
        greedy_parts(chain(node_memory_mb=[60, 100, 100]), "latency", max_stages=1)
    with pytest.raises(InfeasibleError, match="fits no node linked to the source"):
        greedy_parts(chain(node_memory_mb=[5, 5, 5], source=0), "latency")


@pytest.mark.parametrize(
    ("changes", "slo_ms", "message"),
    [
        ({"node_memory_mb": [40, 100, 100]}, None, "its stage on node 'a' needs 50 MB of 40 MB"),
        ({"link_latency_ms": np.full((3, 3), math.inf)}, None, "no link from 'a' to 'b'"),
        ({}, 15, "it takes 20 ms and slo_ms=15"),
    ],
)
def test_a_strategy_whose_parts_break_a_limit_says_which(
    changes: dict[str, Any], slo_ms: float | None, message: str
) -> None:
    problem = chain(**changes)
    parts = proportional_parts(problem, np.ones(10), [1, 0.6, 0.4])
    with pytest.raises(InfeasibleError, match=f"strategy 'paper' finds no plan.*{message}"):
        held_to(problem, parts, Limits(slo_ms, None, 1.0), "paper")


def test_no_strategy_betters_the_exact_search_on_a_model() -> None:
    nodes = [
        Node(
            name,
            cpu_cores=cores,
            memory_mb=512,
            power_w=watts,
            intensity_g_per_kwh=intensity,
            avg_time_ms=time_ms,
        )
        for name, cores, watts, intensity, time_ms in (
            ("high", 1.0, 3.55, 620, 255),
            ("medium", 0.6, 2.13, 530, 425),
            ("green", 0.4, 1.42, 380, 585),
        )
    ]
    pairs = [("high", "medium"), ("medium", "green"), ("high", "green")]
    cluster = Cluster(nodes, [Link(*pair, bandwidth_mbps=1000) for pair in pairs])
    graph = load_model(light_model("squeezenet"))
    costs = operator_costs(graph, nodes, "paper")
    for objective, measure in MEASURE.items():
        exact, paper, greedy = (
            partition(graph, cluster, objective=objective, strategy=strategy, costs=costs)
            for strategy in ("exact", "paper", "greedy")
        )
        assert measure(exact) <= min(measure(paper), measure(greedy)) * (1 + 1e-9)
        assert [stage.node for stage in paper.stages] == ["high", "medium", "green"]
        assert not paper.optimal
        assert (paper.strategy, greedy.strategy, exact.strategy) == ("paper", "greedy", "exact")


def test_the_papers_parts_of_a_model_take_what_cores_are_due(cluster: Cluster) -> None:
    # 4 and 2 cores, and 15 like layers.
    plan = partition(models.layers(depth=15), cluster, strategy="paper", costs="macs")
    assert [(stage.node, stage.stop) for stage in plan.stages] == [("fast", 19), ("clean", 30)]


def test_an_unknown_strategy_names_those_there_are(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="'best' is not known: choose one of exact, paper, greedy"):
        partition(models.layers(), cluster, strategy="best", costs="macs")


def test_a_strategy_counts_the_way_from_the_source(cluster: Cluster) -> None:
    graph = load_model(models.layers())
    for strategy in ("exact", "paper", "greedy"):
        plan = partition(
            graph,
            Cluster([dataclasses.replace(cluster.nodes[0], memory_mb=1e-6), *cluster.nodes[1:]])
            if strategy != "paper"
            else cluster,
            source="clean",
            strategy=strategy,
            costs="macs",
        )
        parts = (plan.inputs, *plan.stages, *plan.transfers, plan.outputs)
        known = [part for part in parts if part is not None]
        assert sum(part.time_ms for part in known) == pytest.approx(plan.latency_ms)
        assert sum(part.emissions_g for part in known) == pytest.approx(plan.emissions_g)
