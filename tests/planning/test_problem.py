from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from carbonedge import PartitionProblem


def problem(**changes: Any) -> PartitionProblem:
    """Two operators of 1 ms on node 0 and 2 ms on node 1, whose grid is ten times cleaner."""
    arrays: dict[str, Any] = {
        "time_ms": [[1, 2], [1, 2]],
        "energy_j": [[3.6, 3.6], [3.6, 3.6]],
        "memory_mb": [10, 10],
        "cut_mb": [1, 1, 1],
        "node_memory_mb": [100, 100],
        "intensity_g_per_kwh": [1000, 100],
        "link_latency_ms": [[math.inf, 0.5], [0.5, math.inf]],
        "link_mbps": [[math.inf, 16], [16, math.inf]],
        "link_j_per_mb": [[0, 0], [0, 0]],
        "stage_overhead_ms": [0, 0],
    }
    arrays |= changes
    return PartitionProblem(**arrays)


def test_objectives_by_hand() -> None:
    fastest = problem().solve("latency")
    assert (fastest.nodes, fastest.cuts) == ((0,), ())
    assert fastest.latency_ms == 2
    assert fastest.emissions_g == pytest.approx(2 * 3.6 * 1000 / 3.6e6)
    greenest = problem().solve("emissions")
    assert (greenest.nodes, greenest.latency_ms) == ((1,), 4)
    assert greenest.energy_j == 7.2
    assert greenest.throughput_rps == 250
    assert greenest.optimal
    assert greenest.gap == 0


def test_memory_forces_a_split_and_the_link_is_paid_for() -> None:
    split = problem(node_memory_mb=[10, 10], link_j_per_mb=np.full((2, 2), 7.2)).solve("latency")
    assert split.cuts == (1,)
    # 1 MB is 8 megabits: 500 ms at 16 Mbit/s, and half a millisecond of latency.
    assert split.latency_ms == 1 + 500.5 + 2
    assert split.energy_j == 3.6 + 7.2 + 3.6
    grams_per_j = np.array([1000, 550, 100]) / 3.6e6
    assert split.emissions_g == pytest.approx(
        3.6 * grams_per_j[[0, 2]].sum() + 7.2 * grams_per_j[1]
    )
    assert split.throughput_rps == pytest.approx(1000 / 500.5)


def test_a_latency_target_buys_speed_with_carbon() -> None:
    links = {"link_mbps": np.full((2, 2), np.inf)}
    within = problem(**links).solve("emissions", slo_ms=3.5)
    assert within.latency_ms == 3.5
    assert sorted(within.nodes) == [0, 1]
    assert problem(**links).solve("emissions", slo_ms=3.4).nodes == (0,)


def test_pue_embodied_carbon_and_overhead_count() -> None:
    found = problem(
        pue=[1, 2],
        embodied_g_per_hour=[0, 3600],
        stage_overhead_ms=[0, 1],
        stage_overhead_j=[0, 3.6],
    ).solve("emissions", max_stages=1)
    # Node 1: 10.8 J at 100 g/kWh and PUE 2, and 5 ms of 1 g/s: dearer than node 0's 7.2 J.
    assert found.nodes == (0,)
    only = problem(
        node_memory_mb=[1, 100],
        pue=[1, 2],
        embodied_g_per_hour=[0, 3600],
        stage_overhead_ms=[0, 1],
        stage_overhead_j=[0, 3.6],
    ).solve("emissions")
    assert only.emissions_g == pytest.approx(10.8 * 200 / 3.6e6 + 0.005)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_ms": [1, 2]}, r"time_ms has shape \(2,\)"),
        ({"memory_mb": [1]}, r"memory_mb has shape \(1,\): time_ms implies \(2,\)"),
        ({"cut_mb": [1, 1]}, "cut_mb has shape"),
        ({"time_ms": [[1, np.nan], [1, 1]]}, "time_ms has nan"),
        ({"energy_j": [[1, -1], [1, 1]]}, "energy_j has -1"),
        ({"intensity_g_per_kwh": [np.inf, 1]}, "intensity_g_per_kwh has inf"),
        ({"link_mbps": [[1, 0], [1, 1]]}, "link_mbps has 0: each must be above 0"),
        ({"pue": [0.9, 1]}, "pue has 0.9: each must be 1 or above"),
        ({"source": 2}, "source is 2: give a node from 0 to 1"),
        ({"node_names": ["a"]}, "node_names has 1 names: time_ms implies 2"),
        ({"operator_names": ["a"]}, "operator_names has 1 names"),
    ],
)
def test_wrong_arrays_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        problem(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "speed"}, "latency, energy, emissions, weighted, throughput"),
        ({"objective": "weighted"}, "give both or neither"),
        ({"weights": {"latency": 1}}, "give both or neither"),
        ({"objective": "weighted", "weights": {"speed": 1}}, "weights name 'speed'"),
        ({"objective": "weighted", "weights": {"energy": -1}}, "the weight of energy is -1"),
        ({"objective": "weighted", "weights": {"energy": 0}}, "all weights are 0"),
        ({"time_limit_s": 0}, "time_limit_s is 0"),
        ({"slo_ms": 0}, "slo_ms is 0"),
        ({"slo_ms": math.nan}, "slo_ms is nan"),
        ({"max_stages": 0}, "max_stages is 0"),
    ],
)
def test_wrong_limits_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        problem().solve(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": ("emissions", "latency")}, "no front of emissions, latency: give latency"),
        ({"objectives": ("latency", "throughput")}, "no front of latency, throughput"),
        ({"epsilon": -0.1}, "epsilon is -0.1"),
    ],
)
def test_wrong_fronts_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        problem().pareto(**arguments)


def test_a_front_by_hand() -> None:
    quick_links = np.full((2, 2), np.inf)
    front = problem(link_mbps=quick_links).pareto()
    assert [(plan.latency_ms, len(plan.nodes)) for plan in front] == [(2, 1), (3.5, 2), (4, 1)]
    assert front[0].emissions_g > front[1].emissions_g > front[2].emissions_g


def test_a_source_is_paid_for_on_the_way_in_and_out() -> None:
    found = problem(source=0, link_mbps=np.full((2, 2), 8000.0)).solve("emissions")
    assert found.nodes == (1,)
    # A megabyte each way at 8 Gbit/s, and half a millisecond of latency.
    assert found.latency_ms == 1.5 + 4 + 1.5


def test_weights_trade_time_for_carbon() -> None:
    quick_links = np.full((2, 2), np.inf)
    least_g = problem().solve("emissions").emissions_g
    for grams_per_ms, nodes in ((1.0, (0,)), (1e-9, (1,))):
        weights = {"latency": grams_per_ms, "emissions": 1.0}
        found = problem(link_mbps=quick_links).solve("weighted", weights=weights)
        assert found.nodes == nodes
        assert (found.emissions_g == least_g) == (nodes == (1,))


def test_a_plan_of_ones_own_comes_to_the_same_as_the_searchs() -> None:
    for source in (None, 0, 1):
        chain = problem(node_memory_mb=[10, 10], link_j_per_mb=np.full((2, 2), 7.2), source=source)
        found = chain.solve("emissions")
        own = chain.evaluate(found.cuts, found.nodes)
        for measure in ("latency_ms", "energy_j", "emissions_g", "throughput_rps"):
            assert getattr(own, measure) == pytest.approx(getattr(found, measure))


def test_a_target_may_be_a_plans_own_latency_whatever_the_rounding() -> None:
    """0.1 + 0.2 is above 0.3 as floats go: the cheapest plan is in time nevertheless."""
    chain = PartitionProblem(
        np.array([[0.1, 0.1, 0.05], [0.2, 0.15, 0.05]]),
        np.array([[0.5, 1, 50], [0.5, 1, 50]]),
        np.ones(2),
        np.ones(3),
        node_memory_mb=np.full(3, 10.0),
        intensity_g_per_kwh=np.full(3, 100.0),
        link_latency_ms=np.full((3, 3), np.inf),
        link_mbps=np.full((3, 3), 1.0),
        link_j_per_mb=np.zeros((3, 3)),
        stage_overhead_ms=np.zeros(3),
    )
    assert chain.solve("energy", slo_ms=0.3).energy_j == 1
    assert chain.solve("energy", slo_ms=0.29).energy_j == 2
    assert chain.solve("energy", slo_ms=0.2).energy_j == 100


def test_plans_that_differ_by_rounding_do_not_both_stand_on_a_front() -> None:
    """Both nodes take 0.3 ms, the second at half the energy."""
    chain = PartitionProblem(
        np.array([[0.3, 0.1], [0.0, 0.2]]),
        np.array([[2.0, 1.0], [2.0, 1.0]]),
        np.ones(2),
        np.ones(3),
        node_memory_mb=np.full(2, 10.0),
        intensity_g_per_kwh=np.full(2, 3.6e6),
        link_latency_ms=np.full((2, 2), np.inf),
        link_mbps=np.full((2, 2), 1.0),
        link_j_per_mb=np.zeros((2, 2)),
        stage_overhead_ms=np.zeros(2),
    )
    for objectives in (("latency", "energy"), ("latency", "energy", "throughput")):
        assert [plan.nodes for plan in chain.pareto(objectives)] == [(1,)]
