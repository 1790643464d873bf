from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
import pytest
import strategies
from backends import using
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from carbonedge import InfeasibleError, PartitionProblem
from carbonedge._backend import NAMES, load
from carbonedge.planning.solution import PartitionSolution

WEIGHTS = {"latency": 1.0, "energy": 0.25, "emissions": 5000.0}
SUMS = ("latency", "energy", "emissions", "weighted")
OBJECTIVES = (*SUMS, "throughput")
# A proof is due on a slow machine too.
PATIENT = {"time_limit_s": 600.0}

slo_ms_s = st.none() | st.integers(1, 30)
max_stages_s = st.none() | st.integers(1, 3)


def solve(
    name: str, problem: PartitionProblem, objective: str, **limits: Any
) -> PartitionSolution | None:
    weights = WEIGHTS if objective == "weighted" else None
    with using(name):
        try:
            return problem.solve(objective, weights=weights, **PATIENT | limits)
        except InfeasibleError:
            return None


def pareto(
    name: str, problem: PartitionProblem, *objectives: str, **limits: Any
) -> list[PartitionSolution]:
    weights = WEIGHTS if "weighted" in objectives else None
    with using(name):
        try:
            return problem.pareto(objectives, weights=weights, **PATIENT | limits)
        except InfeasibleError:
            return []


def value(objective: str, plan: oracle.Costs | PartitionSolution) -> float:
    """Of a plan, the less the better."""
    if isinstance(plan, PartitionSolution):
        plan = oracle.Costs(
            plan.latency_ms, plan.energy_j, plan.emissions_g, 1e3 / plan.throughput_rps
        )
    if objective == "weighted":
        return math.fsum(weight * value(name, plan) for name, weight in WEIGHTS.items())
    return float(getattr(plan, objective))


def within(
    problem: PartitionProblem, slo_ms: int | None, max_stages: int | None
) -> list[oracle.Costs]:
    limit = math.inf if slo_ms is None else slo_ms * (1 + 1e-12)
    return [
        costs
        for _, nodes, costs in oracle.plans(problem)
        if costs.latency <= limit and len(nodes) <= (max_stages or 99)
    ]


def betters(a: tuple[float, ...], b: tuple[float, ...], slack: float = 1e-9) -> bool:
    """Whether a is as good as b in everything, up to rounding."""
    return all(x <= y + slack * max(1e-3, abs(y)) for x, y in zip(a, b, strict=True))


@given(strategies.partition_problems(), st.sampled_from(OBJECTIVES), slo_ms_s, max_stages_s)
def test_no_plan_is_better(
    problem: PartitionProblem, objective: str, slo_ms: int | None, max_stages: int | None
) -> None:
    values = [value(objective, costs) for costs in within(problem, slo_ms, max_stages)]
    for name in NAMES:
        found = solve(name, problem, objective, slo_ms=slo_ms, max_stages=max_stages)
        assert (found is None) == (not values)
        if found is None:
            continue
        assert found.optimal
        assert value(objective, found) == pytest.approx(min(values), rel=1e-9, abs=1e-12)
        assert found.latency_ms <= (slo_ms or math.inf)
        assert len(found.nodes) <= (max_stages or 99)


@given(
    strategies.partition_problems(most_operators=4),
    st.sampled_from([("energy",), ("emissions",), ("weighted",), ("emissions", "throughput")]),
    slo_ms_s,
    max_stages_s,
)
def test_fronts_hold_whatever_is_not_bettered_and_nothing_else(
    problem: PartitionProblem,
    others: tuple[str, ...],
    slo_ms: int | None,
    max_stages: int | None,
) -> None:
    objectives = ("latency", *others)
    everything = [
        tuple(value(name, costs) for name in objectives)
        for costs in within(problem, slo_ms, max_stages)
    ]
    for name in NAMES:
        front = pareto(name, problem, *objectives, slo_ms=slo_ms, max_stages=max_stages)
        got = [tuple(value(name, plan) for name in objectives) for plan in front]
        assert all(any(betters(mine, other) for mine in got) for other in everything)
        for mine in got:
            assert any(betters(other, mine) for other in everything)
            assert not any(betters(mine, other) for other in got if other is not mine)
        assert all(plan.optimal for plan in front)


@given(strategies.partition_problems(), st.sampled_from(OBJECTIVES))
def test_what_is_promised_of_a_plan_is_what_it_costs(
    problem: PartitionProblem, objective: str
) -> None:
    for name in NAMES:
        found = solve(name, problem, objective)
        assume(found is not None)
        assert found is not None
        costs = oracle.costs_of(problem, found.cuts, found.nodes)
        assert costs is not None
        assert len(set(found.nodes)) == len(found.nodes)
        assert found.latency_ms == pytest.approx(costs.latency)
        assert found.energy_j == pytest.approx(costs.energy)
        assert found.emissions_g == pytest.approx(costs.emissions)
        promised = problem.evaluate(found.cuts, found.nodes)
        assert found.throughput_rps == pytest.approx(promised.throughput_rps)


@given(strategies.partition_problems(most_operators=8), st.sampled_from(SUMS))
def test_a_plans_own_latency_is_a_target_it_meets(
    problem: PartitionProblem, objective: str
) -> None:
    for name in NAMES:
        free = solve(name, problem, objective)
        assume(free is not None and free.latency_ms > 0)
        assert free is not None
        held = solve(name, problem, objective, slo_ms=free.latency_ms)
        assert held is not None
        assert value(objective, held) == pytest.approx(value(objective, free))


TIGHT = strategies.partition_problems(most_operators=7, most_nodes=5, fewest_mb=0)


@given(
    strategies.partition_problems(most_operators=8) | TIGHT,
    st.sampled_from(OBJECTIVES),
    st.lists(st.floats(1, 2), min_size=1, max_size=3),
)
def test_a_target_that_the_best_plan_meets_changes_nothing(
    problem: PartitionProblem, objective: str, looser: list[float]
) -> None:
    for name in NAMES:
        free = solve(name, problem, objective)
        assume(free is not None and free.latency_ms > 0)
        assert free is not None
        for share in looser:
            held = solve(name, problem, objective, slo_ms=free.latency_ms * share)
            assert held == free


@given(
    strategies.partition_problems(most_operators=6) | TIGHT,
    st.sampled_from(OBJECTIVES),
    st.lists(st.floats(0.1, 40), min_size=2, max_size=5),
)
def test_a_tighter_target_never_makes_a_better_plan(
    problem: PartitionProblem, objective: str, targets: list[float]
) -> None:
    values = []
    for slo_ms in sorted(targets):
        found = solve("native", problem, objective, slo_ms=slo_ms)
        values.append(math.inf if found is None else value(objective, found))
    for tight, loose in itertools.pairwise(values):
        assert loose <= tight * (1 + 1e-9)


@pytest.mark.parametrize("name", ["native", "numba"])
def test_a_loose_target_does_not_leave_a_gap_where_there_is_none_without(name: str) -> None:
    """Eleven nodes, all needed: tables do what labels cannot."""
    problem = large(5, 150, 11, 50.0)
    free = solve(name, problem, "emissions")
    assert free is not None
    assert free.optimal
    assert solve(name, problem, "emissions", slo_ms=free.latency_ms * 1.2) == free


@pytest.mark.parametrize("objective", SUMS)
def test_many_unlike_nodes_that_are_all_needed_leave_no_gap(objective: str) -> None:
    """More of them than tables tell apart."""
    problem = large(7, 200, 12, 60.0)
    native, numba = (solve(name, problem, objective) for name in ("native", "numba"))
    assert native is not None
    assert native.optimal
    assert native == numba
    assert len(set(native.nodes)) == len(native.nodes) > 10
    own = problem.evaluate(native.cuts, native.nodes)
    assert value(objective, own) == pytest.approx(value(objective, native), rel=1e-9)


WILD = strategies.partition_problems(most_operators=4, wild=True)


@settings(max_examples=200)
@given(WILD, st.sampled_from(OBJECTIVES), st.none() | st.floats(0.1, 10))
def test_numbers_of_all_magnitudes_lose_none_of_their_digits(
    problem: PartitionProblem, objective: str, share: float | None
) -> None:
    plans = within(problem, None, None)
    assume(plans)
    slo_ms = None if share is None else sorted(p.latency for p in plans)[len(plans) // 2] * share
    assume(slo_ms is None or 0 < slo_ms <= 1e15)
    in_time = [p for p in plans if slo_ms is None or p.latency <= slo_ms * (1 + 1e-12)]
    for name in NAMES:
        found = solve(name, problem, objective, slo_ms=slo_ms)
        assert (found is None) == (not in_time)
        if found is None:
            continue
        assert found.optimal
        least = min(value(objective, costs) for costs in in_time)
        assert value(objective, found) == pytest.approx(least, rel=1e-9, abs=0)
        own = problem.evaluate(found.cuts, found.nodes)
        for measure in ("latency_ms", "energy_j", "emissions_g", "throughput_rps"):
            assert getattr(found, measure) == pytest.approx(getattr(own, measure), rel=1e-9, abs=0)


@settings(max_examples=100)
@given(WILD)
def test_fronts_of_numbers_of_all_magnitudes_lose_no_plan(problem: PartitionProblem) -> None:
    everything = [(costs.latency, costs.energy) for costs in within(problem, None, None)]
    for name in NAMES:
        front = pareto(name, problem, "latency", "energy")
        got = [(plan.latency_ms, plan.energy_j) for plan in front]
        for other in everything:
            assert any(
                all(a <= b * (1 + 1e-9) for a, b in zip(mine, other, strict=True)) for mine in got
            )


@pytest.mark.parametrize("name", NAMES)
def test_what_one_node_cannot_do_hides_nothing_of_what_it_can(name: str) -> None:
    """Operator 0 would take node 0 some 30,000 years; the rest takes it longer than node 1
    by less than shows beside that.
    """
    numbers = np.array([[1e15, 1.0], [0.03, 0.01], [0.03, 0.01]])
    problem = PartitionProblem(
        numbers,
        numbers,
        np.ones(3),
        np.zeros(4),
        node_memory_mb=np.full(2, 10.0),
        intensity_g_per_kwh=np.ones(2),
        link_latency_ms=np.full((2, 2), 0.005),
        link_mbps=np.ones((2, 2)),
        link_j_per_mb=np.zeros((2, 2)),
        stage_overhead_ms=np.zeros(2),
    )
    for objective in ("latency", "energy"):
        found = solve(name, problem, objective)
        assert found is not None
        assert (found.cuts, found.nodes) == ((), (1,))
        assert found.latency_ms == pytest.approx(1.02)
        assert found.optimal


@settings(max_examples=150)
@given(
    strategies.partition_problems(most_operators=8, most_nodes=5),
    st.sampled_from(OBJECTIVES),
    slo_ms_s,
    max_stages_s,
)
def test_backends_agree_on_small_problems_full_of_ties(
    problem: PartitionProblem, objective: str, slo_ms: int | None, max_stages: int | None
) -> None:
    limits = {"slo_ms": slo_ms, "max_stages": max_stages}
    plans = [solve(name, problem, objective, **limits) for name in NAMES]
    assert plans[0] == plans[1] == plans[2]
    fronts = [pareto(name, problem, "latency", "energy", **limits) for name in NAMES]
    assert fronts[0] == fronts[1] == fronts[2]


def large(
    seed: int, operators: int, nodes: int, memory_mb: float, kinds: int | None = None
) -> PartitionProblem:
    """Unlike nodes, the faster the hungrier, of so many kinds."""
    random = np.random.default_rng(seed)
    kinds = kinds or nodes
    alike = np.arange(nodes) % kinds
    speed = np.sort(random.uniform(0.5, 2, kinds))
    work = random.uniform(0.1, 2, (operators, 1)) * random.uniform(0.8, 1.2, (operators, kinds))
    power = 10 * speed**1.5 * random.uniform(0.9, 1.1, kinds)
    links = np.ix_(alike, alike)
    return PartitionProblem(
        (work / speed)[:, alike],
        (work / speed * power / 1e3)[:, alike],
        random.uniform(1, 5, operators),
        random.uniform(0.01, 1, operators + 1),
        node_memory_mb=np.full(nodes, memory_mb),
        intensity_g_per_kwh=random.uniform(20, 800, kinds)[alike],
        link_latency_ms=random.uniform(0.05, 0.5, (kinds, kinds))[links],
        link_mbps=random.uniform(500, 10_000, (kinds, kinds))[links],
        link_j_per_mb=random.uniform(0, 0.001, (kinds, kinds))[links],
        stage_overhead_ms=np.full(nodes, 0.05),
        embodied_g_per_hour=random.uniform(0, 1, kinds)[alike],
    )


MIDDLING = {
    "room for all": large(1, 40, 6, 200.0),
    "six nodes, all needed": large(2, 30, 6, 20.0),
    "five of each of three kinds": large(3, 60, 15, 16.0, kinds=3),
    "a source": replace(large(4, 40, 6, 40.0), source=2),
}


@pytest.mark.parametrize("problem", MIDDLING.values(), ids=MIDDLING)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("slo_share", [None, 1.1])
def test_backends_find_the_same_plan_to_the_last_bit(
    problem: PartitionProblem, objective: str, slo_share: float | None
) -> None:
    fastest = solve("native", problem, "latency")
    assert fastest is not None
    slo_ms = None if slo_share is None else fastest.latency_ms * slo_share
    native, numba = (solve(name, problem, objective, slo_ms=slo_ms) for name in ("native", "numba"))
    assert native is not None
    assert native.optimal
    assert native == numba


@pytest.mark.parametrize("problem", MIDDLING.values(), ids=MIDDLING)
@pytest.mark.parametrize("max_stages", [None, 4])
def test_backends_find_the_same_front_to_the_last_bit(
    problem: PartitionProblem, max_stages: int | None
) -> None:
    native, numba = (
        pareto(name, problem, "latency", "emissions", max_stages=max_stages)
        for name in ("native", "numba")
    )
    assert native == numba


def test_backends_find_the_same_front_with_throughput() -> None:
    problem = large(5, 25, 5, 60.0)
    native, numba = (
        pareto(name, problem, "latency", "emissions", "throughput", epsilon=0.2)
        for name in ("native", "numba")
    )
    assert len(native) > 5
    assert native == numba


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
    problem = large(2, 20, 4, 25.0)
    plans = [solve(name, problem, "emissions", slo_ms=30.0) for name in NAMES]
    assert plans[0] is not None
    assert plans[0] == plans[1] == plans[2]
    fronts = [pareto(name, problem, "latency", "emissions") for name in NAMES]
    assert len(fronts[0]) > 3
    assert fronts[0] == fronts[1] == fronts[2]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", ["native", "numba"])
def test_a_thousand_nodes_of_five_kinds_are_as_quick_as_five(name: str, objective: str) -> None:
    problem = large(6, 100, 1000, 30.0, kinds=5)
    found = solve(name, problem, objective)
    assert found is not None
    assert found.optimal
    assert len(set(found.nodes)) == len(found.nodes) > 5


CUT_SHORT: dict[str, Callable[[str, float], Any]] = {
    "within a target": lambda name, limit_s: [
        solve(name, large(8, 120, 12, 45.0), "emissions", slo_ms=110.0, time_limit_s=limit_s)
    ],
    "front": lambda name, limit_s: pareto(
        name, large(7, 300, 14, 500.0), "latency", "emissions", time_limit_s=limit_s
    ),
    "throughput": lambda name, limit_s: [
        solve(name, large(7, 800, 16, 400.0), "throughput", time_limit_s=limit_s / 10)
    ],
}


@pytest.mark.parametrize("name", ["native", "numba"])
@pytest.mark.parametrize("search", CUT_SHORT.values(), ids=CUT_SHORT)
def test_a_time_limit_is_kept_and_something_found_by_then(
    search: Callable[[str, float], Any], name: str
) -> None:
    search(name, 1e-3)  # compiles
    began = time.process_time()
    plans = search(name, 0.3)
    assert time.process_time() - began < 1.5
    assert plans
    for plan in plans:
        assert not plan.optimal
        assert 0 < plan.gap <= 1


@pytest.mark.parametrize("name", ["native", "numba"])
@pytest.mark.parametrize("memory_mb", [1e6, 100.0])
@pytest.mark.parametrize("slo_share", [None, 1.5])
@pytest.mark.parametrize("objective", ["latency", "emissions", "throughput", "front"])
def test_many_unlike_nodes_have_a_plan_whatever_the_time(
    objective: str, slo_share: float | None, memory_mb: float, name: str
) -> None:
    """Tables alone would take many times the limit."""
    problem = large(3, 1000, 200, memory_mb)
    solve(name, problem, "latency", time_limit_s=1e-3)  # compiles
    rough = solve(name, problem, "latency", time_limit_s=1e-3)
    assert rough is not None
    slo_ms = None if slo_share is None else rough.latency_ms * slo_share
    began = time.perf_counter()
    limits = {"slo_ms": slo_ms, "time_limit_s": 0.1}
    if objective == "front":
        plans = pareto(name, problem, "latency", "emissions", **limits)
    else:
        found = solve(name, problem, objective, **limits)
        plans = [] if found is None else [found]
    assert time.perf_counter() - began < 3
    assert plans
    for plan in plans:
        assert len(set(plan.nodes)) == len(plan.nodes)
        assert plan.latency_ms <= (slo_ms or math.inf)
        assert 0 < plan.gap < 1


LIMITS_S = (1e-6, 1e-3, 3e-3)
BRACKETED = [large(11, 30, 12, 16.0, kinds=3), large(0, 30, 6, 20.0), large(2, 30, 12, 40.0, 2)]


@pytest.mark.parametrize("name", ["native", "numba"])
@pytest.mark.parametrize("problem", BRACKETED)
@pytest.mark.parametrize("objective", ["emissions", "throughput"])
def test_a_plan_cut_short_brackets_the_best(
    problem: PartitionProblem, objective: str, name: str
) -> None:
    fastest = solve("native", problem, "latency")
    assert fastest is not None
    slo_ms = fastest.latency_ms * 1.1 if objective == "emissions" else None
    best = solve("native", problem, objective, slo_ms=slo_ms)
    assert best is not None
    assert best.optimal
    for limit_s in LIMITS_S:
        short = solve(name, problem, objective, slo_ms=slo_ms, time_limit_s=limit_s)
        if short is None:
            continue
        least = value(objective, short) * (1 - short.gap)
        assert least <= value(objective, best) * (1 + 1e-9)
        assert value(objective, best) <= value(objective, short) * (1 + 1e-9)


@pytest.mark.parametrize("name", ["native", "numba"])
@pytest.mark.parametrize("problem", BRACKETED)
def test_a_front_cut_short_is_within_its_gap(problem: PartitionProblem, name: str) -> None:
    front = pareto("native", problem, "latency", "emissions")
    assert front[0].optimal
    for limit_s in LIMITS_S:
        short = pareto(name, problem, "latency", "emissions", time_limit_s=limit_s)
        for best in front:
            off = min(
                max(
                    1 - best.latency_ms / plan.latency_ms,
                    1 - best.emissions_g / plan.emissions_g,
                )
                for plan in short
            )
            assert off <= short[0].gap + 1e-9


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


@pytest.mark.parametrize("name", NAMES)
def test_scaling_every_time_scales_the_latency(name: str) -> None:
    problem = large(5, 20, 4, 60.0)
    twice = replace(
        problem,
        time_ms=problem.time_ms * 2,
        link_latency_ms=problem.link_latency_ms * 2,
        link_mbps=problem.link_mbps / 2,
        stage_overhead_ms=problem.stage_overhead_ms * 2,
    )
    once, doubled = (solve(name, p, "latency") for p in (problem, twice))
    assert once is not None
    assert doubled is not None
    assert (once.cuts, once.nodes) == (doubled.cuts, doubled.nodes)
    assert doubled.latency_ms == 2 * once.latency_ms


def test_every_backend_has_its_own_kernels() -> None:
    solvers: list[Callable[..., Any]] = [load(name).solve_partition for name in NAMES]
    assert len({id(solver) for solver in solvers}) == 3
