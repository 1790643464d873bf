"""A real `Scheduler` at each zone, and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from carbonedge.exceptions import InfeasibleError
from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.grid import Grid
from carbonedge.scheduling import Decision, Scheduler, Task

__all__ = ["Gateways"]

PATIENCE = 2.0
MOST_PATIENCE = 64.0
MOST_PARTS = 16_384
"""Of all nodes for all schedulers, which are a hundred million updates in a year of hours. Where
there are more slots, a part is of several."""


class Gateways:
    """Places the requests of each zone by a scheduler of the zone's own.

    A scheduler knows one network latency a node, so each zone has one. What it takes for a node is
    a slot where an SLO is to be met: while one of a node's slots is free nobody waits there, yet a
    scheduler predicts that each request on one of two slots holds up the next by half its time.

    They share what runs: a gateway that is asked first takes up what others have placed and is
    not done. What came and went since it was asked last costs nothing. They know the mean time of
    each node, and learn nothing from how long a request took: that tells of its work, not of its
    node. Who took it for the node's would never again try one whose mean so passed the SLO.

    Parameters
    ----------
    fleet
        The nodes.
    grid
        Whose known intensities the schedulers get, where they have changed since the last.
    mode, scoring
        Of the schedulers.
    task
        What a request needs.
    slo_ms
        By zone, what its requests tolerate; read by ``"constrained"`` alone. A request that no
        node meets it for is placed nonetheless, for late is better than not: the limit is
        doubled until a node does.
    """

    def __init__(
        self,
        fleet: Fleet,
        grid: Grid,
        *,
        mode: str,
        scoring: str,
        task: Task,
        slo_ms: list[float],
    ) -> None:
        self._constrained = scoring == "constrained"
        most = MOST_PARTS // fleet.round_trip_ms.size if self._constrained else 1
        parts = np.minimum(_slots(fleet, task), max(1, most))
        node = np.repeat(np.arange(len(fleet.nodes)), parts)
        self._node: list[int] = node.tolist()
        self._zone = fleet.zone[node]
        self._known = grid.known
        self._step_ms = grid.step_ms
        columns = {
            field: fleet.numbers(field)[node]
            for field in ("power_w", "pue", "load", "avg_time_ms", "embodied_g_per_hour")
        }
        parted = {
            "cpu_cores": fleet.numbers("cpu_cores") / parts,
            "memory_mb": fleet.numbers("memory_mb") / parts,
            "parallelism": fleet.numbers("parallelism") // parts,
        }
        columns |= {field: values[node] for field, values in parted.items()}
        self._schedulers = [
            Scheduler(
                {
                    **columns,
                    "network_latency_ms": trips_ms[node],
                    "intensity_g_per_kwh": grid.known[self._zone, 0],
                },
                mode=mode,
                scoring=scoring,
            )
            for trips_ms in fleet.round_trip_ms
        ]
        self._schedule: list[Callable[[Task], Decision]] = [s.schedule for s in self._schedulers]
        self._slo_ms = slo_ms
        self._need = task
        self._tasks = [self._task(limit_ms) for limit_ms in slo_ms]
        self._fresh_until_ms = [0.0] * len(slo_ms)
        # In the order they were placed: number, gateway and decision of each.
        self._running: dict[int, tuple[int, int, Decision]] = {}
        self._taken_up: dict[int, list[tuple[Scheduler, int]]] = {}
        self._placed = 0
        self._heard_of = [0] * len(slo_ms)

    def _task(self, slo_ms: float) -> Task:
        if not self._constrained:
            return self._need
        return Task(cpu_cores=self._need.cpu_cores, memory_mb=self._need.memory_mb, slo_ms=slo_ms)

    def place(self, request: int, zone: int, now_ms: float) -> int | None:
        """The position of the node that a request of a zone goes to, None where none has room."""
        if now_ms >= self._fresh_until_ms[zone]:
            self._refresh(zone, now_ms)
        if self._heard_of[zone] < self._placed:
            self._take_up(zone)
        try:
            decision = self._schedule[zone](self._tasks[zone])
        except InfeasibleError:
            late = self._late(zone) if self._constrained else None
            if late is None:
                return None
            decision = late
        self._placed = self._heard_of[zone] = self._placed + 1
        self._running[request] = self._placed, zone, decision
        return self._node[decision.index]

    def complete(self, request: int, node: int) -> None:
        """Tell all who know of a request that it is done."""
        _, zone, decision = self._running.pop(request)
        self._schedulers[zone].complete(decision, None)
        if self._taken_up:
            for scheduler, ticket in self._taken_up.pop(request, ()):
                scheduler.complete(ticket, None)

    def _refresh(self, zone: int, now_ms: float) -> None:
        slot = min(int(now_ms // self._step_ms), self._known.shape[1] - 1)
        self._schedulers[zone].update_many(intensity_g_per_kwh=self._known[self._zone, slot])
        self._fresh_until_ms[zone] = (now_ms // self._step_ms + 1) * self._step_ms

    def _take_up(self, zone: int) -> None:
        heard_of = self._heard_of[zone]
        scheduler = self._schedulers[zone]
        for request in reversed(self._running):
            number, _, decision = self._running[request]
            if number <= heard_of:
                break
            ticket = scheduler.reserve(decision.node, self._need)
            self._taken_up.setdefault(request, []).append((scheduler, ticket))
        self._heard_of[zone] = self._placed

    def _late(self, zone: int) -> Decision | None:
        """Within twice the SLO, or twice that, and so on; at last, at any latency."""
        patience = PATIENCE
        while patience <= MOST_PATIENCE:
            try:
                return self._schedule[zone](self._task(self._slo_ms[zone] * patience))
            except InfeasibleError:
                patience *= PATIENCE
        try:
            return self._schedule[zone](self._need)
        except InfeasibleError:
            return None


def _slots(fleet: Fleet, task: Task) -> NDArray[np.int64]:
    """How many requests run side by side on each node, shape [nodes]."""
    rooms = [fleet.numbers("parallelism")]
    if task.cpu_cores:
        rooms.append(fleet.numbers("cpu_cores") * (1 - fleet.numbers("load")) / task.cpu_cores)
    if task.memory_mb:
        rooms.append(fleet.numbers("memory_mb") / task.memory_mb)
    # No slot less by a rounding.
    slots: NDArray[np.int64] = np.maximum(np.min(rooms, axis=0) + 1e-9, 1).astype(np.int64)
    return slots
