"""Choosing a node for each task: once, or over and over with the state kept."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonedge._backend import backend
from carbonedge._kernels import FIELDS
from carbonedge._validation import LARGEST, fraction, identity, non_negative, target
from carbonedge.cluster import NODE_RULES, Cluster, Node
from carbonedge.exceptions import InfeasibleError
from carbonedge.scheduling.columns import checked_columns, checked_names, real_numbers
from carbonedge.scheduling.decision import Decision
from carbonedge.scheduling.explanation import Explanation, explanations, refusal_text
from carbonedge.scheduling.snapshot import Snapshot, checked_snapshot
from carbonedge.scheduling.task import Task
from carbonedge.scheduling.weights import SCORINGS, Weights, resolve_mode, resolve_scoring

if TYPE_CHECKING:
    from carbonedge._core import NodeTable

__all__ = ["Scheduler", "schedule"]

MAX_LOAD = 0.8
SMOOTHING = 0.2
LEAST = math.ulp(0.0)
UPDATABLE = {
    "load": (0.0, 1.0),
    "intensity_g_per_kwh": (0.0, LARGEST),
    "network_latency_ms": (0.0, LARGEST),
    "avg_time_ms": (0.0, LARGEST),
    "power_w": (LEAST, LARGEST),
    "pue": (1.0, LARGEST),
    "embodied_g_per_hour": (0.0, LARGEST),
}
"""The range in which the rule of each holds."""

PLACES = {field: place for place, field in enumerate(FIELDS)}
NOWHERE = 2**62
"""A position that no node has."""
MOST_DIGITS = 19
"""Of any position."""

MOST_REASONS = 8


def schedule(
    task: Task,
    nodes: Sequence[Node] | Mapping[str, ArrayLike],
    *,
    mode: str | Weights = "balanced",
    scoring: str = "normalized",
    max_load: float = MAX_LOAD,
    max_network_latency_ms: float = math.inf,
) -> Decision:
    """The best of a list of nodes for one task. Nothing is kept.

    Parameters
    ----------
    task
        What is to be placed.
    nodes
        The candidates, as they are now; or arrays by column, as for a `Scheduler`.
    mode
        A name in `MODES`, or weights of your own.
    scoring
        ``"paper"``, ``"normalized"`` or ``"constrained"``; see `Scheduler`.
    max_load, max_network_latency_ms
        Nodes above either are passed over.

    Returns
    -------
    Decision
        The first of the best nodes.

    Raises
    ------
    InfeasibleError
        If no node can take the task; the message says why, for each.
    IntensityUnavailableError
        If a node has no carbon intensity.
    ValueError
        If `nodes` is empty, `mode` or `scoring` is not known, or a limit is out of
        range.
    """
    limits = _checked_limits(max_load, max_network_latency_ms)
    weights, number = _weights_and_scoring(mode, scoring)
    if isinstance(nodes, Mapping):
        table = _table(nodes, weights, number, *limits, SMOOTHING)[0]
        decision = table.scan(task.cpu_cores, task.memory_mb, task.slo_ms)
    else:
        _check_intensities(nodes)
        decision = backend().choose_once(
            nodes,
            weights,
            number,
            *limits,
            task.cpu_cores,
            task.memory_mb,
            task.slo_ms,
            Decision,
        )
    if decision is None:
        raise _infeasible(*_table(nodes, weights, number, *limits, SMOOTHING), task, limits)
    return decision  # type: ignore[no-any-return]  # of the type given to the core


class Scheduler:
    """Places tasks one after another and keeps the state of the nodes.

    Under ``"paper"`` scoring the choice is Algorithm 1 of the CarbonEdge paper (arXiv
    2603.27420) to the letter. Under ``"normalized"`` each component is min-max scaled
    at each decision over the nodes that can take the task, resource being the share
    left free, performance the predicted latency and carbon the predicted grams; so a
    mode's weights mean the same whatever the units. Under ``"constrained"`` the least
    emissions within the task's ``slo_ms`` win, ties going to the faster node. A node whose
    learned mean time comes to pass that gets no more tasks to learn from: to have it tried
    again, `update` its ``avg_time_ms``.

    Parameters
    ----------
    nodes
        A cluster, or its nodes; or arrays of shape [nodes] by the names of `Node`'s
        parameters, which cost no object a node: cpu_cores, memory_mb, power_w and
        intensity_g_per_kwh at least, a number standing for an array of it. Without a
        column ``name`` nodes are named by their position, "0" and on.
    mode
        A name in `MODES`, or weights of your own.
    scoring
        See above.
    max_load, max_network_latency_ms
        Nodes above either are passed over.
    smoothing
        Weight of the newest observation in a node's mean time, above 0 and up to 1.

    Raises
    ------
    IntensityUnavailableError
        If a node has no carbon intensity.
    ValueError
        If there are no nodes, two share a name, or an argument is out of range.
    """

    __slots__ = (
        "_indices",
        "_limits",
        "_names",
        "_place",
        "_set",
        "_smoothing",
        "_table",
        "_weights",
    )

    def __init__(
        self,
        nodes: Cluster | Iterable[Node] | Mapping[str, ArrayLike],
        *,
        mode: str | Weights = "balanced",
        scoring: str = "normalized",
        max_load: float = MAX_LOAD,
        max_network_latency_ms: float = math.inf,
        smoothing: float = SMOOTHING,
    ) -> None:
        self._smoothing = fraction("smoothing", smoothing)
        if self._smoothing == 0:
            raise ValueError("smoothing is 0: it must be above 0, or no task is ever learned from")
        if isinstance(nodes, Cluster):
            nodes = nodes.nodes
        elif not isinstance(nodes, Mapping):
            nodes = tuple(nodes)
        self._limits = _checked_limits(max_load, max_network_latency_ms)
        self._weights = _weights_and_scoring(mode, scoring)
        table, names = _table(nodes, *self._weights, *self._limits, self._smoothing)
        indices = None if names is None else {name: index for index, name in enumerate(names)}
        if names is not None and indices is not None and len(indices) < len(names):
            checked_names(names, len(names))
        self._keep(table, names, indices)

    def _keep(
        self, table: NodeTable, names: list[str] | None, indices: dict[str, int] | None
    ) -> None:
        self._table = table
        self._names = names
        self._indices = indices
        self._place = table.place
        self._set = table.set

    def __len__(self) -> int:
        """How many positions were given out, to nodes since removed too."""
        return len(self._table)

    def schedule(self, task: Task) -> Decision:
        """Choose a node for a task and reserve the task's needs on it.

        Raises
        ------
        InfeasibleError
            If no node can take the task; the message says why, for each.
        """
        decision = self._place(task.cpu_cores, task.memory_mb, task.slo_ms)
        if decision is None:
            raise _infeasible(self._table, self._names, task, self._limits)
        return decision  # type: ignore[no-any-return]  # of the type given to the table

    def reserve(self, name: str, task: Task) -> int:
        """Take up a task that something else has placed on a node, such as a scheduler of
        another process: its CPU, its memory and a slot, whether they are free or not.

        Returns
        -------
        int
            A ticket, with which to `complete` it.

        Raises
        ------
        ValueError
            If there is no such node.
        """
        indices = self._indices
        index = self._position(name) if indices is None else indices.get(name, NOWHERE)
        try:
            return self._table.reserve(index, task.cpu_cores, task.memory_mb)
        except IndexError:
            raise self._unknown(name) from None

    def complete(self, decision: Decision | int, elapsed_ms: float | None) -> None:
        """Free what a decision reserved and learn from the time its task took.

        Parameters
        ----------
        decision
            From `schedule`, or a ticket from `schedule_many` or `reserve`; once. Its node
            may have been removed meanwhile.
        elapsed_ms
            Moves the node's mean time towards itself by `smoothing`; ``None`` where the
            time teaches nothing, as of a task that failed.

        Raises
        ------
        ValueError
            If the decision holds no reservation here, or the time is negative or not
            finite. Nothing changes.
        TypeError
            If it is neither a decision nor a whole number.
        """
        if isinstance(decision, Decision):
            ticket = decision.ticket
        else:
            ticket = identity("the ticket", decision)
            # None is beyond 64 bits, and the core takes no others.
            ticket = ticket if 0 < ticket < 2**64 else 0
        if elapsed_ms is not None:
            elapsed_ms = non_negative("elapsed_ms", elapsed_ms)
        self._table.complete(ticket, elapsed_ms)

    def update(self, name: str, **state: float) -> None:
        """Set numbers of a node that have changed.

        Parameters
        ----------
        name
            The node.
        state
            Any of load, intensity_g_per_kwh, network_latency_ms, avg_time_ms, power_w,
            pue, embodied_g_per_hour.

        Raises
        ------
        ValueError
            If there is no such node or number, or a value is out of its range. Nothing
            changes.
        """
        for field, value in state.items():
            if field not in UPDATABLE:
                raise ValueError(f"{field!r} cannot be updated: give any of {', '.join(UPDATABLE)}")
            low, high = UPDATABLE[field]
            if type(value) is not float or not low <= value <= high:
                state[field] = NODE_RULES[field](f"{field} of node {name!r}", value)
        indices = self._indices
        index = self._position(name) if indices is None else indices.get(name, NOWHERE)
        if not state:
            self._check(name, index)
        try:
            for field, value in state.items():
                self._set(index, PLACES[field], value)
        except IndexError:
            raise self._unknown(name) from None

    def update_many(self, **state: ArrayLike) -> None:
        """Set numbers of all nodes at once; other threads run meanwhile.

        Parameters
        ----------
        state
            Any that `update` takes: arrays of shape [nodes], by position, or a number for
            all. What stands at the position of a removed node counts for nothing.

        Raises
        ------
        ValueError
            If there is no such number, an array is of another shape, or a value is out of its
            range. Nothing changes.
        TypeError
            If an array holds anything but real numbers.
        """
        columns = [self._column(field, values) for field, values in state.items()]
        self._table.set_all([PLACES[field] for field in state], columns)

    def _column(self, field: str, values: ArrayLike) -> NDArray[np.float64]:
        if field not in UPDATABLE:
            raise ValueError(f"{field!r} cannot be updated: give any of {', '.join(UPDATABLE)}")
        column = real_numbers(field, values).astype(np.float64)
        if column.ndim == 0:
            column = np.full(len(self), column)
        if column.shape != (len(self),):
            raise ValueError(
                f"{field} has shape {column.shape} and there are {len(self)} nodes: "
                "give a number, or one for each"
            )
        low, high = UPDATABLE[field]
        wrong = ~((column >= low) & (column <= high))
        if wrong.any():
            index = int(np.argmax(wrong))
            NODE_RULES[field](f"{field}[{index}]", float(column[index]))
        return column

    def add(self, node: Node) -> int:
        """Take up a node; returns its position, one above the last.

        Raises
        ------
        IntensityUnavailableError
            If it has no carbon intensity.
        ValueError
            If a node of its name is there, or nodes have no names.
        """
        node.known_intensity()
        if self._indices is None:
            raise ValueError(
                f"nodes made of arrays without a column 'name' are named by position, not "
                f"{node.name!r}: give that column, then add"
            )
        if node.name in self._indices:
            raise ValueError(f"there is a node {node.name!r} already: names must differ")
        index = self._table.add(node)
        self._indices[node.name] = index
        return index

    def remove(self, name: str) -> None:
        """Place no more tasks on a node, and forget it. Tasks that run there may still be
        completed, and the other nodes keep their positions.

        Raises
        ------
        ValueError
            If there is no such node.
        """
        try:
            indices = self._indices
            index = self._position(name) if indices is None else indices.get(name, NOWHERE)
            self._table.remove(index)
        except IndexError:
            raise self._unknown(name) from None
        if indices is not None:
            del indices[name]

    def explain(self, task: Task) -> list[Explanation]:
        """What a decision for a task would make of each node. Nothing is reserved.

        Returns
        -------
        list of Explanation
            In the order of the nodes.
        """
        return explanations(self._table, task, self._names, self._limits)

    def snapshot(self) -> Snapshot:
        """All that this scheduler knows, as a plain dict that JSON can hold."""
        columns, reservations = self._table.snapshot()
        return {
            "version": 1,
            "weights": list(self._weights[0]),
            "scoring": SCORINGS[self._weights[1]],
            "max_load": self._limits[0],
            "max_network_latency_ms": None if math.isinf(self._limits[1]) else self._limits[1],
            "smoothing": self._smoothing,
            "columns": dict(zip(FIELDS, columns.tolist(), strict=True)),
            "names": None if self._names is None else self._names[: columns.shape[1]],
            "reservations": [list(held) for held in reservations],
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """A scheduler that goes on where a snapshot was taken, tickets included.

        Raises
        ------
        ValueError, TypeError
            If it is not what `snapshot` gives; the message says where.
        """
        known = checked_snapshot(snapshot)
        self = cls.__new__(cls)
        limit = known["max_network_latency_ms"]
        self._limits = _checked_limits(known["max_load"], math.inf if limit is None else limit)
        self._weights = _weights_and_scoring(Weights(*known["weights"]), known["scoring"])
        self._smoothing = known["smoothing"]
        columns = [known["columns"][field] for field in FIELDS]
        table: NodeTable = backend().NodeTable.from_columns(
            columns, known["names"], *self._weights, *self._limits, self._smoothing, Decision
        )
        # Those without a ticket first: the core may keep another where they would be.
        table.restore(sorted(tuple(held) for held in known["reservations"]))
        names = known["names"]
        slots = known["columns"]["parallelism"]
        present = None if names is None else {n: i for i, n in enumerate(names) if slots[i] > 0}
        self._keep(table, names, present)
        return self

    def _position(self, name: str) -> int:
        text = str(name)
        return int(text) if text.isdecimal() and len(text) < MOST_DIGITS else NOWHERE

    def _check(self, name: str, index: int) -> None:
        if index >= len(self._table) or not self._table.state(index)[PLACES["parallelism"]]:
            raise self._unknown(name)

    def _unknown(self, name: str) -> ValueError:
        if self._indices is None:
            return ValueError(
                f"there is no node {name!r}: nodes are named '0' to '{len(self._table) - 1}', "
                "those removed left out"
            )
        known = list(self._indices)
        shown = ", ".join(known[:MOST_REASONS])
        more = f" and {len(known) - MOST_REASONS} more" if len(known) > MOST_REASONS else ""
        return ValueError(f"there is no node {name!r}: known are {shown}{more}")

    @overload
    def schedule_many(
        self, cpu_cores: ArrayLike, memory_mb: ArrayLike, *, tickets: Literal[False] = ...
    ) -> NDArray[np.int64]: ...
    @overload
    def schedule_many(
        self, cpu_cores: ArrayLike, memory_mb: ArrayLike, *, tickets: Literal[True]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]: ...

    def schedule_many(
        self, cpu_cores: ArrayLike, memory_mb: ArrayLike, *, tickets: bool = False
    ) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Place many tasks one after another, each seeing those before it, as that many
        calls of `schedule` would; other threads run meanwhile.

        Parameters
        ----------
        cpu_cores, memory_mb
            Needs of each task, shape [tasks].
        tickets
            Whether to return tickets too, with which to `complete` the tasks. Without
            them their reservations last as long as the scheduler.

        Returns
        -------
        int64 array, shape [tasks]
            Positions of nodes, -1 where no node fits.
        uint64 array, shape [tasks]
            Tickets, 0 where no node fits; only if asked for.

        Raises
        ------
        ValueError
            If the arrays differ in shape, are not one-dimensional, or a need is
            negative, not finite or beyond any machine.
        TypeError
            If they hold anything but real numbers.
        """
        cpu = np.asarray(real_numbers("cpu_cores", cpu_cores), dtype=np.float64, order="C")
        memory = np.asarray(real_numbers("memory_mb", memory_mb), dtype=np.float64, order="C")
        if cpu.ndim != 1 or cpu.shape != memory.shape:
            raise ValueError(
                f"cpu_cores has shape {cpu.shape} and memory_mb {memory.shape}: "
                "give two one-dimensional arrays of one length"
            )
        for what, needs in (("cpu_cores", cpu), ("memory_mb", memory)):
            wrong = ~((needs >= 0) & (needs <= LARGEST))
            if wrong.any():
                first = int(np.argmax(wrong))
                raise ValueError(
                    f"{what}[{first}] is {needs[first]:g}: "
                    f"it must be finite, 0 or above and at most {LARGEST:g}"
                )
        chosen, taken = self._table.place_many(cpu, memory, tickets)
        return (chosen, taken) if tickets else chosen


def _checked_limits(max_load: float, max_network_latency_ms: float) -> tuple[float, float]:
    return (
        fraction("max_load", max_load),
        target("max_network_latency_ms", max_network_latency_ms),
    )


def _check_intensities(nodes: Sequence[Node]) -> None:
    if not nodes:
        raise ValueError("there are no nodes: give at least one")
    for node in nodes:
        if node.intensity_g_per_kwh is None:
            node.known_intensity()


def _table(
    nodes: Sequence[Node] | Mapping[str, ArrayLike],
    weights: tuple[float, ...],
    scoring: int,
    max_load: float,
    max_network_latency_ms: float,
    smoothing: float,
) -> tuple[NodeTable, list[str] | None]:
    policy = (weights, scoring, max_load, max_network_latency_ms, smoothing, Decision)
    if isinstance(nodes, Mapping):
        columns = checked_columns(nodes)
        names = checked_names(nodes["name"], len(columns[0])) if "name" in nodes else None
        return backend().NodeTable.from_columns(columns, names, *policy), names
    _check_intensities(nodes)
    names = [node.name for node in nodes]
    return backend().NodeTable(nodes, names, *policy), names


# Looked up on every call of schedule(), and a mode is mostly the last one again.
@functools.lru_cache(maxsize=64)
def _weights_and_scoring(mode: str | Weights, scoring: str) -> tuple[tuple[float, ...], int]:
    return tuple(resolve_mode(mode)), resolve_scoring(scoring)


def _infeasible(
    table: NodeTable, names: Sequence[str] | None, task: Task, limits: tuple[float, float]
) -> InfeasibleError:
    def reason(index: int) -> str:
        refusal = table.refusal(index, task.cpu_cores, task.memory_mb, task.slo_ms)
        name = str(index) if names is None else names[index]
        return f"{name}: {refusal_text(table, index, refusal, task, limits)}"

    shown = [reason(index) for index in range(min(MOST_REASONS, len(table)))]
    if len(table) > MOST_REASONS:
        shown.append(f"and {len(table) - MOST_REASONS} more")
    return InfeasibleError("no node can take the task (" + "; ".join(shown) + ")")
