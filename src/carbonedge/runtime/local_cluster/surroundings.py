"""What a worker of a local cluster lives under."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carbonedge.carbon.footprint import NODE_POWER
from carbonedge.cluster import Cluster, Link, Node
from carbonedge.runtime.local_cluster import cgroups
from carbonedge.runtime.local_cluster.record import MARK, Record

__all__ = ["Surroundings", "local_cluster"]

THROTTLED = "under each node's CPU quota, on one machine"
UNTHROTTLED = "on one machine for all nodes, unthrottled"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a machine is made to be like one of its nodes.

    Parameters
    ----------
    node, links
        As the local cluster was brought up with it, and those given from it.
    groups
        Its cgroups; none where it is not throttled.
    why
        Why it is not.
    """

    node: Node
    links: Sequence[Link]
    groups: Sequence[str]
    why: str | None

    @property
    def throttled(self) -> bool:
        """Whether it has no more than its node."""
        return self.why is None

    @property
    def where(self) -> str:
        """Where what is measured is, for people."""
        return THROTTLED if self.throttled else f"{UNTHROTTLED} ({self.why})"

    @property
    def time_source(self) -> str:
        """How times come about."""
        return f"measured {self.where}"

    @property
    def energy_source(self) -> str:
        """How joules do."""
        return f"{NODE_POWER}, times measured {self.where}"

    def enter(self) -> None:
        """Live under its limits from now on, with all that this process is."""
        cgroups.enter(self.groups)

    def memory_kills(self) -> int:
        """How often the kernel has ended a worker that took more memory than the node has."""
        return cgroups.memory_kills(self.groups)


def local_cluster(node: str) -> tuple[Cluster, Surroundings] | None:
    """The local cluster whose process this is, and what a node has there; ``None`` where it is of
    none.

    Raises
    ------
    ClusterError
        If that has no such node.
    """
    folder = os.environ.get(MARK)
    if folder is None:
        return None
    record = Record.read(Path(folder))
    its = record.cluster.nodes[record.cluster.index(node)]
    links = [link for link in record.cluster.links if link.source == node]
    return record.cluster, Surroundings(its, links, record.groups.get(node, ()), record.why)
