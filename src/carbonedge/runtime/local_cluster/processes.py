"""The processes of a local cluster, found and killed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from carbonedge._optional import optional
from carbonedge.exceptions import CarbonEdgeError, ClusterError
from carbonedge.runtime.local_cluster.record import MARK

__all__ = ["are_a_ray", "kill", "living"]

WITHIN_S = 10.0
PAUSE_S = 0.02
NEEDED = {"gcs_server", "raylet"}
"""Without either no session can begin, whatever else lives on for a while."""
TITLE = "ray::"
"""What Ray's agents and workers call themselves; agents overwrite their environment with it."""


def living(folder: Path, others: Collection[int] = ()) -> list[Any]:
    """Those that live and are of a cluster, or are among others; never this one."""
    psutil = optional("psutil", "ray", CarbonEdgeError)
    found = []
    for process in psutil.process_iter():
        # Many that are none of ours may not be looked at.
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.pid in others or _is_of(folder, process)
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def are_a_ray(processes: Iterable[Any]) -> bool:
    """Whether sessions can use what lives."""
    psutil = optional("psutil", "ray", CarbonEdgeError)
    names = set()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            names.add(process.name())
    return names >= NEEDED


def kill(folder: Path, others: Callable[[], Collection[int]]) -> int:
    """End them all, however many they start meanwhile; how many there were.

    Raises
    ------
    ClusterError
        If one cannot be ended.
    """
    psutil = optional("psutil", "ray", CarbonEdgeError)
    killed: set[int] = set()
    until_s = time.monotonic() + WITHIN_S
    while processes := living(folder, others()):
        if time.monotonic() > until_s:
            pids = ", ".join(str(process.pid) for process in processes)
            raise ClusterError(f"processes {pids} of the local cluster cannot be ended: try again")
        # Stopped first, none sees another die and starts it anew.
        for send in ("suspend", "kill"):
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(process, send)()
                    killed.add(process.pid)
        time.sleep(PAUSE_S)
    return len(killed)


def _is_of(folder: Path, process: Any) -> bool:
    """Whether it bears the mark of a cluster, or is one of Ray's with a log there open."""
    if process.environ().get(MARK) == str(folder):
        return True
    title = process.cmdline()[:1]
    return bool(title) and title[0].startswith(TITLE) and _has_open(folder, process)


def _has_open(folder: Path, process: Any) -> bool:
    return any(Path(file.path).is_relative_to(folder) for file in process.open_files())
