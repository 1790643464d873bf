"""The node table of the fallback: what ``_core.NodeTable`` does, over `_kernels`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonedge import _kernels as k

__all__ = ["NodeTable"]

PAPER, NORMALIZED, CONSTRAINED = range(3)
OPEN, REFUSED_LOAD, REFUSED_NETWORK, REFUSED_CPU, REFUSED_MEMORY, REFUSED_SLO = range(6)


class NodeTable:
    """State of all nodes, one a column; see ``_core.pyi`` for what each method does."""

    __slots__ = (
        "_columns",
        "_highs",
        "_lows",
        "_names",
        "_next_ticket",
        "_policy",
        "_reservations",
        "_scoring",
        "_smoothing",
        "_weights",
    )

    refresh: Callable[..., None] = staticmethod(k.refresh)
    refresh_all: Callable[..., None] = staticmethod(k.refresh_all)
    best_merit: Callable[..., tuple[int, float]] = staticmethod(k.best_merit)
    best_scaled: Callable[..., tuple[Any, ...]] = staticmethod(k.best_scaled)
    least_emissions: Callable[..., tuple[int, float]] = staticmethod(k.least_emissions)

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
        self._lows = np.empty((k.NUM_ROWS, blocks))
        self._highs = np.empty((k.NUM_ROWS, blocks))
        for row, field in enumerate(k.FIELDS):
            self._columns[row] = [getattr(node, field) for node in nodes]
        self._names = names
        self._weights = np.array(weights, dtype=np.float64)
        self._scoring = scoring
        self._policy = (self._weights, float(max_load), float(max_network_latency_ms))
        self._smoothing = smoothing
        self._reservations: dict[int, tuple[int, float, float]] = {}
        self._next_ticket = 1
        self.refresh_all(self._columns, self._lows, self._highs, *self._policy)

    def select(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        chosen = self._choose(*self._demand(cpu_cores, memory_mb), slo_ms)
        return None if chosen is None else self._placement(*chosen, ticket=0)

    def reserve(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        cpu, memory = self._demand(cpu_cores, memory_mb)
        chosen = self._choose(cpu, memory, slo_ms)
        if chosen is None:
            return None
        placement = self._placement(*chosen, ticket=self._next_ticket)
        self._reservations[self._next_ticket] = (chosen[0], cpu, memory)
        self._next_ticket += 1
        self._hold(chosen[0], cpu, memory)
        return placement

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
        _, max_load, max_network_latency_ms = self._policy
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

    def _choose(
        self, cpu: float, memory: float, slo_ms: float | None
    ) -> tuple[int, float, tuple[float, ...]] | None:
        table = (self._columns, self._lows, self._highs)
        if self._scoring == NORMALIZED:
            index, score, *parts = self.best_scaled(*table, cpu, memory, self._weights)
            return None if index < 0 else (index, score, tuple(parts))
        if self._scoring == PAPER:
            index, score = self.best_merit(*table, cpu, memory)
        else:
            limit = math.inf if slo_ms is None else slo_ms
            index, score = self.least_emissions(*table, cpu, memory, limit)
        return None if index < 0 else (index, score, k.paper_components(self._columns, index))

    def _placement(
        self, index: int, score: float, parts: tuple[float, ...], *, ticket: int
    ) -> tuple[Any, ...]:
        return (
            self._names[index],
            int(index),
            float(score),
            *(float(part) for part in parts),
            float(self._columns[k.LATENCY_MS, index]),
            float(k.predicted_energy_j(self._columns, index)),
            float(self._columns[k.EMISSIONS_G, index]),
            ticket,
        )

    def _hold(self, index: int, cpu: float, memory: float) -> None:
        self._columns[k.RESERVED_CPU, index] += cpu
        self._columns[k.RESERVED_MEMORY, index] += memory
        self._columns[k.RUNNING, index] += 1.0
        self._refresh(index)

    def _refresh(self, index: int) -> None:
        self.refresh(self._columns, self._lows, self._highs, index, *self._policy)
