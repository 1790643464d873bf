"""Local clusters taken down, and every trace of them removed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from carbonedge.runtime.local_cluster import cgroups, processes
from carbonedge.runtime.local_cluster.record import Record, found, held, locked, noted

__all__ = ["Down", "down", "let_go"]


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


def down() -> list[Down]:
    """Take down every local cluster of this user, and remove what is left of any that was
    killed, but leave those in use by a living `LocalCluster`, or that are only coming up.

    Raises
    ------
    CarbonEdgeError
        If psutil is not installed.
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


def let_go(folder: Path, lock: int) -> None:
    """Remove every trace of one that this process holds. Where that fails, it is held no more, for
    `down` to try again.
    """
    with locked():
        try:
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder: Path) -> Down:
    notes = noted(folder)
    killed = processes.kill(folder, lambda: cgroups.pids(notes))
    removed = cgroups.remove(notes)
    shutil.rmtree(folder)
    return Down(str(folder), killed, removed)
