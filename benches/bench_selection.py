"""One decision among 3 to a million nodes, which change between decisions.

The tree search stands beside the scan that looks at every node, the same kernels by
Numba, a NumPy expression and a plain Python loop.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from clusters import GREEN, TASK, columns, life, medians_us
from pytest_benchmark.fixture import BenchmarkFixture
from yardsticks import LOOPS, scaled_numpy

from carbonedge import Scheduler

SIZES = (3, 1_000, 100_000, 1_000_000)
GOALS_US = {3: 0.8, 1_000: 1.5, 100_000: 6.0, 1_000_000: 12.0}
GOAL_P99_US = 100.0
GOAL_UPDATE_US = 2.0
GOAL_DECISIONS_PER_S = 10e6
GOAL_BYTES_PER_NODE = 200.0
LARGEST_LOOP = 1_000
LARGEST_NUMBA = 100_000

Contender = tuple[Callable[[], Any], Callable[[Any], None]]


def started(events: Iterator[None]) -> Callable[[Any], None]:
    next(events)
    return events.send  # type: ignore[attr-defined]


def ours(count: int, *, scan: bool = False) -> Contender:
    """Decides, and what happens then. A scan reserves nothing, so a search follows it."""
    scheduler = Scheduler(columns(count), mode="green")
    between = started(life(scheduler, count))
    needs = (TASK.cpu_cores, TASK.memory_mb, TASK.slo_ms)
    scheduler.schedule(TASK)
    if not scan:
        return functools.partial(scheduler.schedule, TASK), between

    def follow(seen: Any) -> None:
        decision = scheduler.schedule(TASK)
        assert decision[1:3] == seen[1:3]
        between(decision)

    table = scheduler._table
    return functools.partial(table.scan, *needs), follow


def theirs(count: int, name: str) -> Contender:
    """The yardsticks keep no state but a load that changes."""
    state = columns(count)
    generator = np.random.default_rng(1)
    first = Scheduler(state, mode="green").schedule(TASK).index
    if name == "numpy":

        def change(_: Any) -> None:
            state["load"][generator.integers(count)] = generator.uniform(0, 0.7)

        assert scaled_numpy(state, TASK) == first
        return lambda: scaled_numpy(state, TASK), change
    rows = [{field: float(state[field][i]) for field in state} for i in range(count)]

    def change_row(_: Any) -> None:
        rows[int(generator.integers(count))]["load"] = generator.uniform(0, 0.7)

    assert LOOPS["normalized"](rows, TASK) == first
    return lambda: LOOPS["normalized"](rows, TASK), change_row


def contender(name: str, count: int, use_backend: Callable[[str], None]) -> Contender:
    if name in ("numpy", "loop"):
        return theirs(count, name)
    use_backend("numba" if name == "numba" else "native")
    return ours(count, scan=name == "scan")


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("name", ["native", "scan", "numba", "numpy", "loop"])
def bench_decide(
    benchmark: BenchmarkFixture, use_backend: Callable[[str], None], name: str, count: int
) -> None:
    largest = {"loop": LARGEST_LOOP, "numba": LARGEST_NUMBA}.get(name, count)
    if count > largest:
        pytest.skip(f"{name} is shown up to {largest:,} nodes")
    benchmark.group = f"decide among {count:,} nodes, normalized"
    decide, between = contender(name, count, use_backend)
    last: list[Any] = []

    def setup() -> None:
        if last:
            between(last.pop())

    rounds = 2_000 if name in ("native", "numba") else 20
    benchmark.pedantic(lambda: last.append(decide()), setup=setup, rounds=rounds, warmup_rounds=5)
    if name == "native" and benchmark.stats is not None:
        goal = GOALS_US[count]
        benchmark.extra_info["of goal"] = round(benchmark.stats.stats.median * 1e6 / goal, 3)
    assert last


@pytest.mark.parametrize("count", SIZES)
def bench_goal_decision(
    record_ratio: Callable[..., None], use_backend: Callable[[str], None], count: int
) -> None:
    use_backend("native")
    medians_us(*ours(count), decisions=20)
    runs = [medians_us(*ours(count), decisions=3_000) for _ in range(3)]
    median_us = min(median for median, _ in runs)
    p99_us = min(p99 for _, p99 in runs)
    scan_us, _ = medians_us(*ours(count, scan=True), decisions=11)
    label = f"decision among {count:,} nodes"
    record_ratio(f"{label}, median us", median_us, at_most=GOALS_US[count])
    if count == max(SIZES):
        record_ratio(f"{label}, 99th percentile us", p99_us, at_most=GOAL_P99_US)
    record_ratio(f"{label}, scan over search, x", scan_us / median_us)


def bench_goal_update(
    record_ratio: Callable[..., None], use_backend: Callable[[str], None]
) -> None:
    use_backend("native")
    count = 1_000_000
    scheduler = Scheduler(columns(count), mode="green")
    scheduler.schedule(TASK)
    generator = np.random.default_rng(2)
    names = iter([str(i) for i in generator.integers(count, size=50_000)])
    median_us, _ = medians_us(
        lambda: scheduler.update(next(names), load=0.25), lambda _: None, decisions=40_000
    )
    record_ratio("update of one among 1,000,000 nodes, us", median_us, at_most=GOAL_UPDATE_US)


def bench_goal_schedule_many(
    record_ratio: Callable[..., None], use_backend: Callable[[str], None]
) -> None:
    use_backend("native")
    scheduler = Scheduler(
        columns(3) | {"cpu_cores": np.full(3, 1e9), "memory_mb": np.full(3, 1e12)}, mode="green"
    )
    cpu_cores, memory_mb = np.full(100_000, TASK.cpu_cores), np.full(100_000, TASK.memory_mb)
    best_s = np.inf
    for _ in range(9):
        began = time.perf_counter()
        chosen = scheduler.schedule_many(cpu_cores, memory_mb)
        best_s = min(best_s, time.perf_counter() - began)
    assert chosen.min() >= 0
    record_ratio(
        "schedule_many, 3 nodes, million decisions a second",
        len(chosen) / best_s / 1e6,
        at_least=GOAL_DECISIONS_PER_S / 1e6,
    )


MEMORY = """
import gc, resource, sys
sys.path.insert(0, {folder!r})
from clusters import TASK, columns
from carbonedge import Scheduler

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

count = 1_000_000
Scheduler(columns(3)).schedule(TASK)
state = columns(count)
before = resident()
scheduler = Scheduler(state)
scheduler.schedule(TASK)
print((resident() - before) / count)
"""


def bench_goal_memory(record_ratio: Callable[..., None], request: pytest.FixtureRequest) -> None:
    """Of the scheduler alone, with its tree; the arrays it was made from not counted."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc/self/statm")
    script = MEMORY.format(folder=str(request.path.parent))
    result = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    record_ratio(
        "a scheduler of 1,000,000 nodes, bytes a node",
        float(result.stdout),
        at_most=GOAL_BYTES_PER_NODE,
    )


def bench_choices_are_those_of_the_expression(use_backend: Callable[[str], None]) -> None:
    for seed in range(3):
        state = columns(20_000, seed)
        expected = scaled_numpy(state, TASK)
        for name in ("native", "numba"):
            use_backend(name)
            assert Scheduler(state, mode="green").schedule(TASK).index == expected
    assert sum(GREEN) == pytest.approx(1.0)
