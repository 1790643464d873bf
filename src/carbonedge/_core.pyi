"""What a backend provides; the fallback's modules have the same signatures."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str
BUILD_TYPE: str

# Of the type that is given as `decision`, a tuple or a subclass without more: name, index,
# score, the five components, latency in ms, energy in J, emissions in g, and the ticket of
# the reservation, 0 where none was made.
_Placement: TypeAlias = Any

def choose_once(
    nodes: Sequence[object],
    weights: Sequence[float],
    scoring: int,
    max_load: float,
    max_network_latency_ms: float,
    cpu_cores: float,
    memory_mb: float,
    slo_ms: float | None,
    decision: type[tuple[Any, ...]] = ...,
) -> _Placement | None:
    """The best node for one task, without a table that lasts."""

class Counters:
    """Files of one unsigned integer each, opened once. Safe for use from several threads.

    Each begins again at 0 after its range; 0 where it never does. OSError for a file that
    cannot be opened or read, ValueError for one that holds no unsigned integer of 64 bits.
    """

    def __init__(self, paths: Sequence[str | PathLike[str]], ranges: Sequence[int]) -> None: ...
    def read(self) -> tuple[int, ...]:
        """How much each has risen since it was made. A read that fails changes nothing;
        ValueError once closed."""

    def close(self) -> None:
        """Closes the files. Any number of times."""

class NodeTable:
    """State of all nodes, and the choice among them. Safe for use from several threads.

    Scoring is 0 for `paper`, 1 for `normalized`, 2 for `constrained`. Nodes are read
    by attribute; numbers must have been checked. Names are None where a node is named
    by its index; else they are kept, and `add` appends to them. Fields are meant by
    their place among the core's ``Field``.
    """

    def __init__(
        self,
        nodes: Sequence[object],
        names: list[str] | None,
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
        decision: type[tuple[Any, ...]] = ...,
    ) -> None: ...
    @staticmethod
    def from_columns(
        columns: Sequence[ArrayLike],
        names: list[str] | None,
        weights: Sequence[float],
        scoring: int,
        max_load: float,
        max_network_latency_ms: float,
        smoothing: float,
        decision: type[tuple[Any, ...]] = ...,
    ) -> NodeTable:
        """From one array a field, all of one length."""

    def __len__(self) -> int:
        """Of all indices given out, removed nodes too."""

    def select(self, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> _Placement | None:
        """The best node for a task, or nothing when none can take it."""

    def scan(self, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> _Placement | None:
        """The same, by a look at every node."""

    def place(self, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> _Placement | None:
        """The same as `select`, and takes the task's CPU, memory and a running-task slot."""

    def place_many(
        self, cpu_cores: ArrayLike, memory_mb: ArrayLike, with_tickets: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Places tasks one after another: indices, -1 where no node fits, and tickets,
        none unless asked for."""

    def reserve(self, index: int, cpu_cores: float, memory_mb: float) -> int:
        """Takes a task's CPU, memory and a running-task slot on a node, room or not; returns
        a ticket."""

    def complete(self, ticket: int, elapsed_ms: float | None) -> None:
        """Gives a reservation back, and learns from the time where there is one; ValueError
        for a ticket that holds none."""

    def set(self, index: int, field: int, value: float) -> None:
        """Sets one number of one node."""

    def set_all(self, fields: Sequence[int], columns: Sequence[ArrayLike]) -> None:
        """Sets some numbers of all nodes, one array a field. Removed nodes keep theirs."""

    def add(self, node: object) -> int:
        """Takes up a node; returns its index, one above the last."""

    def remove(self, index: int) -> None:
        """Removes a node; its tasks may still be completed."""

    def state(self, index: int) -> list[float]:
        """The numbers of a node."""

    def free(self, index: int) -> tuple[float, float]:
        """Free CPU cores and MB of a node."""

    def refusal(self, index: int, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> int:
        """0, or why a node refuses: 1 load, 2 network latency, 3 CPU, 4 memory, 5 latency
        target, 6 removed, 7 a score that is not above 0."""

    def explain(
        self, cpu_cores: float, memory_mb: float, slo_ms: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Per node the refusal; and score, the five components, latency in ms, energy in
        J and emissions in g, shape [nodes, 9]."""

    def snapshot(self) -> tuple[NDArray[np.float64], list[tuple[int, int, float, float]]]:
        """All numbers, shape [fields, nodes], and reservations: ticket, index or -1 where the
        node was removed, CPU and memory in quanta. First, under ticket 0, what is reserved for
        good."""

    def restore(self, reservations: Sequence[tuple[int, int, float, float]]) -> None:
        """Puts back the reservations of a snapshot, into a table without any."""

def solve_partition(
    time_ms: ArrayLike,
    energy_j: ArrayLike,
    memory_mb: ArrayLike,
    cut_mb: ArrayLike,
    count: ArrayLike,
    node_memory_mb: ArrayLike,
    grams_per_j: ArrayLike,
    grams_per_ms: ArrayLike,
    link_latency_ms: ArrayLike,
    link_mbps: ArrayLike,
    link_j_per_mb: ArrayLike,
    link_grams_per_j: ArrayLike,
    stage_overhead_ms: ArrayLike,
    stage_overhead_j: ArrayLike,
    source: int,
    search: str,
    prices: tuple[float, float, float],
    slo_ms: float,
    max_stages: int,
    max_part_ms: float,
    time_limit_s: float,
) -> tuple[
    bool,
    float,
    list[tuple[NDArray[np.int64], NDArray[np.int64], float, float, float, float]],
]:
    """Plans over kinds of nodes, of which there are `count` each.

    `search` is "least" for the least sum of ms, J and g at their `prices`, "front" for
    that against latency, "throughput" for the quickest slowest part. `source` is a
    kind, or -1 for none.

    Returns whether nothing is better, proven; else how much better it may be, as a
    share; and plans: stops, kinds, latency, energy, emissions and slowest part.
    """
