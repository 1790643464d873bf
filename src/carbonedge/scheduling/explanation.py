"""What a decision makes of each node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carbonedge._kernels import FIELDS
from carbonedge.scheduling.task import Task

if TYPE_CHECKING:
    from carbonedge._core import NodeTable

__all__ = ["Explanation", "explanations", "refusal_text"]

REMOVED = 6


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a node stands for a task.

    Attributes
    ----------
    node, index
        The node, by name and by position.
    refusal
        Why it cannot take the task; ``None`` where it can.
    score
        As in a `Decision`; 0 where the node refuses, as are the components.
    resource, load, performance, balance, carbon
        The components of the score.
    latency_ms, energy_j, emissions_g
        Predicted for the task.
    """

    node: str
    index: int
    refusal: str | None
    score: float
    resource: float
    load: float
    performance: float
    balance: float
    carbon: float
    latency_ms: float
    energy_j: float
    emissions_g: float

    @property
    def components(self) -> dict[str, float]:
        """The five components by name."""
        return {
            "resource": self.resource,
            "load": self.load,
            "performance": self.performance,
            "balance": self.balance,
            "carbon": self.carbon,
        }


def explanations(
    table: NodeTable,
    task: Task,
    names: Sequence[str] | None,
    limits: tuple[float, float],
) -> list[Explanation]:
    """Of all nodes that are there, in order."""
    refusals, numbers = table.explain(task.cpu_cores, task.memory_mb, task.slo_ms)
    return [
        Explanation(
            str(index) if names is None else names[index],
            index,
            refusal_text(table, index, refusal, task, limits) if refusal else None,
            *row,
        )
        for index, (refusal, row) in enumerate(
            zip(refusals.tolist(), numbers.tolist(), strict=True)
        )
        if refusal != REMOVED
    ]


def refusal_text(
    table: NodeTable, index: int, refusal: int, task: Task, limits: tuple[float, float]
) -> str:
    """Why a node refuses, from the core's ``Refusal``."""
    state = dict(zip(FIELDS, table.state(index), strict=True))
    cpu_cores, memory_mb = table.free(index)
    latency_ms = state["network_latency_ms"]
    latency_ms += state["avg_time_ms"] * (1 + state["running_tasks"] / (state["parallelism"] or 1))
    max_load, max_network_latency_ms = limits
    load, highest = _apart(state["load"], max_load)
    network, farthest = _apart(state["network_latency_ms"], max_network_latency_ms)
    cpu, needed_cpu = _apart(cpu_cores, task.cpu_cores)
    memory, needed_memory = _apart(memory_mb, task.memory_mb)
    late, in_time = _apart(latency_ms, math.inf if task.slo_ms is None else task.slo_ms)
    return {
        0: "it could not, but another thread has changed it since",
        1: f"its load {load} is above max_load {highest}",
        2: f"its network latency {network} ms is above max_network_latency_ms {farthest}",
        3: f"it has {cpu} of {state['cpu_cores']:g} CPU cores free and the task needs {needed_cpu}",
        4: f"it has {memory} of {state['memory_mb']:g} MB free and the task needs {needed_memory}",
        5: f"its predicted latency {late} ms is above slo_ms {in_time}",
        REMOVED: "it was removed",
        7: "its score is not above 0",
    }[refusal]


def _apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart."""
    for digits in (6, 9, 12):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return repr(one), repr(other)
