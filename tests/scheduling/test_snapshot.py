from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from carbonedge import Decision, Node, Scheduler, Task
from carbonedge._backend import ENVIRONMENT_VARIABLE
from carbonedge._kernels import FIELDS


def node(name: str, **changes: Any) -> Node:
    fine = {"cpu_cores": 1, "memory_mb": 100, "power_w": 5, "intensity_g_per_kwh": 9}
    return Node(name, **{**fine, "avg_time_ms": 10.0, **changes})


def lived() -> tuple[Scheduler, Decision, Decision]:
    """Nodes c, a, b, of which a was removed while its task ran, and a named anew; with
    the open decisions of the old a and of b.
    """
    scheduler = Scheduler(
        [node("c", load=0.9), node("a", power_w=1), node("b", power_w=2)],
        mode="green",
        scoring="constrained",
        max_network_latency_ms=30.0,
        smoothing=0.5,
    )
    of_a = scheduler.schedule(Task(memory_mb=10.0))
    scheduler.remove("a")
    of_b = scheduler.schedule(Task(cpu_cores=0.25, memory_mb=20.0))
    scheduler.schedule_many([0.5], [5.0])
    scheduler.add(node("a", power_w=9))
    assert (of_a.node, of_b.node) == ("a", "b")
    return scheduler, of_a, of_b


def snapshot() -> dict[str, Any]:
    return json.loads(json.dumps(lived()[0].snapshot()))


@pytest.mark.usefixtures("each_backend")
def test_a_snapshot_by_hand() -> None:
    scheduler, of_a, of_b = lived()
    taken = scheduler.snapshot()
    columns = taken.pop("columns")
    reservations = taken.pop("reservations")
    assert taken == {
        "version": 1,
        "weights": [0.15, 0.15, 0.1, 0.1, 0.5],
        "scoring": "constrained",
        "max_load": 0.8,
        "max_network_latency_ms": 30.0,
        "smoothing": 0.5,
        "names": ["c", "a", "b", "a"],
    }
    assert sorted(reservations) == sorted(
        [
            [0, 2, 5e8, 5e6],
            [of_a.ticket, -1, 1e8, 1e7],
            [of_b.ticket, 2, 2.5e8, 2e7],
        ]
    )
    assert list(columns) == list(FIELDS)
    assert columns["parallelism"] == [1, 0, 1, 1]
    assert columns["running_tasks"] == [0, 1, 2, 0]
    assert columns["power_w"] == [5, 1, 2, 9]


@pytest.mark.usefixtures("each_backend")
def test_what_is_restored_goes_on_where_it_was() -> None:
    scheduler, of_a, of_b = lived()
    restored = Scheduler.restore(json.loads(json.dumps(scheduler.snapshot())))
    assert restored.snapshot() == scheduler.snapshot()
    for each in (scheduler, restored):
        each.complete(of_a, 5.0)
        each.complete(of_b, 30.0)
        with pytest.raises(ValueError, match="holds no reservation here"):
            each.complete(of_b, 30.0)
        with pytest.raises(ValueError, match="there is a node 'a' already"):
            each.add(node("a"))
        # The mean of 10 and 30, by a smoothing of a half.
        assert each.snapshot()["columns"]["avg_time_ms"][2] == 20.0
        assert each._table.free(2) == (0.5, 95.0)
        each.update("a", power_w=0.5)
        assert (each.schedule(Task()).index, len(each)) == (3, 4)
        assert each.add(node("d")) == 4
    assert (
        restored.schedule(Task(cpu_cores=0.9))[:-1] == scheduler.schedule(Task(cpu_cores=0.9))[:-1]
    )


@pytest.mark.usefixtures("each_backend")
def test_tasks_without_tickets_stay_through_any_number_of_snapshots() -> None:
    scheduler = Scheduler([node("one")])
    for _ in range(3):
        scheduler.schedule_many([0.1, 0.2], [1.0, 2.0])
        decision = scheduler.schedule(Task(cpu_cores=0.01, memory_mb=1.0))
        scheduler = Scheduler.restore(scheduler.snapshot())
        scheduler.complete(decision, 1.0)
    assert scheduler._table.free(0) == (0.1, 91.0)
    assert scheduler.snapshot()["columns"]["running_tasks"] == [6]


@pytest.mark.usefixtures("each_backend")
def test_nodes_named_by_position_stay_so() -> None:
    scheduler = Scheduler(
        {"cpu_cores": [1, 2, 3], "memory_mb": 64, "power_w": 1, "intensity_g_per_kwh": 1}
    )
    scheduler.remove("1")
    restored = Scheduler.restore(scheduler.snapshot())
    restored.update("2", load=0.5)
    with pytest.raises(ValueError, match="there is no node '1'"):
        restored.update("1", load=0.5)
    assert {restored.schedule(Task(memory_mb=1.0)).node for _ in range(20)} == {"0", "2"}


@pytest.mark.usefixtures("each_backend")
def test_a_snapshot_can_be_restored_twice_and_keeps_nothing_of_either() -> None:
    taken = lived()[0].snapshot()
    before = copy.deepcopy(taken)
    for _ in range(2):
        restored = Scheduler.restore(taken)
        restored.add(node("new"))
        restored.schedule_many([0.1], [1.0])
        assert taken == before
        assert restored._names is not taken["names"]


def test_numbers_of_numpys_go_into_json() -> None:
    scheduler = Scheduler([node("one")], smoothing=np.float32(0.5), max_load=np.float32(0.5))
    restored = Scheduler.restore(json.loads(json.dumps(scheduler.snapshot())))
    assert restored.snapshot() == scheduler.snapshot()


@pytest.mark.parametrize("key", snapshot())
def test_each_part_of_a_snapshot_is_needed(key: str) -> None:
    taken = snapshot()
    del taken[key]
    with pytest.raises(ValueError, match=f"a snapshot has no '{key}'"):
        Scheduler.restore(taken)


@pytest.mark.parametrize("field", FIELDS)
def test_each_column_of_a_snapshot_is_needed_and_whole(field: str) -> None:
    taken = snapshot()
    values = taken["columns"].pop(field)
    with pytest.raises(ValueError, match=f"a snapshot has no column '{field}'"):
        Scheduler.restore(taken)
    for wrong in (values[:-1], [*values, 1.0], []):
        taken["columns"][field] = wrong
        with pytest.raises(ValueError, match="give columns of one length"):
            Scheduler.restore(taken)
    for wrong in ([*values[:-1], math.nan], [*values[:-1], -1.0], [*values[:-1], 1e300]):
        taken["columns"][field] = wrong
        with pytest.raises((ValueError, TypeError), match=rf"{field}\[3\] is "):
            Scheduler.restore(taken)
    for wrong in ([*values[:-1], "1"], None, [*values[:-1], None], "1"):
        taken["columns"][field] = wrong
        with pytest.raises(TypeError, match=f"column '{field}' holds"):
            Scheduler.restore(taken)


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        ({"version": 2}, ValueError, "version 2: this carbonedge reads 1"),
        ({"version": None}, ValueError, "version None"),
        ({"weights": [1, 2, 3, 4]}, ValueError, r"weights are \[1, 2, 3, 4\]: give five"),
        ({"weights": [1, 2, 3, 4, math.nan]}, ValueError, "weight 'carbon' is nan"),
        ({"weights": [0] * 5}, ValueError, "the weights sum to 0"),
        ({"weights": "12345"}, TypeError, "weights is of str: give a list"),
        ({"scoring": "best"}, ValueError, "scoring 'best' is not known"),
        ({"scoring": ["paper"]}, TypeError, "scoring is of list: give a string"),
        ({"max_load": 1.5}, ValueError, "max_load is 1.5"),
        ({"max_load": None}, TypeError, "max_load is None"),
        ({"max_network_latency_ms": -1}, ValueError, "max_network_latency_ms is -1"),
        ({"smoothing": 0}, ValueError, "smoothing is 0"),
        ({"smoothing": math.nan}, ValueError, "smoothing is nan"),
        ({"columns": []}, TypeError, "columns is of list: give a dict"),
        ({"names": ["a", "b"]}, ValueError, "there are 2 names and 4 nodes"),
        ({"names": ["c", "a", "b", "b"]}, ValueError, "two nodes are named 'b'"),
        ({"names": ["c", "a", "b", 4]}, TypeError, r"name\[2\] is 4: give a string"),
        ({"names": "cabd"}, TypeError, "names is of str: give a list"),
        ({"reservations": 3}, TypeError, "reservations is of int: give a list"),
    ],
)
def test_what_is_no_snapshot_is_refused(
    part: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Scheduler.restore({**snapshot(), **part})


@pytest.mark.parametrize("wrong", [None, 3, [], "snapshot"])
def test_a_snapshot_is_a_dict(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"a snapshot is of \w+: give a dict"):
        Scheduler.restore(wrong)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda held: held[:3], ValueError, "give a ticket, a position and two amounts"),
        (lambda held: 5, TypeError, "is of int: give a list"),
        (lambda held: [1.5, *held[1:]], TypeError, "is 1.5: give a whole number"),
        (lambda held: [True, *held[1:]], TypeError, "is True: give a whole number"),
        (lambda held: ["7", *held[1:]], TypeError, "is '7': give a whole number"),
        (lambda held: [-1, *held[1:]], ValueError, "has ticket -1, which no scheduler gives"),
        (lambda held: [2**64, *held[1:]], ValueError, "which no scheduler gives"),
        # Would have the core keep as many slots.
        (lambda held: [2**40 - 1, *held[1:]], ValueError, "which no scheduler gives"),
        (lambda held: [held[0], 4, *held[2:]], ValueError, "names no node, but 4"),
        (lambda held: [held[0], -2, *held[2:]], ValueError, "names no node, but -2"),
        (lambda held: [held[0], 1, *held[2:]], ValueError, "names no node, but 1"),
        (lambda held: [held[0], 2.0, *held[2:]], TypeError, "is 2.0: give a whole number"),
        (lambda held: [held[0], 3, *held[2:]], ValueError, "node 3 has 1 tasks reserved"),
        (lambda held: [*held[:2], math.nan, 1.0], ValueError, "holds nan: give a whole number"),
        (lambda held: [*held[:2], 1.0, math.inf], ValueError, "holds inf: give a whole number"),
        (lambda held: [*held[:2], -1.0, 1.0], ValueError, "holds -1.0: give a whole number"),
        (lambda held: [*held[:2], 0.5, 1.0], ValueError, "holds 0.5: give a whole number"),
        (lambda held: [*held[:2], "1", 1.0], TypeError, "holds '1': give a number"),
        (lambda held: [*held[:2], 1e30, 1.0], ValueError, r"holds 1e\+30: no task needs so much"),
        (lambda held: [*held[:2], 1.0, 1e22], ValueError, r"holds 1e\+22: no task needs so much"),
    ],
)
def test_a_wrong_reservation_is_refused(
    spoil: Callable[[list[Any]], Any], error: type[Exception], message: str
) -> None:
    taken = snapshot()
    number = next(i for i, held in enumerate(taken["reservations"]) if held[0] and held[1] == 2)
    taken["reservations"][number] = spoil(taken["reservations"][number])
    with pytest.raises(error, match=message):
        Scheduler.restore(taken)


def test_two_reservations_of_one_ticket_are_refused() -> None:
    taken = snapshot()
    (first, *_), (second, *_) = [held for held in taken["reservations"] if held[0]]
    for ticket in (first, (second // 2**32) * 2**32 + first % 2**32):
        for held in taken["reservations"]:
            held[0] = ticket if held[0] == second else held[0]
        second = ticket
        with pytest.raises(ValueError, match="two reservations have one ticket"):
            Scheduler.restore(taken)


@pytest.mark.parametrize("name", ["native", "python"])
def test_a_restart_gives_no_ticket_again(name: str) -> None:
    """Else one completed before it, and again after it, would end another's task."""
    code = (
        "from carbonedge import *;"
        "s = Scheduler([Node('a', cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=1)]);"
        "print(s.schedule(Task()).ticket)"
    )
    tickets = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={ENVIRONMENT_VARIABLE: name},
        ).stdout
        for _ in range(3)
    }
    assert len(tickets) == 3
