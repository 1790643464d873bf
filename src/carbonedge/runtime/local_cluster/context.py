"""Local clusters brought up and taken down."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from carbonedge.cluster import Cluster
from carbonedge.exceptions import ClusterError
from carbonedge.runtime.local_cluster import cgroups, head, processes
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.record import (
    MARK,
    Record,
    found,
    held,
    locked,
    new_folder,
    note,
    noted,
)

__all__ = ["Down", "LocalCluster", "down", "up"]

TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class Down:
    """What became of one local cluster.

    Parameters
    ----------
    folder
        Of its files.
    processes, cgroups
        That were ended, and removed.
    owner
        The living process that it was left to; ``None`` where it was taken down.
    """

    folder: str
    processes: int = 0
    cgroups: int = 0
    owner: int | None = None


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
    It goes as ``with`` is left, also by an error or Ctrl-C. If this process is killed, `down`
    removes what it left. Processes that others start on that Ray go too.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._record: Record | None = None

    def __enter__(self) -> Self:
        self._record, self._lock = _up(self.cluster, kept=False)
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
        _disconnect(self.address)
        with locked():
            _remove(self._record.folder)
            os.close(self._lock)


def up(cluster: Cluster) -> Record:
    """Bring a local cluster up that stays until `down`.

    Raises
    ------
    CarbonEdgeError
        If Ray is not installed.
    ClusterError
        If one is up, Ray does not start, or a node has too little for the kernel's limits.
    """
    record, lock = _up(cluster, kept=True)
    os.close(lock)
    return record


def down() -> list[Down]:
    """Take down every local cluster of this user, and remove what is left of any that was
    killed, but leave those in use by a living `LocalCluster`, or that are only coming up.

    Raises
    ------
    ClusterError
        If a process cannot be ended.
    OSError
        If a file or cgroup cannot be removed.
    """
    done = []
    with locked() as within:
        for folder in found(within):
            lock = held(folder)
            if lock is None:
                done.append(Down(str(folder), owner=Record.read(folder).pid))
                continue
            try:
                done.append(_remove(folder))
            finally:
                os.close(lock)
    return done


def _up(cluster: Cluster, *, kept: bool) -> tuple[Record, int]:
    """A cluster that is up, and what holds it as this process's own while that is open."""
    limits = {node.name: Limits.of(node) for node in cluster.nodes}
    with locked() as within:
        if kept:
            _check_none(within)
        folder, lock = new_folder(within)
        record = Record(folder, os.getpid(), kept, cluster, secrets.token_hex(TOKEN_BYTES))
        record.write()
    try:
        try:
            groups = cgroups.make(
                f"carbonedge-{folder.name}", limits, noting=lambda what: note(folder, what)
            )
            record = dataclasses.replace(record, groups=groups)
        except cgroups.NoRightsError as error:
            cgroups.remove(noted(folder))
            record = dataclasses.replace(record, why=str(error))
        record.write()
        address = head.start(folder, limits, record.token)
        return dataclasses.replace(record, address=address).write(), lock
    except BaseException:
        with locked():
            _remove(folder)
            os.close(lock)
        raise


def _check_none(within: Path) -> None:
    for folder in found(within):
        try:
            record = Record.read(folder)
        except (OSError, ValueError):
            continue  # it was killed as it began
        if record.kept:
            names = ", ".join(node.name for node in record.cluster.nodes)
            where = f"at {record.address}" if record.address else "and has no Ray yet"
            raise ClusterError(
                f"a local cluster of {names} is up {where}: take it down first, by `carbonedge "
                "cluster down`"
            )


def _remove(folder: Path) -> Down:
    """Every trace of a cluster, or of what there is of it."""
    notes = noted(folder)
    killed = processes.kill(folder, lambda: cgroups.pids(notes))
    removed = cgroups.remove(notes)
    shutil.rmtree(folder)
    return Down(str(folder), killed, removed)


def _disconnect(address: str) -> None:
    """Leave a Ray that goes: it ends whoever does not."""
    ray: Any = sys.modules.get("ray")
    if ray and ray.is_initialized() and ray.get_runtime_context().gcs_address == address:
        ray.shutdown()
