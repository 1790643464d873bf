"""What a backend provides; the fallback's modules have the same signatures."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str
BUILD_TYPE: str

# Name, index, score, the five components, latency in ms, energy in J, emissions in g,
# and the ticket of the reservation, 0 where none was made.
_Placement: TypeAlias = tuple[
    str, int, float, float, float, float, float, float, float, float, float, int
]

class NodeTable:
    """State of all nodes, and the choice among them.

    Scoring is 0 for `paper`, 1 for `normalized`, 2 for `constrained`. Nodes are read
    by attribute; numbers must have been checked.
    """

    def __init__(
        self,
        nodes: Sequence[object],
        names: list[str],
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
    ) -> None: ...
    def select(self, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> _Placement | None:
        """The best node for a task, or nothing when none can take it."""

    def reserve(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> _Placement | None:
        """The same, and takes the task's CPU, memory and a running-task slot there."""

    def reserve_many(self, cpu_cores: ArrayLike, memory_mb: ArrayLike) -> NDArray[np.int64]:
        """Reserves for tasks one after another; indices, -1 where no node fits."""

    def complete(self, ticket: int, elapsed_ms: float) -> None:
        """Gives a reservation back; ValueError for a ticket that holds none."""

    def set(self, index: int, field: str, value: float) -> None:
        """Sets one number of one node."""

    def get(self, index: int, field: str) -> float:
        """One number of one node."""

    def free(self, index: int) -> tuple[float, float]:
        """Free CPU cores and MB of a node."""

    def refusals(self, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> list[int]:
        """Per node 0, or why it refuses: 1 load, 2 network latency, 3 CPU, 4 memory,
        5 latency target."""

def solve_partition(
    time_ms: ArrayLike,
    energy_j: ArrayLike,
    memory_mb: ArrayLike,
    cut_mb: ArrayLike,
    node_memory_mb: ArrayLike,
    grams_per_j: ArrayLike,
    grams_per_ms: ArrayLike,
    link_latency_ms: ArrayLike,
    link_mbps: ArrayLike,
    link_j_per_mb: ArrayLike,
    link_grams_per_j: ArrayLike,
    stage_overhead_ms: ArrayLike,
    stage_overhead_j: ArrayLike,
    objective: int,
    slo_ms: float,
    max_stages: int,
    max_labels: int,
) -> tuple[bool, NDArray[np.int64], NDArray[np.int64], float, float, float, float, float, float]:
    """The plan with the least of one objective (0 latency, 1 energy, 2 emissions,
    3 throughput).

    Returns whether `max_labels` was met, stops, nodes, latency, energy, emissions,
    bottleneck, the objective's value and its bound; no stops when there is no plan.
    """
