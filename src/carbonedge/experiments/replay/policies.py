"""The ways of choosing a node that a replay compares."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.gateways import Gateways
from carbonedge.experiments.replay.grid import Grid
from carbonedge.scheduling import MODES, Task

__all__ = ["POLICIES", "Cleanest", "Nearest", "Policy", "open_policy"]

CONSTRAINED, CLEANEST, NEAREST = "constrained", "always-cleanest", "always-nearest"
POLICIES = (*MODES, CONSTRAINED, CLEANEST, NEAREST)
"""Those with a name: three modes under normalized scoring, and what stands for itself."""


class Policy(Protocol):
    """Chooses a node for each request. Requests and nodes are named by position."""

    def place(self, request: int, zone: int, now_ms: float) -> int | None:
        """The node that a request of a zone goes to now; None if it has to wait for room."""

    def complete(self, request: int, node: int) -> None:
        """A request that ran on a node has been answered."""


class LeastBusy:
    """Of some groups of nodes, the node with the fewest requests, the first of several."""

    __slots__ = ("_groups", "_heaps", "_running")

    def __init__(self, groups: Mapping[int, Iterable[int]], nodes: int) -> None:
        self._running = [0] * nodes
        self._groups = {node: group for group, members in groups.items() for node in members}
        # Entries that no longer hold are dropped when they come up.
        self._heaps = {group: [(0, node) for node in members] for group, members in groups.items()}

    def take(self, groups: Iterable[int]) -> int:
        """The least busy node of these groups, from now on with one request more."""
        _, node = min(self._first(self._heaps[group]) for group in groups)
        self._change(node, 1)
        return node

    def give_back(self, node: int) -> None:
        """A node has one request less."""
        self._change(node, -1)

    def _first(self, heap: list[tuple[int, int]]) -> tuple[int, int]:
        while heap[0][0] != self._running[heap[0][1]]:
            heapq.heappop(heap)
        return heap[0]

    def _change(self, node: int, by: int) -> None:
        self._running[node] += by
        heapq.heappush(self._heaps[self._groups[node]], (self._running[node], node))


class Cleanest:
    """Always the node of the least intensity that is known now, the least busy of equals."""

    def __init__(self, fleet: Fleet, grid: Grid) -> None:
        zones = range(len(fleet.zones))
        groups = {zone: np.flatnonzero(fleet.zone == zone).tolist() for zone in zones}
        self._nodes = LeastBusy(groups, len(fleet.nodes))
        self._step_ms = grid.step_ms
        least = grid.known == grid.known.min(axis=0)
        self._cleanest = [np.flatnonzero(slot).tolist() for slot in least.T]

    def place(self, request: int, zone: int, now_ms: float) -> int:
        slot = int(now_ms // self._step_ms)
        return self._nodes.take(self._cleanest[min(slot, len(self._cleanest) - 1)])

    def complete(self, request: int, node: int) -> None:
        self._nodes.give_back(node)


class Nearest:
    """Always the node of the least network latency, the least busy of equals."""

    def __init__(self, fleet: Fleet) -> None:
        # A group is of nodes that are equally far from every zone.
        _, kind = np.unique(fleet.round_trip_ms, axis=1, return_inverse=True)
        kind = kind.reshape(-1)
        groups = {group: np.flatnonzero(kind == group).tolist() for group in range(kind.max() + 1)}
        self._nodes = LeastBusy(groups, len(fleet.nodes))
        self._nearest = [
            sorted(set(kind[trips_ms == trips_ms.min()].tolist()))
            for trips_ms in fleet.round_trip_ms
        ]

    def place(self, request: int, zone: int, now_ms: float) -> int:
        return self._nodes.take(self._nearest[zone])

    def complete(self, request: int, node: int) -> None:
        self._nodes.give_back(node)


def open_policy(name: str, fleet: Fleet, grid: Grid, task: Task, slo_ms: list[float]) -> Policy:
    """The policy of a name.

    Parameters
    ----------
    name
        One of `POLICIES`.
    fleet, grid
        What it chooses among, and the intensities that it gets to know.
    task
        What each request needs.
    slo_ms
        By zone, what its requests tolerate.

    Raises
    ------
    ValueError
        If there is no such policy.
    """
    if name not in POLICIES:
        raise ValueError(f"policy {name!r} is not known: give any of {', '.join(POLICIES)}")
    if name == CLEANEST:
        return Cleanest(fleet, grid)
    if name == NEAREST:
        return Nearest(fleet)
    mode, scoring = ("green", name) if name == CONSTRAINED else (name, "normalized")
    return Gateways(fleet, grid, mode=mode, scoring=scoring, task=task, slo_ms=slo_ms)
