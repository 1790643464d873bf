"""The loop beside one that looks at every event and keeps nothing from one to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import made_up_grids
import numpy as np
import pytest
from hypothesis import given, settings
from made_up_grids import Scene, node

from carbonedge import InfeasibleError, Node, Scheduler, Task
from carbonedge.experiments.replay import POLICIES, Arrivals, gateways
from carbonedge.experiments.replay.policies import open_policy
from carbonedge.experiments.replay.simulation import Course, simulate

SCHEDULED = ("performance", "balanced", "green", "constrained")


@dataclass
class Running:
    request: int
    chosen: int
    node: int
    start_ms: float
    service_ms: float
    answered_ms: float


Choose = Callable[["Slow", int, float], int | None]


def slots_of(own: Node, task: Task) -> int:
    return min(own.parallelism, int(own.cpu_cores / task.cpu_cores))


class Slow:
    """One event after another, by a look at all."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.choose = CHOICES[name]
        # Of what is chosen: a slot of it, or all of it.
        self.node = [
            place
            for place, own in enumerate(scene.fleet.nodes)
            for _ in range(slots_of(own, scene.task) if name == "constrained" else 1)
        ]
        self.running: list[Running] = []
        self.done: list[Running] = []
        self.line: list[int] = []

    def run(self) -> list[Running]:
        arrivals = self.scene.arrivals
        coming = list(range(len(arrivals)))
        while coming or self.running:
            first = min(self.running, key=lambda r: (r.answered_ms, r.request), default=None)
            if first and (not coming or first.answered_ms <= arrivals.time_ms[coming[0]]):
                self.answer(first)
            else:
                request = coming.pop(0)
                if self.line or not self.begin(request, float(arrivals.time_ms[request])):
                    self.line.append(request)
        assert not self.line
        return sorted(self.done, key=lambda r: r.request)

    def answer(self, one: Running) -> None:
        self.running.remove(one)
        self.done.append(one)
        if self.line and self.begin(self.line[0], one.answered_ms):
            self.line.pop(0)

    def begin(self, request: int, now_ms: float) -> bool:
        scene = self.scene
        zone = int(scene.arrivals.zone[request])
        chosen = self.choose(self, zone, now_ms)
        if chosen is None:
            return False
        place = self.node[chosen]
        way_ms = float(scene.fleet.round_trip_ms[zone, place]) / 2
        here = [r for r in (*self.running, *self.done) if r.node == place]
        ends_ms = sorted(r.start_ms + r.service_ms for r in here)
        slots = scene.fleet.nodes[place].parallelism
        free_ms = ends_ms[-slots] if len(ends_ms) >= slots else 0.0
        start_ms = max(now_ms + way_ms, free_ms)
        service_ms = scene.fleet.nodes[place].avg_time_ms * float(scene.arrivals.work[request])
        answered_ms = start_ms + service_ms + way_ms
        self.running.append(Running(request, chosen, place, start_ms, service_ms, answered_ms))
        return True

    def known(self, now_ms: float) -> np.ndarray:
        grid = self.scene.grid
        slot = min(int(now_ms // grid.step_ms), grid.known.shape[1] - 1)
        return grid.known[:, slot]

    def busy(self, place: int) -> int:
        return sum(one.node == place for one in self.running)


def scheduled(name: str) -> Choose:
    """By a scheduler that is made for the one decision and told of all that runs."""
    constrained = name == "constrained"

    def choose(slow: Slow, zone: int, now_ms: float) -> int | None:
        scene = slow.scene
        slots = [
            dataclasses.replace(
                own,
                name=str(chosen),
                cpu_cores=own.cpu_cores / slow.node.count(place),
                memory_mb=own.memory_mb / slow.node.count(place),
                parallelism=own.parallelism // slow.node.count(place),
                network_latency_ms=float(scene.fleet.round_trip_ms[zone, place]),
                intensity_g_per_kwh=float(slow.known(now_ms)[scene.fleet.zone[place]]),
            )
            for chosen, place in enumerate(slow.node)
            for own in [scene.fleet.nodes[place]]
        ]
        limits: list[float | None] = [None]
        if constrained:
            slo_ms = scene.slo_ms[zone]
            limits = [*(slo_ms * 2**power for power in range(7)), None]
        for limit in limits:
            scheduler = Scheduler(
                slots,
                mode="green" if constrained else name,
                scoring="constrained" if constrained else "normalized",
            )
            for one in slow.running:
                scheduler.reserve(str(one.chosen), scene.task)
            try:
                return scheduler.schedule(dataclasses.replace(scene.task, slo_ms=limit)).index
            except InfeasibleError:
                continue
        return None

    return choose


def cleanest(slow: Slow, zone: int, now_ms: float) -> int:
    known = slow.known(now_ms)[slow.scene.fleet.zone]
    return min(range(len(known)), key=lambda place: (known[place], slow.busy(place), place))


def nearest(slow: Slow, zone: int, now_ms: float) -> int:
    trip_ms = slow.scene.fleet.round_trip_ms[zone]
    return min(range(len(trip_ms)), key=lambda place: (trip_ms[place], slow.busy(place), place))


CHOICES = {name: scheduled(name) for name in SCHEDULED} | {
    "always-cleanest": cleanest,
    "always-nearest": nearest,
}


def run(scene: Scene, name: str) -> Course:
    policy = open_policy(name, scene.fleet, scene.grid, scene.task, scene.slo_ms)
    return simulate(scene.arrivals, scene.fleet, policy)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=100)
@given(scene=made_up_grids.scenes())
def test_the_loop_does_what_a_look_at_every_event_does(scene: Scene, name: str) -> None:
    course = run(scene, name)
    for one, place, start_ms, service_ms in zip(
        Slow(scene, name).run(),
        course.node,
        course.start_ms,
        course.service_ms,
        strict=True,
    ):
        assert (one.node, one.service_ms) == (place, service_ms)
        assert one.start_ms == start_ms


@pytest.mark.parametrize("name", POLICIES)
@given(scene=made_up_grids.scenes())
def test_every_request_runs_once_and_no_slot_runs_two(scene: Scene, name: str) -> None:
    course, fleet = run(scene, name), scene.fleet
    assert len(course.node) == len(scene.arrivals)
    assert ((course.node >= 0) & (course.node < len(fleet.nodes))).all()
    trip_ms = fleet.round_trip_ms[scene.arrivals.zone, course.node]
    assert (course.waited_ms >= 0).all()
    assert (course.latency_ms >= trip_ms + course.service_ms).all()
    answered_ms = course.start_ms + course.service_ms + trip_ms / 2
    np.testing.assert_allclose(course.latency_ms, answered_ms - scene.arrivals.time_ms)
    for place, own in enumerate(fleet.nodes):
        here = course.node == place
        stop_ms = course.start_ms + course.service_ms
        for start_ms in course.start_ms[here]:
            running = here & (course.start_ms <= start_ms) & (stop_ms > start_ms)
            assert running.sum() <= own.parallelism


def burst(size: int, apart_ms: float = 1.0) -> Arrivals:
    return Arrivals(np.arange(size) * apart_ms, np.zeros(size, dtype=np.int64), np.ones(size))


def test_requests_queue_at_a_node_in_the_order_they_were_placed() -> None:
    fleet = made_up_grids.fleet(node("A", parallelism=2, network_latency_ms=10.0))
    scene = Scene(fleet, made_up_grids.grid({"A": [100]}), burst(5), Task(), [1000.0])
    for name in POLICIES:
        course = run(scene, name)
        assert course.start_ms.tolist() == [5, 6, 105, 106, 205]
        assert course.waited_ms.tolist() == [0, 0, 98, 98, 196]
        assert course.latency_ms.tolist() == [110, 110, 208, 208, 306]


def test_where_no_node_has_room_requests_wait_in_line_for_an_answer() -> None:
    fleet = made_up_grids.fleet(node("A", cpu_cores=2.0, parallelism=4, network_latency_ms=10.0))
    task = Task(cpu_cores=1.0)
    scene = Scene(fleet, made_up_grids.grid({"A": [100]}), burst(5), task, [1000.0])
    for name in SCHEDULED:
        course = run(scene, name)
        # Answers to the first two come at 110 and 111 ms.
        assert course.start_ms.tolist() == [5, 6, 115, 116, 225]


def test_late_is_better_than_not_and_little_better_than_much() -> None:
    near = node("A", "near and dirty", power_w=90.0, avg_time_ms=150.0)
    far = node("A", "slow and clean", power_w=1.0, avg_time_ms=900.0)
    fleet = made_up_grids.fleet(near, far)
    scene = Scene(fleet, made_up_grids.grid({"A": [100]}), burst(1), Task(), [100.0])
    assert run(scene, "constrained").node.tolist() == [0]
    roomier = dataclasses.replace(scene, slo_ms=[1000.0])
    assert run(roomier, "constrained").node.tolist() == [1]


@pytest.mark.parametrize(("most", "places"), [(16_384, [0, 0, 1]), (4, [0, 0, 1]), (3, [0, 1, 0])])
def test_a_free_slot_makes_nobody_wait_unless_there_are_very_many(
    most: int, places: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "MOST_PARTS", most)
    clean, dirty = node("A", "clean", parallelism=2), node("A", "dirty", power_w=90.0)
    fleet = made_up_grids.fleet(clean, dirty)
    scene = Scene(fleet, made_up_grids.grid({"A": [100]}), burst(3), Task(), [105.0])
    assert run(scene, "constrained").node.tolist() == places


def test_a_node_is_not_taken_for_slow_after_requests_of_much_work() -> None:
    clean, dirty = node("A", "clean"), node("A", "dirty", power_w=90.0)
    fleet = made_up_grids.fleet(clean, dirty)
    arrivals = dataclasses.replace(burst(9, apart_ms=1e4), work=np.array([3.0] * 8 + [1.0]))
    scene = Scene(fleet, made_up_grids.grid({"A": [100]}), arrivals, Task(), [110.0])
    assert run(scene, "constrained").node.tolist() == [0] * 9


def test_a_request_that_fits_no_node_is_an_error() -> None:
    fleet = made_up_grids.fleet(node("A"))
    grid = made_up_grids.grid({"A": [100]})
    scene = Scene(fleet, grid, burst(3), Task(memory_mb=1e6), [1000.0])
    for name in SCHEDULED:
        with pytest.raises(InfeasibleError, match="more than any node has"):
            run(scene, name)
