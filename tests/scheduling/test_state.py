"""The state of a scheduler through any sequence of operations, on all backends at once."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import Any

import backends
import hypothesis
import numpy as np
import oracle
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from carbonedge import MODES, Decision, InfeasibleError, Node, Scheduler, Task, Weights
from carbonedge._backend import NAMES
from carbonedge._kernels import FIELDS
from carbonedge.scheduling.scheduler import SMOOTHING

# Few demands, so that each comes often enough for a tree of its own.
DEMANDS = ((0.0, 0.0), (0.1, 10.0), (0.1, 40.0), (0.5, 10.0), (1.9, 10.0))
TIMES_MS = (0.0, 1.0, 3.0, 20.0)
UPDATES = {
    "load": (0.0, 0.5, 0.8, 0.81, 1.0),
    "intensity_g_per_kwh": (0.0, 50.0, 400.0),
    "network_latency_ms": (0.0, 5.0, 100.0),
    "avg_time_ms": TIMES_MS,
    "power_w": (1.0, 7.0),
    "pue": (1.0, 1.5),
    "embodied_g_per_hour": (0.0, 3.0),
}

nodes = st.builds(
    Node,
    st.just("?"),
    cpu_cores=st.sampled_from([0.1, 0.5, 2.0]),
    memory_mb=st.sampled_from([20.0, 100.0]),
    parallelism=st.integers(1, 2),
    running_tasks=st.integers(0, 2),
    **{field: st.sampled_from(values) for field, values in UPDATES.items()},
)
tasks = st.builds(
    lambda demand, slo_ms: Task(cpu_cores=demand[0], memory_mb=demand[1], slo_ms=slo_ms),
    st.sampled_from(DEMANDS),
    st.sampled_from([None, None, 2.0, 30.0]),
)
# Trees are kept above 128 nodes, and have a second level above 256.
sizes = st.sampled_from([2, 17, 120, 140, 250, 256])
elapsed = st.sampled_from(TIMES_MS)


@dataclass
class Place:
    """What plain Python knows of a node; no node once it was removed."""

    node: Node | None
    held: oracle.Held = (0, 0)


@dataclass
class Open:
    """A task that runs, with a ticket for each backend."""

    place: Place
    needs: oracle.Held
    tickets: dict[str, Any]


class Life(RuleBasedStateMachine):
    scoring = "normalized"
    weights: Weights

    @initialize(
        kinds=st.lists(nodes, min_size=1, max_size=5),
        size=sizes,
        unlike=st.booleans(),
        weights=st.sampled_from([*MODES.values(), Weights(0, 0, 1, 0, 0), Weights(1, 1, 1, 1, 1)]),
    )
    def begin(self, kinds: list[Node], size: int, unlike: bool, weights: Weights) -> None:
        self.weights = weights
        self.places = []
        for index in range(size):
            node = replace(kinds[index % len(kinds)], name=f"n{index}")
            if unlike:
                node = replace(node, intensity_g_per_kwh=float(index * 37 % 101))
            self.places.append(Place(node))
        self.running: list[Open] = []
        self.done: list[Open] = []
        self.schedulers = {}
        for name in NAMES:
            with backends.using(name):
                self.schedulers[name] = Scheduler(
                    [place.node for place in self.places if place.node],
                    mode=weights,
                    scoring=self.scoring,
                )

    @rule(task=tasks, count=st.sampled_from([1, 2, 8]))
    def schedule(self, task: Task, count: int) -> None:
        for _ in range(count):
            self._schedule(task)

    def _schedule(self, task: Task) -> None:
        made = {name: _decision(scheduler, task) for name, scheduler in self.schedulers.items()}
        native = made["native"]
        for name, decision in made.items():
            assert (decision and decision[:-1]) == (native and native[:-1]), name
        self._check(task, native)
        if native is not None:
            tickets = {name: decision for name, decision in made.items() if decision}
            self._reserve(native.index, task, tickets)

    def _check(self, task: Task, decision: Decision | None) -> None:
        """The oracle would take this node, or one as good."""
        present = [place for place in self.places if place.node]
        live = [place.node for place in present if place.node]
        held = [place.held for place in present]
        chosen = None
        if decision is not None:
            chosen = next(i for i, node in enumerate(live) if node.name == decision.node)
            assert self.places[decision.index].node == live[chosen]
            assert oracle.passes(live[chosen], task, held[chosen])
            assert decision.latency_ms == pytest.approx(oracle.latency_ms(live[chosen]))
            assert decision.emissions_g == pytest.approx(oracle.emissions_g(live[chosen]))
        if self.scoring == "constrained":
            best = oracle.constrained(live, task, held)
            assert (chosen is None) == (best is None)
            if chosen is not None and best is not None:
                assert oracle.emissions_g(live[chosen]) == pytest.approx(
                    oracle.emissions_g(live[best])
                )
                assert oracle.latency_ms(live[chosen]) <= (task.slo_ms or np.inf)
            return
        if self.scoring == "paper":
            scores = {
                index: oracle.paper_score(node, task, self.weights)
                for index, node in enumerate(live)
                if oracle.passes(node, task, held[index])
            }
        else:
            scores = oracle.scaled_scores(live, task, self.weights, held)
            if not oracle.spreads_are_clear(oracle.traits(live, task, held).values()):
                return
        assert (chosen is None) == (not scores)
        if chosen is not None and decision is not None:
            assert scores[chosen] == pytest.approx(max(scores.values()), abs=1e-6)
            assert decision.score == pytest.approx(scores[chosen], abs=1e-6)

    def _reserve(self, index: int, task: Task, tickets: dict[str, Any]) -> None:
        place = self.places[index]
        assert place.node is not None
        needs = oracle.needs(task)
        place.held = (place.held[0] + needs[0], place.held[1] + needs[1])
        place.node = replace(place.node, running_tasks=place.node.running_tasks + 1)
        if tickets:
            self.running.append(Open(place, needs, tickets))

    @rule(
        runs=st.lists(
            st.tuples(st.sampled_from(DEMANDS), st.integers(1, 6)), min_size=1, max_size=4
        ),
        tickets=st.booleans(),
    )
    def schedule_many(self, runs: list[tuple[tuple[float, float], int]], tickets: bool) -> None:
        demands = [demand for demand, count in runs for _ in range(count)]
        cpu, memory = zip(*demands, strict=True)
        one_by_one = self._copy("native")
        expected = [_decision(one_by_one, Task(cpu_cores=c, memory_mb=m)) for c, m in demands]
        made: dict[str, Any] = {}
        for name, scheduler in self.schedulers.items():
            chosen = scheduler.schedule_many(cpu, memory, tickets=tickets)  # type: ignore[call-overload]
            chosen, made[name] = chosen if tickets else (chosen, None)
            assert chosen.tolist() == [-1 if d is None else d.index for d in expected], name
        for number, decision in enumerate(expected):
            task = Task(cpu_cores=cpu[number], memory_mb=memory[number])
            self._check(task, decision)
            if decision is not None:
                named = {name: own[number] for name, own in made.items()} if tickets else {}
                self._reserve(decision.index, task, named)

    @precondition(lambda self: any(place.node for place in self.places))
    @rule(data=st.data(), task=tasks)
    def reserve(self, data: st.DataObject, task: Task) -> None:
        place = self._some_place(data)
        assert place.node is not None
        named = place.node.name
        tickets = {name: own.reserve(named, task) for name, own in self.schedulers.items()}
        self._reserve(self.places.index(place), task, tickets)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), elapsed_ms=st.none() | elapsed)
    def complete(self, data: st.DataObject, elapsed_ms: float | None) -> None:
        task = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        for name, scheduler in self.schedulers.items():
            scheduler.complete(task.tickets[name], elapsed_ms)
        self.done.append(task)
        place = task.place
        if place.node is None:
            return
        place.held = (place.held[0] - task.needs[0], place.held[1] - task.needs[1])
        average = place.node.avg_time_ms
        if elapsed_ms is not None:
            average = average + SMOOTHING * (elapsed_ms - average) if average else elapsed_ms
        place.node = replace(
            place.node, running_tasks=place.node.running_tasks - 1, avg_time_ms=average
        )

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def complete_twice(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.done))
        for name, scheduler in self.schedulers.items():
            with pytest.raises(ValueError, match="holds no reservation"):
                scheduler.complete(task.tickets[name], 5.0)

    @precondition(lambda self: any(place.node for place in self.places))
    @rule(data=st.data(), field=st.sampled_from(sorted(UPDATES)))
    def update(self, data: st.DataObject, field: str) -> None:
        place = self._some_place(data)
        assert place.node is not None
        value = data.draw(st.sampled_from(UPDATES[field]))
        for scheduler in self.schedulers.values():
            scheduler.update(place.node.name, **{field: value})
        place.node = replace(place.node, **{field: value})

    @rule(
        data=st.data(),
        fields=st.lists(st.sampled_from(sorted(UPDATES)), unique=True, max_size=3),
        alike=st.booleans(),
    )
    def update_many(self, data: st.DataObject, fields: list[str], alike: bool) -> None:
        columns = {}
        for field in fields:
            few = data.draw(st.lists(st.sampled_from(UPDATES[field]), min_size=1, max_size=4))
            columns[field] = np.resize(few, 1 if alike else len(self.places))
        for scheduler in self.schedulers.values():
            scheduler.update_many(**{f: c[0] if alike else c for f, c in columns.items()})
        for index, place in enumerate(self.places):
            if place.node:
                own = {f: float(c[0 if alike else index]) for f, c in columns.items()}
                place.node = replace(place.node, **own)

    @rule(node=nodes, count=st.sampled_from([1, 9]))
    def add(self, node: Node, count: int) -> None:
        for _ in range(count):
            own = replace(node, name=f"n{len(self.places)}", running_tasks=0)
            for scheduler in self.schedulers.values():
                assert scheduler.add(own) == len(self.places)
            self.places.append(Place(own))

    @precondition(lambda self: any(place.node for place in self.places))
    @rule(data=st.data(), busy=st.booleans())
    def remove(self, data: st.DataObject, busy: bool) -> None:
        at_work = [task.place for task in self.running if task.place.node]
        place = at_work[0] if busy and at_work else self._some_place(data)
        assert place.node is not None
        for scheduler in self.schedulers.values():
            scheduler.remove(place.node.name)
            with pytest.raises(ValueError, match="no node"):
                scheduler.update(place.node.name, load=0.0)
        place.node = None

    @rule(shift=st.integers(0, len(NAMES) - 1))
    def go_on_from_a_snapshot(self, shift: int) -> None:
        """Each on its own backend or on another's."""
        origins = dict(zip(NAMES, NAMES[shift:] + NAMES[:shift], strict=True))
        made = {name: self._copy(origin, onto=name) for name, origin in origins.items()}
        self.schedulers = made
        for task in (*self.running, *self.done):
            task.tickets = {name: task.tickets[origin] for name, origin in origins.items()}

    def teardown(self) -> None:
        """All backends know what plain Python knows."""
        if not hasattr(self, "schedulers"):
            return
        for name, scheduler in self.schedulers.items():
            columns = scheduler.snapshot()["columns"]
            for index, place in enumerate(self.places):
                if place.node is None:
                    assert columns["parallelism"][index] == 0, name
                    continue
                own = [columns[field][index] for field in FIELDS]
                assert own == [getattr(place.node, field) for field in FIELDS], name
                cpu, memory = oracle.free(place.node, place.held)
                assert scheduler._table.free(index) == (cpu / 1e9, memory / 1e6), name

    def _some_place(self, data: st.DataObject) -> Place:
        present = [place for place in self.places if place.node]
        return present[data.draw(st.integers(0, len(present) - 1))]

    def _copy(self, name: str, onto: str | None = None) -> Scheduler:
        text = json.dumps(self.schedulers[name].snapshot())
        with backends.using(onto or name):
            return Scheduler.restore(json.loads(text))


def _decision(scheduler: Scheduler, task: Task) -> Decision | None:
    """What `schedule` decides, which is what a look at every node finds."""
    scanned = scheduler._table.scan(task.cpu_cores, task.memory_mb, task.slo_ms)
    try:
        decision = scheduler.schedule(task)
    except InfeasibleError:
        assert scanned is None
        return None
    assert tuple(decision)[:-1] == (scanned and scanned[:-1])
    return decision


class PaperLife(Life):
    scoring = "paper"


class NormalizedLife(Life):
    scoring = "normalized"


class ConstrainedLife(Life):
    scoring = "constrained"


for life in (PaperLife, NormalizedLife, ConstrainedLife):
    life.TestCase.settings = hypothesis.settings(max_examples=40, stateful_step_count=30)
TestPaper = PaperLife.TestCase
TestNormalized = NormalizedLife.TestCase
TestConstrained = ConstrainedLife.TestCase


@pytest.mark.parametrize(("name", "rounds"), [("native", 180_000), ("numba", 400), ("python", 60)])
def test_nothing_drifts_over_millions_of_operations(name: str, rounds: int) -> None:
    """On the native backend ten million: each round places 31 tasks, completes as many
    and updates a node.
    """
    shuffle = random.Random(0)
    numbers = np.random.default_rng(0)
    size = 36
    columns = {
        "cpu_cores": numbers.uniform(0.5, 8.0, size),
        "memory_mb": numbers.uniform(100.0, 900.0, size),
        "power_w": numbers.uniform(1.0, 20.0, size),
        "intensity_g_per_kwh": numbers.uniform(0.0, 800.0, size),
        "avg_time_ms": numbers.uniform(1.0, 99.0, size),
    }
    with backends.using(name):
        scheduler = Scheduler(columns, mode="green")
    table = scheduler._table
    cpu, memory = numbers.uniform(0.0, 0.9, 4096), numbers.uniform(0.0, 60.0, 4096)
    load = FIELDS.index("load")
    tickets: list[int] = []
    operations = 0
    for _ in range(rounds):
        start = shuffle.randrange(4096 - 31)
        tasks = slice(start, start + 31)
        _, taken = table.place_many(cpu[tasks], memory[tasks], True)
        tickets += taken[taken > 0].tolist()
        table.set(shuffle.randrange(size), load, shuffle.random())
        operations += 32
        # The newest, so that some stay to the end.
        done = max(len(tickets) // 3, len(tickets) - 31)
        operations += len(tickets) - done
        for ticket in tickets[done:]:
            table.complete(ticket, 5.0)
        del tickets[done:]
    for ticket in tickets:
        table.complete(ticket, 5.0)
    assert name != "native" or operations > 10_000_000
    for index in range(size):
        table.set(index, load, 0.0)
    assert table.snapshot()[1] == []
    assert table.snapshot()[0][FIELDS.index("running_tasks")].tolist() == [0.0] * size
    with backends.using(name):
        fresh = Scheduler(scheduler.snapshot()["columns"], mode="green")._table
    for index in range(size):
        assert table.free(index) == fresh.free(index)
    for demand in ((0.1, 1.0, None), (2.0, 300.0, None)):
        assert table.select(*demand) == fresh.select(*demand)
