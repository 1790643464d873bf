"""What a decision makes of each node."""

from __future__ import annotations

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
    return {
        0: "its score is not above 0",
        1: f"its load {state['load']:g} is above max_load {max_load:g}",
        2: f"its network latency {state['network_latency_ms']:g} ms is above "
        f"max_network_latency_ms {max_network_latency_ms:g}",
        3: f"it has {cpu_cores:g} of {state['cpu_cores']:g} CPU cores free and the task "
        f"needs {task.cpu_cores:g}",
        4: f"it has {memory_mb:g} of {state['memory_mb']:g} MB free and the task "
        f"needs {task.memory_mb:g}",
        5: f"its predicted latency {latency_ms:g} ms is above slo_ms {task.slo_ms}",
        REMOVED: "it was removed",
    }[refusal]
