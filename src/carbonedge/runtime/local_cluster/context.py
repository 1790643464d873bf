"""A local cluster that is up within ``with``."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from carbonedge.cluster import Cluster
from carbonedge.runtime.local_cluster.down import let_go
from carbonedge.runtime.local_cluster.record import MARK, Record
from carbonedge.runtime.local_cluster.up import bring_up
from carbonedge.runtime.ray.connection import leave

__all__ = ["LocalCluster"]


class LocalCluster:
    """A local Ray whose actors live as a cluster's nodes would, up within ``with``.

    Each worker gets its node's share of CPU time and memory, where cgroups can be made, and what
    comes to it waits as long as its link's latency and bandwidth say. Figures are
    called emulated.

    Parameters
    ----------
    cluster
        The nodes and links.

    Attributes
    ----------
    cluster
        The same.
    address
        For ``InferenceSession(..., runtime="ray", address=...)``.
    throttled
        Whether workers have no more than their nodes.
    why
        Why not; ``None`` where they are.
    environment
        Of its processes: another process that has it is one of them, and goes with them.

    Raises
    ------
    CarbonEdgeError
        If Ray is not installed.
    ClusterError
        If Ray does not start, or a node has too little for the kernel's limits.

    Notes
    -----
    It goes as ``with`` is left, also by an error or Ctrl-C, and sessions of this process that use
    it are closed before. If this process is killed, `down` removes what it left.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._record: Record | None = None

    def __enter__(self) -> Self:
        self._record, self._lock = bring_up(self.cluster, kept=False)
        self.address = self._record.address
        self.why = self._record.why
        self.throttled = self.why is None
        self.environment = {MARK: str(self._record.folder)}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._record is not None, "it was entered"
        try:
            leave(self.address)
        finally:
            let_go(self._record.folder, self._lock)
