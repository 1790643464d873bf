"""One decision: the core beside its twin, a plain Python loop and a NumPy expression.

Before every decision one node's load changes, for all contenders alike, so that none can
answer from memory. The loop and the expression read ready dictionaries and arrays, as
code written for speed in either would.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from clusters import GREEN, MAX_LOAD, TASK
from pytest_benchmark.fixture import BenchmarkFixture
from yardsticks import EXPRESSIONS, FIELDS, LOOPS, paper_loop

from carbonedge import Node, Scheduler, schedule
from carbonedge._backend import backend
from carbonedge.experiments import paper_cluster

LOAD = 5
GOAL_SCHEDULE_US = 1.5
GOAL_ONE_SHOT_US = 6.0


def three_nodes() -> list[Node]:
    """The paper's nodes, with room for any number of tasks."""
    times_ms = (254.85, 424.75, 585.0)
    return [
        replace(node, cpu_cores=1e6, memory_mb=1e9, avg_time_ms=time_ms)
        for node, time_ms in zip(paper_cluster().nodes, times_ms, strict=True)
    ]


def many_nodes(count: int, seed: int = 0) -> list[Node]:
    """Unlike nodes, about a tenth of them above the load limit."""
    random = np.random.default_rng(seed)
    return [
        Node(
            f"n{i}",
            cpu_cores=random.uniform(1, 64),
            memory_mb=random.uniform(1e3, 1e5),
            power_w=random.uniform(1, 300),
            intensity_g_per_kwh=random.uniform(20, 800),
            load=random.uniform(0, 0.89),
            network_latency_ms=random.uniform(0, 50),
            avg_time_ms=random.uniform(5, 500),
            running_tasks=int(random.integers(0, 5)),
            parallelism=4,
        )
        for i in range(count)
    ]


def hundred_nodes() -> list[Node]:
    """A hundred of them, with room for any number of tasks."""
    return [replace(node, cpu_cores=1e6, memory_mb=1e9) for node in many_nodes(100)]


def contenders(
    nodes: list[Node], scoring: str, use_backend: Callable[[str], None], names: tuple[str, ...]
) -> dict[str, Callable[[], int]]:
    """By name, a change of one node's load followed by a decision."""
    made: dict[str, Callable[[], int]] = {}
    loads = [(i, min(MAX_LOAD, nodes[i].load * 0.9)) for i in range(0, len(nodes), 7)]

    for name in names:
        changes = itertools.cycle(loads)
        if name == "loop":
            rows = [{f: float(getattr(node, f)) for f in FIELDS} for node in nodes]

            def loop(rows: Any = rows, changes: Any = changes) -> int:
                index, load = next(changes)
                rows[index]["load"] = load
                return LOOPS[scoring](rows, TASK)

            made[name] = loop
        elif name == "numpy":
            columns = {f: np.array([float(getattr(n, f)) for n in nodes]) for f in FIELDS}

            def expression(columns: Any = columns, changes: Any = changes) -> int:
                index, load = next(changes)
                columns["load"][index] = load
                return EXPRESSIONS[scoring](columns, TASK)

            made[name] = expression
        else:
            use_backend(name)
            table = backend().NodeTable(
                nodes,
                [n.name for n in nodes],
                GREEN,
                ("paper", "normalized").index(scoring),
                MAX_LOAD,
                np.inf,
                0.2,
            )

            def kernel(table: Any = table, changes: Any = changes) -> int:
                index, load = next(changes)
                table.set(index, LOAD, load)
                return int(table.select(TASK.cpu_cores, TASK.memory_mb, None)[1])

            kernel()
            made[name] = kernel
    return made


def answers_agree(made: dict[str, Callable[[], int]], decisions: int) -> None:
    for _ in range(decisions):
        assert len({decide() for decide in made.values()}) == 1


def best_us(decide: Callable[[], int], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        decide()
    return (time.perf_counter() - began) / calls * 1e6


def ratios(
    made: dict[str, Callable[[], Any]], calls: dict[str, int], rounds: int = 7
) -> dict[str, float]:
    """Least mean time of each in us, all taken in turn."""
    taken = [
        {name: best_us(decide, calls[name]) for name, decide in made.items()} for _ in range(rounds)
    ]
    return {name: min(one[name] for one in taken) for name in made}


@pytest.mark.benchmark(group="Scheduler.schedule, 3 nodes")
def bench_schedule_3(benchmark: BenchmarkFixture) -> None:
    scheduler = Scheduler(three_nodes(), mode="green", scoring="normalized")
    decision = benchmark(scheduler.schedule, TASK)
    assert decision.node == "node-green"
    _of_goal(benchmark, GOAL_SCHEDULE_US)


@pytest.mark.benchmark(group="Scheduler.schedule, 3 nodes")
def bench_loop_3(benchmark: BenchmarkFixture) -> None:
    rows = [{f: float(getattr(node, f)) for f in FIELDS} for node in three_nodes()]
    assert benchmark(paper_loop, rows, TASK) == 2


@pytest.mark.parametrize("scoring", ["paper", "normalized"])
def bench_schedule_100(benchmark: BenchmarkFixture, scoring: str) -> None:
    benchmark.group = f"Scheduler.schedule, 100 nodes, {scoring}"
    scheduler = Scheduler(hundred_nodes(), mode="green", scoring=scoring)
    decision = benchmark(scheduler.schedule, TASK)
    assert decision.node.startswith("n")


@pytest.mark.parametrize("scoring", ["paper", "normalized"])
def bench_loop_100(benchmark: BenchmarkFixture, scoring: str) -> None:
    benchmark.group = f"Scheduler.schedule, 100 nodes, {scoring}"
    nodes = hundred_nodes()
    rows = [{f: float(getattr(node, f)) for f in FIELDS} for node in nodes]
    first = Scheduler(nodes, mode="green", scoring=scoring).schedule(TASK).index
    assert benchmark(LOOPS[scoring], rows, TASK) == first


@pytest.mark.benchmark(group="schedule() once, a list of 3 Nodes")
def bench_one_shot_3(benchmark: BenchmarkFixture) -> None:
    nodes = three_nodes()
    decision = benchmark(schedule, TASK, nodes, mode="green")
    assert decision.node == "node-green"
    _of_goal(benchmark, GOAL_ONE_SHOT_US)


@pytest.mark.benchmark(group="schedule and complete, 3 nodes")
def bench_schedule_and_complete(benchmark: BenchmarkFixture) -> None:
    scheduler = Scheduler(three_nodes(), mode="green")

    def cycle() -> str:
        decision = scheduler.schedule(TASK)
        scheduler.complete(decision, decision.latency_ms)
        return decision.node

    assert benchmark(cycle) == "node-green"


@pytest.mark.parametrize("scoring", ["paper", "normalized"])
@pytest.mark.parametrize("name", ["native", "numba", "loop", "numpy"])
def bench_select_10_000(
    benchmark: BenchmarkFixture, use_backend: Callable[[str], None], scoring: str, name: str
) -> None:
    benchmark.group = f"choose among 10,000 nodes, {scoring}"
    nodes = many_nodes(10_000)
    answers_agree(contenders(nodes, scoring, use_backend, ("native", name)), 2)
    decide = contenders(nodes, scoring, use_backend, (name,))[name]
    assert benchmark(decide) >= 0


def bench_goals_3_and_100(
    record_ratio: Callable[..., None], use_backend: Callable[[str], None]
) -> None:
    """`Scheduler.schedule` against the loop; the scheduler keeps state, the loop does not."""
    rows = {}
    for count, roomy in ((3, three_nodes()), (100, hundred_nodes())):
        for scoring in ("paper", "normalized"):
            scheduler = Scheduler(roomy, mode="green", scoring=scoring)
            loop = contenders(roomy, "paper", use_backend, ("loop",))["loop"]
            one_shot = (
                (lambda n=roomy: schedule(TASK, n, mode="green").index) if count == 3 else loop
            )
            rows[count, scoring] = ratios(
                {
                    "ours": lambda s=scheduler: s.schedule(TASK).index,
                    "loop": loop,
                    "one": one_shot,
                },
                {"ours": 5000, "loop": 1000, "one": 1000},
            )
    ours = rows[3, "normalized"]
    record_ratio("Scheduler.schedule, 3 nodes, us", ours["ours"], at_most=GOAL_SCHEDULE_US)
    record_ratio("schedule(), a list of 3 Nodes, us", ours["one"], at_most=GOAL_ONE_SHOT_US)
    for scoring in ("paper", "normalized"):
        three, hundred = rows[3, scoring], rows[100, scoring]
        label = f"Scheduler.schedule {scoring} over a paper loop"
        record_ratio(f"{label}, 3 nodes, x", three["loop"] / three["ours"], at_least=1)
        record_ratio(f"{label}, 100 nodes, x", hundred["loop"] / hundred["ours"], at_least=30)


@pytest.mark.parametrize("scoring", ["paper", "normalized"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def bench_goals_10_000(
    record_ratio: Callable[..., None], use_backend: Callable[[str], None], seed: int, scoring: str
) -> None:
    names = ("native", "numba", "loop", "numpy")
    made = contenders(many_nodes(10_000, seed), scoring, use_backend, names)
    answers_agree(made, 3)
    us = ratios(made, {"native": 500, "numba": 200, "loop": 2, "numpy": 30})
    label = f"10,000 nodes {seed}, {scoring}: native over"
    record_ratio(f"{label} a Python loop, x", us["loop"] / us["native"], at_least=1000)
    record_ratio(f"{label} a NumPy expression, x", us["numpy"] / us["native"], at_least=50)
    record_ratio(
        f"10,000 nodes {seed}, {scoring}: numba over native, one call each, x",
        us["numba"] / us["native"],
    )


@pytest.mark.parametrize("scoring", ["paper", "normalized"])
def bench_goal_numba(
    record_ratio: Callable[..., None], use_backend: Callable[[str], None], scoring: str
) -> None:
    """The kernels alone: tasks placed in one call, since a call of what Numba compiled takes
    longer than a decision.
    """
    nodes = [replace(node, cpu_cores=1e6, memory_mb=1e9) for node in many_nodes(10_000)]
    cpu_cores, memory_mb = np.full(2_000, TASK.cpu_cores), np.full(2_000, TASK.memory_mb)
    schedulers = {}
    for name in ("native", "numba"):
        use_backend(name)
        schedulers[name] = Scheduler(nodes, mode="green", scoring=scoring)
    chosen = {name: s.schedule_many(cpu_cores, memory_mb) for name, s in schedulers.items()}
    np.testing.assert_array_equal(chosen["native"], chosen["numba"])
    us = ratios(
        {name: lambda s=s: s.schedule_many(cpu_cores, memory_mb) for name, s in schedulers.items()},
        dict.fromkeys(schedulers, 1),
        rounds=40,
    )
    record_ratio(
        f"10,000 nodes, {scoring}: numba over native, many in one call, x",
        us["numba"] / us["native"],
        at_most=3,
    )


def bench_goal_update_many(record_ratio: Callable[..., None]) -> None:
    """The intensities of a thousand nodes, and the next decision, beside an update of each."""
    nodes = many_nodes(1000)
    many, single = (Scheduler(nodes, mode="green") for _ in range(2))
    intensities = np.random.default_rng(1).uniform(20, 800, 1000)
    by_name = [(node.name, float(intensities[i])) for i, node in enumerate(nodes)]

    def at_once() -> int:
        many.update_many(intensity_g_per_kwh=intensities)
        return decided(many)

    def one_by_one() -> int:
        for name, intensity in by_name:
            single.update(name, intensity_g_per_kwh=intensity)
        return decided(single)

    def decided(scheduler: Scheduler) -> int:
        decision = scheduler.schedule(TASK)
        scheduler.complete(decision, None)
        return decision.index

    assert at_once() == one_by_one()
    us = ratios({"many": at_once, "single": one_by_one}, {"many": 300, "single": 5})
    record_ratio("update_many of 1,000 nodes, and a decision, us", us["many"], at_most=60)
    record_ratio("1,000 times update over update_many, x", us["single"] / us["many"], at_least=15)


def _of_goal(benchmark: BenchmarkFixture, goal_us: float) -> None:
    if benchmark.stats is not None:
        median_us = benchmark.stats.stats.median * 1e6
        benchmark.extra_info["of goal"] = round(median_us / goal_us, 3)
