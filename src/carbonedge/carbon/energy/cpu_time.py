"""CPU time of this process's container, of the machine, or of the process alone."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carbonedge._backend import backend
from carbonedge.carbon.energy.cgroup import UNIFIED, CpuLimit, cpu_limit, groups

__all__ = ["CpuTime", "find_cpu_time"]

NS_PER_S = 1e9
US_PER_S = 1e6
SIZE = 256
"""Holds the first line of ``/proc/stat``, and all of ``cpu.stat`` that matters here."""

USAGE = re.compile(rb"^usage_usec (\d+)$", re.MULTILINE)
BUSY = re.compile(rb"^cpu +(\d+) (\d+) (\d+) \d+ \d+ (\d+) (\d+)")
"""Ticks of user (guests in it), nice, system, interrupts hard and soft; not idle, not of others."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU seconds since it was made, of all that share some cores.

    Parameters
    ----------
    covers
        Whose, for people.
    source
        The file that is read.
    cores
        How many of them can be spent in a second.
    seconds
        Gives them; they never fall. Raises OSError or ValueError where they can no longer be read.
    close
        Lets the file go.
    """

    covers: str
    source: str
    cores: float
    seconds: Callable[[], float]
    close: Callable[[], None]


def find_cpu_time(root: str | Path = "/") -> CpuTime:
    """The CPU time by which the energy of what this process runs on is best judged.

    Where a cgroup allows this process fewer cores than the machine has, by quota or by set of CPUs:
    that of the outermost cgroup that does so (cgroup v2 ``cpu.stat``, v1 ``cpuacct.usage``). Else
    that of the machine, all processes together: ``cpuacct.usage`` of a top cgroup v1, in ns, or
    ``/proc/stat``, in ticks of mostly 10 ms. Where neither is there, or the cgroup that sets the
    limit keeps no account: that of this process alone.

    Parameters
    ----------
    root
        What ``/proc`` and the mount points lie in: another than ``/`` in tests.

    Raises
    ------
    OSError, ValueError
        If a file that is there does not hold what it should.
    """
    root = Path(root)
    cores = _machine_cores(root)
    limit = cpu_limit(root)
    if limit is not None and limit.cores < cores:
        return _of_group(limit, root) or _of_process(limit.cores)
    return _of_machine(cores, root) or _of_process(cores)


def _machine_cores(root: Path) -> float:
    stat = root / "proc/stat"
    if not stat.exists():
        return float(os.cpu_count() or 1)
    return float(len(re.findall(r"^cpu\d", stat.read_text(), re.MULTILINE)))


def _of_group(limit: CpuLimit, root: Path) -> CpuTime | None:
    covers = f"cgroup {limit.group}"
    # In version 1 a process may lie elsewhere in the hierarchy that counts than in that which limits.
    counting = groups("cpuacct", root).get(limit.group)
    if counting is not None:
        return _by_number(counting / "cpuacct.usage", covers, limit.cores)
    counting = groups(UNIFIED, root).get(limit.group)
    if counting is not None:
        return _by_text(counting / "cpu.stat", USAGE, US_PER_S, covers, limit.cores)
    return None


def _of_machine(cores: float, root: Path) -> CpuTime | None:
    for folder in groups("cpuacct", root).values():
        # Only the top of a whole hierarchy has one; a container's mount has not.
        if (folder / "release_agent").exists():
            return _by_number(folder / "cpuacct.usage", "this machine", cores)
    stat = root / "proc/stat"
    if stat.exists():
        return _by_text(stat, BUSY, os.sysconf("SC_CLK_TCK"), "this machine", cores)
    return None


def _of_process(cores: float) -> CpuTime:
    start_s = time.process_time()

    def seconds() -> float:
        return time.process_time() - start_s

    return CpuTime("this process alone", "its CPU clock", cores, seconds, lambda: None)


def _by_number(path: Path, covers: str, cores: float) -> CpuTime:
    counters = backend().Counters([path], [0])

    def seconds() -> float:
        return float(counters.read()[0] / NS_PER_S)

    return CpuTime(covers, str(path), cores, seconds, counters.close)


def _by_text(
    path: Path, pattern: re.Pattern[bytes], per_s: float, covers: str, cores: float
) -> CpuTime:
    text = _Text(path.open("rb", buffering=0), pattern)

    def seconds() -> float:
        return text.risen() / per_s

    return CpuTime(covers, str(path), cores, seconds, text.close)


class _Text:
    """Adds up the numbers at the start of a file; closes it when it goes."""

    __slots__ = ("_file", "_last", "_lock", "_pattern", "_start")

    def __init__(self, file: io.FileIO, pattern: re.Pattern[bytes]) -> None:
        self._file = file
        self._pattern = pattern
        self._lock = threading.Lock()
        self._start = self._last = self._sum()

    def __del__(self) -> None:
        self._file.close()

    def risen(self) -> int:
        with self._lock:
            # Sums over CPUs that are not read at one moment can fall by a little.
            self._last = max(self._last, self._sum())
            return self._last - self._start

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _sum(self) -> int:
        # Once it is closed, asking for its number is a ValueError.
        text = os.pread(self._file.fileno(), SIZE, 0)
        found = self._pattern.search(text)
        if found is None:
            raise ValueError(f"{self._file.name} holds no CPU time: {text[:40]!r}")
        return sum(map(int, found.groups()))
