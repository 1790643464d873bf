"""The node table of the fallback: what ``_core.NodeTable`` does, over `_kernels`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonedge import _kernels as k

__all__ = ["NodeTable"]

CONSTRAINED = 2
OPEN, REFUSED_LOAD, REFUSED_NETWORK, REFUSED_CPU, REFUSED_MEMORY, REFUSED_SLO = range(6)

# Of all tables, so that none takes another's for its own.
_tickets = itertools.count(1)


class NodeTable:
    """State of all nodes, one a column; see ``_core.pyi`` for what each method does."""

    __slots__ = (
        "_columns",
        "_highs",
        "_limits",
        "_lows",
        "_names",
        "_reservations",
        "_scoring",
        "_smoothing",
        "_state",
    )

    refresh: Callable[..., None] = staticmethod(k.refresh)
    refresh_all: Callable[..., None] = staticmethod(k.refresh_all)
    choose: Callable[..., tuple[Any, ...]] = staticmethod(k.choose)

    def __init__(
        self,
        nodes: Sequence[Any],
        names: Sequence[str],
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
    ) -> None:
        blocks = -(-len(nodes) // k.BLOCK_SIZE)
        self._columns = np.zeros((k.NUM_ROWS, len(nodes)))
        self._lows = np.empty((k.NUM_ROWS + 2, blocks))
        self._highs = np.empty((k.NUM_ROWS + 2, blocks))
        for row, field in enumerate(k.FIELDS):
            self._columns[row] = [getattr(node, field) for node in nodes]
        self._names = names
        self._scoring = scoring
        # What every kernel takes. No task needs -1, so the first has its shares prepared.
        self._state = (
            self._columns,
            self._lows,
            self._highs,
            np.array([-1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            np.array(weights, dtype=np.float64),
        )
        self._limits = (float(max_load), float(max_network_latency_ms))
        self._smoothing = smoothing
        self._reservations: dict[int, tuple[int, float, float]] = {}
        self.refresh_all(*self._state, *self._limits)

    def select(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        chosen = self._choose(*self._demand(cpu_cores, memory_mb), slo_ms)
        return None if chosen is None else (self._names[chosen[0]], *chosen, 0)

    def reserve(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        cpu, memory = self._demand(cpu_cores, memory_mb)
        chosen = self._choose(cpu, memory, slo_ms)
        if chosen is None:
            return None
        ticket = next(_tickets)
        self._reservations[ticket] = (chosen[0], cpu, memory)
        self._hold(chosen[0], cpu, memory)
        return (self._names[chosen[0]], *chosen, ticket)

    def reserve_many(self, cpu_cores: ArrayLike, memory_mb: ArrayLike) -> NDArray[np.int64]:
        indices = []
        for cores, mb in zip(np.asarray(cpu_cores), np.asarray(memory_mb), strict=True):
            cpu, memory = self._demand(cores, mb)
            chosen = self._choose(cpu, memory, None)
            indices.append(-1 if chosen is None else chosen[0])
            if chosen is not None:
                self._hold(chosen[0], cpu, memory)
        return np.array(indices, dtype=np.int64)

    def complete(self, ticket: int, elapsed_ms: float) -> None:
        if ticket not in self._reservations:
            raise ValueError(
                "this decision holds no reservation here: complete each decision "
                "once, on the scheduler that made it"
            )
        index, cpu, memory = self._reservations.pop(ticket)
        columns = self._columns
        columns[k.RESERVED_CPU, index] -= cpu
        columns[k.RESERVED_MEMORY, index] -= memory
        columns[k.RUNNING, index] -= 1.0
        average = columns[k.AVG_TIME, index]
        columns[k.AVG_TIME, index] = (
            elapsed_ms if average == 0.0 else average + self._smoothing * (elapsed_ms - average)
        )
        self._refresh(index)

    def set(self, index: int, field: str, value: float) -> None:
        self._columns[k.FIELDS.index(field), index] = value
        self._refresh(index)

    def get(self, index: int, field: str) -> float:
        return float(self._columns[k.FIELDS.index(field), index])

    def free(self, index: int) -> tuple[float, float]:
        return (
            float(k.free_cpu(self._columns, index)) / k.CPU_QUANTA_PER_CORE,
            float(self._columns[k.FREE_MEMORY, index]) / k.MEMORY_QUANTA_PER_MB,
        )

    def refusals(self, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> list[int]:
        cpu, memory = self._demand(cpu_cores, memory_mb)
        return [
            self._refusal(index, cpu, memory, math.inf if slo_ms is None else slo_ms)
            for index in range(self._columns.shape[1])
        ]

    def _refusal(self, index: int, cpu: float, memory: float, slo_ms: float) -> int:
        max_load, max_network_latency_ms = self._limits
        column = self._columns[:, index]
        if column[k.LOAD] > max_load:
            return REFUSED_LOAD
        if column[k.NETWORK] > max_network_latency_ms:
            return REFUSED_NETWORK
        if k.free_cpu(self._columns, index) < cpu:
            return REFUSED_CPU
        if column[k.FREE_MEMORY] < memory:
            return REFUSED_MEMORY
        if self._scoring == CONSTRAINED and column[k.LATENCY_MS] > slo_ms:
            return REFUSED_SLO
        return OPEN

    def _demand(self, cpu_cores: float, memory_mb: float) -> tuple[float, float]:
        # round() takes halves to even, as the core's nearbyint does.
        return (
            float(round(cpu_cores * k.CPU_QUANTA_PER_CORE)),
            float(round(memory_mb * k.MEMORY_QUANTA_PER_MB)),
        )

    def _choose(self, cpu: float, memory: float, slo_ms: float | None) -> tuple[Any, ...] | None:
        limit = math.inf if slo_ms is None else slo_ms
        chosen = self.choose(*self._state, self._scoring, cpu, memory, limit)
        return None if chosen[0] < 0 else chosen

    def _hold(self, index: int, cpu: float, memory: float) -> None:
        self._columns[k.RESERVED_CPU, index] += cpu
        self._columns[k.RESERVED_MEMORY, index] += memory
        self._columns[k.RUNNING, index] += 1.0
        self._refresh(index)

    def _refresh(self, index: int) -> None:
        self.refresh(*self._state, *self._limits, index)
