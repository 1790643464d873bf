"""A node as the driver knows it: its worker, and what was last heard of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carbonedge.carbon import Metered
from carbonedge.cluster import Node
from carbonedge.runtime.local_cluster.surroundings import Surroundings
from carbonedge.runtime.node_state import NodeState
from carbonedge.runtime.ray.worker import Greeting, Report

__all__ = ["Member"]


@dataclass(slots=True, eq=False)
class Member:
    """One node of a fleet.

    Parameters
    ----------
    node
        As in the cluster.
    actor
        The handle of its worker.
    down
        Why nothing is sent there; ``None`` while it answers.
    broken
        Whether its worker cannot start.
    greeting, metered, kills
        Of the worker that runs now; the last are the `memory_kills` before it.
    report, round_trip_ms
        The latest, and how long it took to ask and hear.
    heard_s
        When that was, by the monotonic clock.
    asked
        What was asked and is not answered yet, and when.
    """

    node: Node
    actor: Any
    down: str | None = "it has not answered yet"
    broken: bool = False
    greeting: Greeting | None = None
    metered: Metered | None = None
    kills: int = 0
    report: Report | None = None
    round_trip_ms: float = 0.0
    heard_s: float = 0.0
    asked: tuple[Any, float] | None = None

    @property
    def surroundings(self) -> Surroundings | None:
        """What makes its machine like the node, where it is of a local cluster."""
        return None if self.greeting is None else self.greeting.surroundings

    @property
    def memory_kills(self) -> int:
        """How often a worker of the node was ended for more memory than a local cluster gives it."""
        its = self.surroundings
        return 0 if its is None else its.memory_kills()

    @property
    def state(self) -> NodeState:
        """What users see of it."""
        report, versions = self.report, {} if self.greeting is None else self.greeting.versions
        if report is None:
            return NodeState(self.node.name, self.down, versions=versions)
        return NodeState(
            self.node.name,
            self.down,
            report.load,
            report.memory_free_mb,
            report.queue,
            self.round_trip_ms,
            versions,
        )
