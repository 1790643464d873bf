"""The processes of a local cluster, found by their mark and killed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from carbonedge._optional import optional
from carbonedge.exceptions import CarbonEdgeError, ClusterError
from carbonedge.runtime.local_cluster.record import MARK

__all__ = ["kill", "living"]

WITHIN_S = 10.0
PAUSE_S = 0.02
TITLE = "ray::"


def living(folder: Path, others: Collection[int] = ()) -> list[Any]:
    """Those of a cluster that live, and those among others; never this one."""
    psutil = optional("psutil", "ray", CarbonEdgeError)
    found = []
    for process in psutil.process_iter():
        # Many that are none of ours may not be looked at.
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.pid in others or _belongs(process, folder)
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _belongs(process: Any, folder: Path) -> bool:
    """Whether it bears the mark or, as Ray's own in Python write their title over it, has a file
    of the cluster open.
    """
    if process.environ().get(MARK) == str(folder):
        return True
    titled = any(word.startswith(TITLE) for word in process.cmdline()[:1])
    return titled and any(Path(one.path).is_relative_to(folder) for one in process.open_files())


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
