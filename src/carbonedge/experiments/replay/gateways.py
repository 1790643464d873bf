"""A real `Scheduler` at each zone, and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from carbonedge.exceptions import InfeasibleError
from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.grid import Grid
from carbonedge.scheduling import Decision, Scheduler, Task

__all__ = ["Gateways"]

PATIENCE = 2.0
MOST_PATIENCE = 64.0


class Gateways:
    """Places the requests of each zone by a scheduler of the zone's own.

    A scheduler knows one network latency a node, so each zone has one. They share what runs: a
    gateway that is asked first takes up what others have placed and is not done. What came and
    went since it was asked last costs nothing. They know the mean time of each node, and learn
    nothing from how long a request took: that tells of its work, not of its node. Who took it for
    the node's would never again try one whose mean so passed the SLO.

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
        self._zone = fleet.zone
        self._known = grid.known
        self._step_ms = grid.step_ms
        self._names = [node.name for node in fleet.nodes]
        columns = {
            field: fleet.numbers(field)
            for field in (
                *("cpu_cores", "memory_mb", "power_w", "pue", "load", "avg_time_ms"),
                *("parallelism", "embodied_g_per_hour"),
            )
        }
        self._schedulers = [
            Scheduler(
                {
                    **columns,
                    "name": np.array(self._names, dtype=object),
                    "network_latency_ms": trips_ms,
                    "intensity_g_per_kwh": grid.known[fleet.zone, 0],
                },
                mode=mode,
                scoring=scoring,
            )
            for trips_ms in fleet.round_trip_ms
        ]
        self._schedule: list[Callable[[Task], Decision]] = [s.schedule for s in self._schedulers]
        self._constrained = scoring == "constrained"
        self._slo_ms = slo_ms
        self._need = task
        self._tasks = [self._task(limit_ms) for limit_ms in slo_ms]
        self._fresh_until_ms = [0.0] * len(slo_ms)
        # In the order they were placed: number, gateway, node and decision of each.
        self._running: dict[int, tuple[int, int, int, Decision]] = {}
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
        node = decision.index
        self._running[request] = self._placed, zone, node, decision
        return node

    def complete(self, request: int, node: int) -> None:
        """Tell all who know of a request that it is done."""
        _, zone, _, decision = self._running.pop(request)
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
            number, _, node, _ = self._running[request]
            if number <= heard_of:
                break
            ticket = scheduler.reserve(self._names[node], self._need)
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
