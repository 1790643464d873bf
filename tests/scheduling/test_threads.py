"""Several threads on one scheduler."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from carbonedge import InfeasibleError, Node, Scheduler, Task

pytestmark = pytest.mark.usefixtures("each_backend")

THREADS = 4
NEWCOMER = {"cpu_cores": 8, "memory_mb": 900, "power_w": 0.5, "intensity_g_per_kwh": 1.0}


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def nodes(count: int) -> list[Node]:
    return [
        Node(
            f"n{i}",
            cpu_cores=2,
            memory_mb=200,
            power_w=1 + i % 3,
            intensity_g_per_kwh=100.0 * (i % 5),
            avg_time_ms=5.0,
        )
        for i in range(count)
    ]


def run_all(work: Callable[[int], None]) -> None:
    """In threads that begin together; what goes wrong in one goes wrong here."""
    ready = threading.Barrier(THREADS)

    def begin(number: int) -> None:
        ready.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(begin, range(THREADS)))


# The larger is searched by trees.
@pytest.mark.parametrize("count", [5, 150])
@pytest.mark.parametrize("scoring", ["paper", "normalized", "constrained"])
def test_at_the_end_all_is_as_at_the_start(scoring: str, count: int) -> None:
    scheduler = Scheduler(nodes(count), mode="green", scoring=scoring)
    before = scheduler.snapshot()

    def work(number: int) -> None:
        own = random.Random(number)
        held = []
        for step in range(40):
            try:
                held.append(scheduler.schedule(Task(cpu_cores=0.3, memory_mb=10.0)))
            except InfeasibleError:
                assert count == 5
            chosen, taken = scheduler.schedule_many([0.1, 0.2], [1.0, 2.0], tickets=True)
            assert all((chosen >= 0) == (taken > 0))
            held += taken[taken > 0].tolist()
            scheduler.update(f"n{own.randrange(5)}", load=own.choice([0.0, 0.5, 0.9]))
            own.shuffle(held)
            while len(held) > step % 7:
                scheduler.complete(held.pop(), 5.0)
        for task in held:
            scheduler.complete(task, 5.0)

    run_all(work)
    for i in range(5):
        scheduler.update(f"n{i}", load=0.0)
    assert scheduler.snapshot() == before
    fresh = Scheduler(nodes(count), mode="green", scoring=scoring)
    for i in range(count):
        assert scheduler._table.free(i) == fresh._table.free(i)
    task = Task(cpu_cores=0.3, memory_mb=10.0)
    assert scheduler.schedule(task)[:-1] == fresh.schedule(task)[:-1]


def test_nodes_that_come_and_go_in_threads_leave_the_others_alone() -> None:
    scheduler = Scheduler(nodes(140), mode="green")
    before = scheduler.snapshot()["columns"]

    def work(number: int) -> None:
        for step in range(12):
            name = f"{number}-{step}"
            index = scheduler.add(Node(name, **NEWCOMER))
            assert index >= 140
            decisions = [scheduler.schedule(Task()) for _ in range(3)]
            scheduler.remove(name)
            for decision in decisions:
                scheduler.complete(decision, 5.0)

    run_all(work)
    assert len(scheduler) == 140 + 12 * THREADS
    after = scheduler.snapshot()
    assert {field: values[:140] for field, values in after["columns"].items()} == before
    assert not any(after["columns"]["parallelism"][140:])
    assert after["reservations"] == []


def test_a_snapshot_taken_meanwhile_can_be_restored() -> None:
    """It shows as many running tasks as it holds reservations."""
    scheduler = Scheduler(nodes(40), mode="green")
    taken: list[str] = []
    enough = threading.Event()

    def work(number: int) -> None:
        while not enough.is_set():
            if number == 0:
                taken.append(json.dumps(scheduler.snapshot()))
                if len(taken) == 200:
                    enough.set()
            else:
                scheduler.complete(scheduler.schedule(Task()), 5.0)

    run_all(work)
    for text in taken:
        restored = Scheduler.restore(json.loads(text))
        snapshot = restored.snapshot()
        assert sum(snapshot["columns"]["running_tasks"]) == len(snapshot["reservations"])
        for ticket, *_ in snapshot["reservations"]:
            restored.complete(ticket, 5.0)
        assert restored._table.free(0) == (2.0, 200.0)
