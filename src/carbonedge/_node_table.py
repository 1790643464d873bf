"""The node table of the fallback: what ``_core.NodeTable`` does, over `_kernels`."""

from __future__ import annotations

import itertools
import math
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonedge import _kernels as k
from carbonedge._forest import Demand, Forest, Tree

__all__ = ["NodeTable"]

OPEN, LOAD, NETWORK, CPU, MEMORY, SLO, REMOVED, SCORE = range(8)
FEW_BLOCKS = 8
"""So few are scanned in less time than a tree takes to keep."""

STAMPS = 2**32
"""A ticket is a stamp times this and the slot of its reservation."""


# Of all tables, so that none takes another's ticket for its own; at random first, so that
# nor does it take one that was given, and completed, before a restart.
_stamps = itertools.count(secrets.randbits(32))


class NodeTable:
    """State of all nodes; see ``_core.pyi`` for what each method does."""

    __slots__ = (
        "_blocks",
        "_decision",
        "_forest",
        "_limits",
        "_lock",
        "_names",
        "_reservations",
        "_scoring",
        "_size",
        "_smoothing",
        "_states",
        "_vacant",
        "_weights",
    )

    _derive: Callable[..., None] = staticmethod(k.derive)
    _derive_all: Callable[..., None] = staticmethod(k.derive_all)
    _hold: Callable[..., None] = staticmethod(k.hold)
    _plant: Callable[..., None] = staticmethod(k.plant)
    _refresh: Callable[..., None] = staticmethod(k.refresh)
    _choose: Callable[..., tuple[Any, ...]] = staticmethod(k.choose)
    _choose_by_scan: Callable[..., tuple[Any, ...]] = staticmethod(k.choose_by_scan)
    _place_run: Callable[..., None] = staticmethod(k.place_run)

    def __init__(
        self,
        nodes: Sequence[Any],
        names: list[str] | None,
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
        decision: type[tuple[Any, ...]] = tuple,
    ) -> None:
        columns = [[getattr(node, field) for node in nodes] for field in k.FIELDS]
        policy = (weights, scoring, max_load, max_network_latency_ms, smoothing)
        self._fill(columns, names, *policy, decision)

    @classmethod
    def from_columns(
        cls,
        columns: Sequence[ArrayLike],
        names: list[str] | None,
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
        decision: type[tuple[Any, ...]] = tuple,
    ) -> NodeTable:
        table = cls.__new__(cls)
        policy = (weights, scoring, max_load, max_network_latency_ms, smoothing)
        table._fill(columns, names, *policy, decision)
        return table

    def _fill(
        self,
        columns: Sequence[ArrayLike],
        names: list[str] | None,
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
        decision: type[tuple[Any, ...]],
    ) -> None:
        self._decision = decision
        self._size = len(np.asarray(columns[0]))
        self._states = np.zeros((self._size, k.NUM_STATES))
        for field, column in enumerate(columns):
            self._states[:, field] = column
        self._blocks = _empty_blocks(-(-self._size // k.LANES))
        self._names = names
        self._weights = np.array(weights, dtype=np.float64)
        self._scoring = scoring
        self._limits = (float(max_load), float(max_network_latency_ms))
        self._smoothing = smoothing
        self._reservations: dict[int, tuple[int, float, float]] = {}
        self._vacant: list[int] = []  # slots below the highest that was taken
        self._forest = Forest(self._plant, self._refresh)
        self._lock = threading.Lock()
        self._derive_all(self._states, self._blocks, self._weights, *self._limits)

    def __len__(self) -> int:
        return self._size

    def select(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        with self._lock:
            chosen = self._best(_demand(cpu_cores, memory_mb), slo_ms)
            return self._named(chosen, 0)

    def scan(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        with self._lock:
            chosen = self._scanned(_demand(cpu_cores, memory_mb), slo_ms)
            return self._named(chosen, 0)

    def place(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[Any, ...] | None:
        with self._lock:
            demand = _demand(cpu_cores, memory_mb)
            chosen = self._best(demand, slo_ms)
            if chosen[0] < 0:
                return None
            self._hold(self._states, self._blocks, self._weights, *self._limits, *demand, chosen[0])
            self._touch(chosen[0])
            return self._named(chosen, self._reserved(chosen[0], demand))

    def place_many(
        self, cpu_cores: ArrayLike, memory_mb: ArrayLike, with_tickets: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        cpu = np.rint(np.asarray(cpu_cores) * k.CPU_QUANTA_PER_CORE)
        memory = np.rint(np.asarray(memory_mb) * k.MEMORY_QUANTA_PER_MB)
        chosen = np.empty(len(cpu), dtype=np.int64)
        changes = np.flatnonzero((np.diff(cpu) != 0) | (np.diff(memory) != 0)) + 1
        starts = [0, *changes.tolist(), len(cpu)]
        with self._lock:
            for start, stop in itertools.pairwise(starts if len(cpu) else []):
                demand = (float(cpu[start]), float(memory[start]))
                self._place_alike(demand, chosen[start:stop])
            tickets = np.zeros(len(cpu) if with_tickets else 0, dtype=np.uint64)
            for task in range(len(tickets)):
                if chosen[task] >= 0:
                    demand = (float(cpu[task]), float(memory[task]))
                    tickets[task] = self._reserved(int(chosen[task]), demand)
        return chosen, tickets

    def reserve(self, index: int, cpu_cores: float, memory_mb: float) -> int:
        with self._lock:
            self._present(index)
            demand = _demand(cpu_cores, memory_mb)
            self._hold(self._states, self._blocks, self._weights, *self._limits, *demand, index)
            self._touch(index)
            return self._reserved(index, demand)

    def complete(self, ticket: int, elapsed_ms: float | None) -> None:
        with self._lock:
            if ticket not in self._reservations:
                raise ValueError(
                    "this decision holds no reservation here: complete each decision "
                    "once, on the scheduler that made it"
                )
            index, cpu, memory = self._reservations.pop(ticket)
            self._vacant.append(ticket % STAMPS)
            if index < 0:
                return
            state = self._states[index]
            state[k.RESERVED_CPU] -= cpu
            state[k.RESERVED_MEMORY] -= memory
            state[k.RUNNING] -= 1.0
            average = state[k.AVG_TIME]
            if elapsed_ms is not None:
                step = elapsed_ms - average
                state[k.AVG_TIME] = (
                    elapsed_ms if average == 0.0 else average + self._smoothing * step
                )
            self._rederive(index)

    def set(self, index: int, field: int, value: float) -> None:
        with self._lock:
            self._states[self._present(index), field] = value
            self._rederive(index)

    def set_all(self, fields: Sequence[int], columns: Sequence[ArrayLike]) -> None:
        with self._lock:
            states = self._states[: self._size]
            arrays = [np.asarray(column) for column in columns]
            for array in arrays:
                if len(array) != self._size:
                    raise ValueError(
                        f"there are {self._size} nodes and {len(array)} values: give one for each"
                    )
            present = np.flatnonzero(states[:, k.PARALLELISM])
            for field, array in zip(fields, arrays, strict=True):
                states[present, field] = array[present]
            self._derive_all(states, self._blocks, self._weights, *self._limits)
            self._forest.outdate()

    def add(self, node: Any) -> int:
        with self._lock:
            index = self._size
            if index == len(self._states):
                more = np.zeros((max(k.LANES, index), k.NUM_STATES))
                self._states = np.concatenate((self._states, more))
                self._blocks = np.concatenate(
                    (self._blocks, _empty_blocks(len(more) // k.LANES + 1))
                )
            self._states[index, : len(k.FIELDS)] = [getattr(node, field) for field in k.FIELDS]
            self._size += 1
            if self._names is not None:
                self._names.append(node.name)
            if index % k.LANES == 0:
                # The trees have no place for another block.
                self._forest.clear()
            self._rederive(index)
            return index

    def remove(self, index: int) -> None:
        with self._lock:
            self._states[self._present(index), k.PARALLELISM] = 0.0
            for ticket, (held, *demand) in self._reservations.items():
                if held == index:
                    self._reservations[ticket] = (-1, demand[0], demand[1])
            self._rederive(index)

    def state(self, index: int) -> list[float]:
        return [float(value) for value in self._states[self._checked(index), : len(k.FIELDS)]]

    def free(self, index: int) -> tuple[float, float]:
        block = self._blocks[self._checked(index) // k.LANES]
        return (
            float(k.free_cpu(self._states, index)) / k.CPU_QUANTA_PER_CORE,
            float(block[k.FREE_MEMORY, index % k.LANES]) / k.MEMORY_QUANTA_PER_MB,
        )

    def refusal(self, index: int, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> int:
        with self._lock:
            return self._refusal(self._checked(index), _demand(cpu_cores, memory_mb), slo_ms)

    def explain(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        with self._lock:
            demand = _demand(cpu_cores, memory_mb)
            outlook = np.zeros(k.NUM_OUTLOOK)
            outlook[k.CPU], outlook[k.MEMORY] = demand
            if self._scoring == k.NORMALIZED:
                spread = np.empty(2 * k.NUM_TRAITS)
                k.spread_of(self._blocks, self._num_blocks, *demand, spread)
                if spread[k.NUM_TRAITS] > -math.inf:
                    k.face(outlook, spread, self._weights)
            refusals = np.array(
                [self._refusal(i, demand, slo_ms) for i in range(self._size)], dtype=np.int64
            )
            numbers = np.zeros((self._size, 9))
            for i in range(self._size):
                score = self._score(i, outlook) if refusals[i] == OPEN else 0.0
                numbers[i] = k.placement(
                    self._states, self._blocks, outlook, self._scoring, i, score
                )[1:]
                if refusals[i] != OPEN:
                    numbers[i, :6] = 0.0
            return refusals, numbers

    def snapshot(self) -> tuple[NDArray[np.float64], list[tuple[int, int, float, float]]]:
        with self._lock:
            states = self._states[: self._size]
            lasting = states[:, k.RESERVED_CPU : k.RESERVED_MEMORY + 1].copy()
            held = [(ticket, *reservation) for ticket, reservation in self._reservations.items()]
            for _, index, cpu, memory in held:
                if index >= 0:
                    lasting[index] -= cpu, memory
            lasting[states[:, k.PARALLELISM] == 0.0] = 0.0
            for_good = [
                (0, int(index), float(lasting[index, 0]), float(lasting[index, 1]))
                for index in np.flatnonzero(lasting.any(axis=1))
            ]
            return np.ascontiguousarray(states[:, : len(k.FIELDS)].T), for_good + held

    def restore(self, reservations: Sequence[tuple[int, int, float, float]]) -> None:
        with self._lock:
            for ticket, index, cpu, memory in reservations:
                if ticket > 0:
                    self._reservations[ticket] = (index, cpu, memory)
                if index >= 0:
                    self._states[self._checked(index), k.RESERVED_CPU] += cpu
                    self._states[index, k.RESERVED_MEMORY] += memory
            taken = {ticket % STAMPS for ticket in self._reservations}
            highest = max(taken, default=0)
            self._vacant = [slot for slot in range(highest, -1, -1) if slot not in taken]
            self._forest.clear()
            self._derive_all(self._states[: self._size], self._blocks, self._weights, *self._limits)

    @property
    def _num_blocks(self) -> int:
        return -(-self._size // k.LANES)

    def _checked(self, index: int) -> int:
        if not 0 <= index < self._size:
            raise IndexError(f"there is no node {index}")
        return index

    def _present(self, index: int) -> int:
        if self._states[self._checked(index), k.PARALLELISM] == 0.0:
            raise IndexError(f"there is no node {index}")
        return index

    def _tree(self, demand: Demand, tasks: int = 1) -> Tree | None:
        if self._num_blocks <= FEW_BLOCKS:
            return None
        tree = self._forest.find(self._blocks, self._num_blocks, demand, tasks)
        if tree is None and self._scoring != k.NORMALIZED:
            tree = self._forest.find_below(self._blocks, self._num_blocks, demand)
        return tree

    def _best(self, demand: Demand, slo_ms: float | None) -> tuple[Any, ...]:
        tree = self._tree(demand)
        if tree is None:
            return self._scanned(demand, slo_ms)
        return self._choose(
            self._states,
            self._blocks,
            self._num_blocks,
            *tree.arrays,
            self._weights,
            self._scoring,
            *demand,
            math.inf if slo_ms is None else slo_ms,
        )

    def _scanned(self, demand: Demand, slo_ms: float | None) -> tuple[Any, ...]:
        return self._choose_by_scan(
            self._states,
            self._blocks,
            self._num_blocks,
            self._weights,
            self._scoring,
            *demand,
            math.inf if slo_ms is None else slo_ms,
        )

    def _place_alike(self, demand: Demand, chosen: NDArray[np.int64]) -> None:
        tree = self._tree(demand, len(chosen))
        arrays = Tree(demand, 0).arrays if tree is None else tree.arrays
        self._place_run(
            self._states,
            self._blocks,
            self._num_blocks,
            *arrays,
            self._weights,
            self._scoring,
            *self._limits,
            *demand,
            chosen,
        )
        if self._num_blocks > FEW_BLOCKS:
            for block in np.unique(chosen[chosen >= 0] // k.LANES):
                self._forest.touch(self._blocks, int(block))

    def _named(self, chosen: tuple[Any, ...], ticket: int) -> tuple[Any, ...] | None:
        if chosen[0] < 0:
            return None
        name = str(chosen[0]) if self._names is None else self._names[chosen[0]]
        return tuple.__new__(self._decision, (name, *chosen, ticket))

    def _reserved(self, index: int, demand: Demand) -> int:
        slot = self._vacant.pop() if self._vacant else len(self._reservations)
        ticket = (next(_stamps) % (STAMPS - 1) + 1) * STAMPS + slot
        self._reservations[ticket] = (index, *demand)
        return ticket

    def _rederive(self, index: int) -> None:
        self._derive(self._states, self._blocks, self._weights, *self._limits, index)
        self._touch(index)

    def _touch(self, index: int) -> None:
        if self._num_blocks > FEW_BLOCKS:
            self._forest.touch(self._blocks, index // k.LANES)

    def _score(self, index: int, outlook: NDArray[np.float64]) -> float:
        b, lane = divmod(index, k.LANES)
        if self._scoring == k.NORMALIZED:
            return k.score(self._blocks, outlook, b, lane)
        if self._scoring == k.PAPER:
            return float(self._blocks[b, k.MERIT, lane])
        return -float(self._blocks[b, k.EMISSIONS_G, lane])

    def _refusal(self, index: int, demand: Demand, slo_ms: float | None) -> int:
        max_load, max_network_latency_ms = self._limits
        state = self._states[index]
        block, lane = self._blocks[index // k.LANES], index % k.LANES
        if state[k.PARALLELISM] == 0.0:
            return REMOVED
        if state[k.LOAD] > max_load:
            return LOAD
        if state[k.NETWORK] > max_network_latency_ms:
            return NETWORK
        if block[k.OPEN_CPU, lane] < demand[0]:
            return CPU
        if block[k.FREE_MEMORY, lane] < demand[1]:
            return MEMORY
        late = slo_ms is not None and block[k.LATENCY_MS, lane] > slo_ms
        if late and self._scoring == k.CONSTRAINED:
            return SLO
        worthless = block[k.MERIT, lane] <= 0.0
        return SCORE if worthless and self._scoring == k.PAPER else OPEN


def choose_once(
    table: type[NodeTable],
    nodes: Sequence[Any],
    weights: Sequence[float],
    scoring: int,
    max_load: float,
    max_network_latency_ms: float,
    cpu_cores: float,
    memory_mb: float,
    slo_ms: float | None,
    decision: type[tuple[Any, ...]] = tuple,
) -> tuple[Any, ...] | None:
    """The best of some nodes, by a table that is made for it."""
    names = [node.name for node in nodes]
    made = table(nodes, names, weights, scoring, max_load, max_network_latency_ms, 1.0, decision)
    return made.scan(cpu_cores, memory_mb, slo_ms)


def _empty_blocks(count: int) -> NDArray[np.float64]:
    blocks = np.zeros((count, k.NUM_FEATURES, k.LANES))
    blocks[:, k.OPEN_CPU] = -1.0
    return blocks


def _demand(cpu_cores: float, memory_mb: float) -> Demand:
    # round() takes halves to even, as the core's nearbyint does.
    return (
        float(round(cpu_cores * k.CPU_QUANTA_PER_CORE)),
        float(round(memory_mb * k.MEMORY_QUANTA_PER_MB)),
    )
