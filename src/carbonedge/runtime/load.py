"""How busy this machine is, and how much memory it has left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from carbonedge._optional import optional
from carbonedge.carbon.energy.cgroup import memory_free_bytes
from carbonedge.carbon.energy.cpu_time import find_cpu_time
from carbonedge.exceptions import CarbonEdgeError
from carbonedge.units import BYTES_PER_MB

__all__ = ["Load", "LoadGauge"]


class Load(NamedTuple):
    """What a machine has to do, and to spare."""

    load: float
    """Share of its CPU time that was used, 0 to 1."""
    memory_free_mb: float
    """What could still be taken, in MB (10^6 bytes)."""


class LoadGauge:
    """Tells the load of what this process may use. For one thread.

    Where a cgroup allows this process fewer cores than the machine has, that is the use of this
    cgroup's cores; else that of the machine's, by all processes. See `find_cpu_time`; on systems
    without ``/proc``, it is psutil that tells the machine's. Memory is what the machine has
    available by psutil, or the less that a cgroup's limit leaves: see `memory_free_bytes`.

    Parameters
    ----------
    root
        What ``/proc`` and the mount points lie in: another than ``/`` in tests.
    clock
        Seconds that pass.

    Raises
    ------
    CarbonEdgeError
        If psutil is not installed.
    OSError, ValueError
        If a file that is there does not hold what it should; from `read` too.

    Notes
    -----
    ``/proc/stat`` counts in ticks, of 10 ms as a rule: read once a second, not once a request.
    """

    def __init__(
        self, root: str | os.PathLike[str] = "/", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._psutil = optional("psutil", "ray", CarbonEdgeError)
        self._root = Path(root)
        self._clock = clock
        self._close: Callable[[], None] | None = None
        if (self._root / "proc/stat").exists():
            cpu = find_cpu_time(self._root)
            self._cores, self._busy_s, self._close = cpu.cores, cpu.seconds, cpu.close
        else:
            self._cores, self._busy_s = float(os.cpu_count() or 1), self._machine_busy_s
        self._load = 0.0
        self._last_s, self._last_busy_s = clock(), self._busy_s()

    def read(self) -> Load:
        """Load since the last reading, or since the gauge was made; memory of now."""
        now_s, busy_s = self._clock(), self._busy_s()
        could_s = (now_s - self._last_s) * self._cores
        if could_s > 0:
            # A quota may be exceeded for a moment, and ticks are counted late.
            self._load = min(1.0, max(0.0, busy_s - self._last_busy_s) / could_s)
            self._last_s, self._last_busy_s = now_s, busy_s
        return Load(self._load, self._memory_free() / BYTES_PER_MB)

    def close(self) -> None:
        """Let files go."""
        if self._close is not None:
            self._close()

    def _memory_free(self) -> int:
        available = int(self._psutil.virtual_memory().available)
        left = memory_free_bytes(self._root)
        return available if left is None else min(available, left)

    def _machine_busy_s(self) -> float:
        times = self._psutil.cpu_times()
        return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
