from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st

from carbonedge import InfeasibleError, PartitionProblem
from carbonedge._backend import NAMES, backend, load
from carbonedge.planning.problem import OBJECTIVES, PartitionSolution


@pytest.fixture(autouse=True)
def _restore_backend() -> Any:
    yield
    backend.cache_clear()


def solve(
    name: str, problem: PartitionProblem, objective: str, **limits: Any
) -> PartitionSolution | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARBONEDGE_BACKEND", name)
        backend.cache_clear()
        try:
            return problem.solve(objective, **limits)
        except InfeasibleError:
            return None


def value(objective: str, found: Any) -> float:
    return {
        "latency": lambda: found.latency_ms,
        "energy": lambda: found.energy_j,
        "emissions": lambda: found.emissions_g,
        "throughput": lambda: 1e3 / found.throughput_rps,
    }[objective]()


@given(
    strategies.partition_problems(),
    st.sampled_from(OBJECTIVES),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 3),
)
def test_no_plan_is_better(
    problem: PartitionProblem, objective: str, slo_ms: int | None, max_stages: int | None
) -> None:
    limit = math.inf if slo_ms is None else slo_ms
    values = [
        getattr(costs, objective)
        for _, nodes, costs in oracle.plans(problem)
        if costs.latency <= limit * (1 + 1e-12) and len(nodes) <= (max_stages or 99)
    ]
    for name in ("native", "python"):
        found = solve(name, problem, objective, slo_ms=slo_ms, max_stages=max_stages)
        if not values:
            assert found is None
            continue
        assert found is not None
        assert found.optimal
        assert value(objective, found) == pytest.approx(min(values), rel=1e-9, abs=1e-12)
        assert found.latency_ms <= limit


@given(strategies.partition_problems(), st.sampled_from(OBJECTIVES))
def test_what_is_promised_of_a_plan_is_what_it_costs(
    problem: PartitionProblem, objective: str
) -> None:
    found = solve("native", problem, objective)
    assume(found is not None)
    assert found is not None
    costs = oracle._costs(problem, found.cuts, found.nodes)
    assert costs is not None
    assert len(set(found.nodes)) == len(found.nodes)
    assert found.latency_ms == pytest.approx(costs.latency)
    assert found.energy_j == pytest.approx(costs.energy)
    assert found.emissions_g == pytest.approx(costs.emissions)
    assert 1e3 / found.throughput_rps == pytest.approx(costs.throughput)


@given(strategies.partition_problems(most_operators=8), st.sampled_from(OBJECTIVES))
def test_a_plans_own_latency_is_a_target_it_meets(
    problem: PartitionProblem, objective: str
) -> None:
    free = solve("native", problem, objective)
    assume(free is not None and free.latency_ms > 0)
    assert free is not None
    held = solve("native", problem, objective, slo_ms=free.latency_ms)
    assert held is not None
    assert value(objective, held) == pytest.approx(value(objective, free))


@given(strategies.partition_problems(most_operators=8), st.integers(1, 4))
def test_one_more_stage_never_hurts(problem: PartitionProblem, stages: int) -> None:
    fewer = solve("native", problem, "latency", max_stages=stages)
    assume(fewer is not None)
    more = solve("native", problem, "latency", max_stages=stages + 1)
    assert fewer is not None
    assert more is not None
    assert more.latency_ms <= fewer.latency_ms * (1 + 1e-12)


def large(seed: int, operators: int, nodes: int, memory_mb: float) -> PartitionProblem:
    random = np.random.default_rng(seed)
    speed = random.uniform(0.5, 2, nodes)
    work = random.uniform(0.1, 2, (operators, 1)) * random.uniform(0.8, 1.2, (operators, nodes))
    power = random.uniform(2, 40, nodes)
    return PartitionProblem(
        work / speed,
        work / speed * power / 1e3,
        random.uniform(1, 5, operators),
        random.uniform(0.01, 1, operators + 1),
        node_memory_mb=np.full(nodes, memory_mb),
        intensity_g_per_kwh=random.uniform(20, 800, nodes),
        link_latency_ms=random.uniform(0.05, 0.5, (nodes, nodes)),
        link_mbps=random.uniform(500, 10_000, (nodes, nodes)),
        link_j_per_mb=random.uniform(0, 0.01, (nodes, nodes)),
        stage_overhead_ms=np.full(nodes, 0.05),
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("slo_share", [None, 1.2])
def test_backends_find_the_same_plan(objective: str, slo_share: float | None) -> None:
    problem = large(1, 30, 6, 60.0)
    fastest = solve("native", problem, "latency")
    assert fastest is not None
    slo_ms = None if slo_share is None else fastest.latency_ms * slo_share
    native, numba = (solve(name, problem, objective, slo_ms=slo_ms) for name in ("native", "numba"))
    assert native is not None
    assert native == numba
    assert len(native.nodes) > 1


def test_backends_agree_where_memory_and_time_are_short() -> None:
    """Many stages are forced and few nodes are left, so what is cheap and slow must not
    hide what is dear and fast.
    """
    stages = []
    for seed in range(40):
        problem = large(seed, 12, 6, 8.0)
        fastest = solve("native", problem, "latency")
        if fastest is None:
            continue
        limits = {"slo_ms": fastest.latency_ms * 1.1}
        native, numba = (
            solve(name, problem, "emissions", **limits) for name in ("native", "numba")
        )
        assert native is not None
        assert native == numba
        stages.append(len(native.nodes))
    assert max(stages) > 4


def test_plain_python_finds_it_too() -> None:
    problem = large(2, 12, 4, 25.0)
    plans = [solve(name, problem, "emissions", slo_ms=30.0) for name in NAMES]
    assert plans[0] is not None
    assert plans[0] == plans[1] == plans[2]


@pytest.mark.parametrize("objective", ["latency", "energy", "emissions"])
def test_sums_over_sixteen_nodes_are_least_proven(objective: str) -> None:
    found = solve("native", large(3, 60, 16, 100.0), objective)
    assert found is not None
    assert found.optimal


def test_throughput_over_sixteen_nodes_is_proven_or_says_how_far_off() -> None:
    found = solve("native", large(3, 60, 16, 100.0), "throughput", max_labels=20_000)
    assert found is not None
    assert found.optimal or 0 < found.gap <= 1


def test_a_search_cut_short_brackets_the_best() -> None:
    problem = large(4, 30, 6, 60.0)
    best = solve("native", problem, "emissions")
    assert best is not None
    for name in ("native", "numba"):
        short = solve(name, problem, "emissions", max_labels=400)
        if short is None:
            continue
        least = short.emissions_g * (1 - short.gap)
        assert least <= best.emissions_g * (1 + 1e-12) <= short.emissions_g * (1 + 2e-12)


def test_a_stage_may_fill_its_node_whatever_the_rounding() -> None:
    """0.1 + 0.1 + 0.1 is above 0.3 as floats go."""
    problem = PartitionProblem(
        np.ones((3, 1)),
        np.ones((3, 1)),
        np.full(3, 0.1),
        np.zeros(4),
        node_memory_mb=np.array([0.3]),
        intensity_g_per_kwh=np.ones(1),
        link_latency_ms=np.zeros((1, 1)),
        link_mbps=np.ones((1, 1)),
        link_j_per_mb=np.zeros((1, 1)),
        stage_overhead_ms=np.zeros(1),
    )
    for name in NAMES:
        assert solve(name, problem, "latency") is not None


def test_scaling_every_time_scales_the_latency() -> None:
    problem = large(5, 20, 4, 60.0)
    twice = PartitionProblem(
        **{
            field: getattr(problem, field) * (2 if field.endswith("_ms") else 1)
            for field in problem.__slots__
            if field != "link_mbps"
        },
        link_mbps=problem.link_mbps / 2,
    )
    once, doubled = (solve("native", p, "latency") for p in (problem, twice))
    assert once is not None
    assert doubled is not None
    assert (once.cuts, once.nodes) == (doubled.cuts, doubled.nodes)
    assert doubled.latency_ms == 2 * once.latency_ms


def test_every_backend_loads() -> None:
    solvers: list[Callable[..., Any]] = [load(name).solve_partition for name in NAMES]
    assert len({id(solver) for solver in solvers}) == 3
