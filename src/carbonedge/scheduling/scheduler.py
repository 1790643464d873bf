"""Choosing a node for each task: once, or over and over with the state kept."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonedge._backend import backend
from carbonedge._validation import LARGEST, fraction, non_negative, target
from carbonedge.cluster import NODE_RULES, Cluster, Node
from carbonedge.exceptions import InfeasibleError
from carbonedge.scheduling.decision import Decision
from carbonedge.scheduling.task import Task
from carbonedge.scheduling.weights import Weights, resolve_mode, resolve_scoring

if TYPE_CHECKING:
    from carbonedge._core import NodeTable

__all__ = ["Scheduler", "schedule"]

MAX_LOAD = 0.8
SMOOTHING = 0.2
UPDATABLE = (
    "load",
    "intensity_g_per_kwh",
    "network_latency_ms",
    "avg_time_ms",
    "power_w",
    "pue",
    "embodied_g_per_hour",
)
MOST_REASONS = 8

# Makes a Decision of the core's tuple without unpacking it.
_new = tuple.__new__


def schedule(
    task: Task,
    nodes: Sequence[Node],
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
        The candidates, as they are now.
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
    table = _table(nodes, mode, scoring, *limits, SMOOTHING)
    placed = table.select(task.cpu_cores, task.memory_mb, task.slo_ms)
    if placed is None:
        raise _infeasible(table, task, nodes, *limits)
    return _new(Decision, placed)


class Scheduler:
    """Places tasks one after another and keeps the state of the nodes.

    Under ``"paper"`` scoring the choice is Algorithm 1 of the CarbonEdge paper (arXiv
    2603.27420) to the letter. Under ``"normalized"`` each component is min-max scaled
    at each decision over the nodes that can take the task, resource being the share
    left free, performance the predicted latency and carbon the predicted grams; so a
    mode's weights mean the same whatever the units. Under ``"constrained"`` the least
    emissions within the task's ``slo_ms`` win, ties going to the faster node.

    Parameters
    ----------
    nodes
        A cluster, or its nodes.
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

    __slots__ = ("_indices", "_limits", "_nodes", "_reserve", "_table")

    def __init__(
        self,
        nodes: Cluster | Iterable[Node],
        *,
        mode: str | Weights = "balanced",
        scoring: str = "normalized",
        max_load: float = MAX_LOAD,
        max_network_latency_ms: float = math.inf,
        smoothing: float = SMOOTHING,
    ) -> None:
        self._nodes = nodes.nodes if isinstance(nodes, Cluster) else tuple(nodes)
        self._indices = {node.name: index for index, node in enumerate(self._nodes)}
        if len(self._indices) < len(self._nodes):
            raise ValueError("two nodes share a name: names must differ")
        if fraction("smoothing", smoothing) == 0:
            raise ValueError("smoothing is 0: it must be above 0, or no task is ever learned from")
        self._limits = _checked_limits(max_load, max_network_latency_ms)
        self._table = _table(self._nodes, mode, scoring, *self._limits, smoothing)
        self._reserve = self._table.reserve

    def schedule(self, task: Task) -> Decision:
        """Choose a node for a task and reserve the task's needs on it.

        Raises
        ------
        InfeasibleError
            If no node can take the task; the message says why, for each.
        """
        placed = self._reserve(task.cpu_cores, task.memory_mb, task.slo_ms)
        if placed is None:
            raise _infeasible(self._table, task, self._nodes, *self._limits)
        return _new(Decision, placed)

    def complete(self, decision: Decision, elapsed_ms: float) -> None:
        """Free what a decision reserved and learn from the time its task took.

        Parameters
        ----------
        decision
            From `schedule`, once.
        elapsed_ms
            Moves the node's mean time towards itself by `smoothing`.

        Raises
        ------
        ValueError
            If the decision holds no reservation here, or the time is negative or not
            finite. Nothing changes.
        """
        self._table.complete(decision.ticket, non_negative("elapsed_ms", elapsed_ms))

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
        if name not in self._indices:
            raise ValueError(f"there is no node {name!r}: known are {', '.join(self._indices)}")
        checked = []
        for field, value in state.items():
            if field not in UPDATABLE:
                raise ValueError(f"{field!r} cannot be updated: give any of {', '.join(UPDATABLE)}")
            checked.append((field, NODE_RULES[field](f"{field} of node {name!r}", value)))
        for field, number in checked:
            self._table.set(self._indices[name], field, number)

    def schedule_many(self, cpu_cores: ArrayLike, memory_mb: ArrayLike) -> NDArray[np.int64]:
        """Place many tasks one after another, each seeing those before it. Their
        reservations last as long as the scheduler.

        Parameters
        ----------
        cpu_cores, memory_mb
            Needs of each task, shape [tasks].

        Returns
        -------
        int64 array, shape [tasks]
            Indices of nodes, -1 where no node fits.

        Raises
        ------
        ValueError
            If the arrays differ in shape, are not one-dimensional, or a need is
            negative, not finite or beyond any machine.
        """
        cpu = np.ascontiguousarray(cpu_cores, dtype=np.float64)
        memory = np.ascontiguousarray(memory_mb, dtype=np.float64)
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
        return self._table.reserve_many(cpu, memory)


def _checked_limits(max_load: float, max_network_latency_ms: float) -> tuple[float, float]:
    return (
        fraction("max_load", max_load),
        target("max_network_latency_ms", max_network_latency_ms),
    )


def _table(
    nodes: Sequence[Node],
    mode: str | Weights,
    scoring: str,
    max_load: float,
    max_network_latency_ms: float,
    smoothing: float,
) -> NodeTable:
    if not nodes:
        raise ValueError("there are no nodes: give at least one")
    for node in nodes:
        if node.intensity_g_per_kwh is None:
            node.known_intensity()
    table: NodeTable = backend().NodeTable(
        nodes,
        [node.name for node in nodes],
        *_weights_and_scoring(mode, scoring),
        max_load,
        max_network_latency_ms,
        smoothing,
    )
    return table


# Looked up on every call of schedule(), and a mode is mostly the last one again.
@functools.lru_cache(maxsize=64)
def _weights_and_scoring(mode: str | Weights, scoring: str) -> tuple[tuple[float, ...], int]:
    return tuple(resolve_mode(mode)), resolve_scoring(scoring)


def _infeasible(
    table: NodeTable,
    task: Task,
    nodes: Sequence[Node],
    max_load: float,
    max_network_latency_ms: float,
) -> InfeasibleError:
    refusals = table.refusals(task.cpu_cores, task.memory_mb, task.slo_ms)

    def reason(index: int) -> str:
        node = nodes[index]
        cpu_cores, memory_mb = table.free(index)
        queue = table.get(index, "running_tasks") / table.get(index, "parallelism")
        latency_ms = table.get(index, "network_latency_ms")
        latency_ms += table.get(index, "avg_time_ms") * (1 + queue)
        return {
            0: "its score is not above 0",
            1: f"its load {table.get(index, 'load'):g} is above max_load {max_load:g}",
            2: f"its network latency {table.get(index, 'network_latency_ms'):g} ms is above "
            f"max_network_latency_ms {max_network_latency_ms:g}",
            3: f"it has {cpu_cores:g} of {node.cpu_cores:g} CPU cores free and the task "
            f"needs {task.cpu_cores:g}",
            4: f"it has {memory_mb:g} of {node.memory_mb:g} MB free and the task "
            f"needs {task.memory_mb:g}",
            5: f"its predicted latency {latency_ms:g} ms is above slo_ms {task.slo_ms}",
        }[refusals[index]]

    shown = [f"{node.name}: {reason(i)}" for i, node in enumerate(nodes[:MOST_REASONS])]
    if len(nodes) > MOST_REASONS:
        shown.append(f"and {len(nodes) - MOST_REASONS} more")
    return InfeasibleError("no node can take the task (" + "; ".join(shown) + ")")
