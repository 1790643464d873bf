"""A power model over CPU time, for machines that cannot be measured."""

from __future__ import annotations

import re
import time
from pathlib import Path

from carbonedge._validation import non_negative, positive
from carbonedge.carbon.energy.cgroup import memory_limit_bytes
from carbonedge.carbon.energy.cpu_time import find_cpu_time
from carbonedge.carbon.energy.meter import Counter, MeterMethod
from carbonedge.exceptions import MeterUnavailableError

__all__ = ["FULL_W_PER_CORE", "IDLE_W_PER_CORE", "MEMORY_W_PER_GB", "ModelMeter"]

IDLE_W_PER_CORE = 0.74
FULL_W_PER_CORE = 3.5
"""Means of a hardware thread of AWS's servers, at 0 and 100 % use: Cloud Carbon Footprint,
https://www.cloudcarbonfootprint.org/docs/methodology, "Compute", from SPECpower_ssj2008."""

MEMORY_W_PER_GB = 0.375
"""3 W for 8 GB: Crucial's rule of thumb, by way of the CarbonEdge paper and CodeCarbon 2."""

BYTES_PER_GB = 1e9
BYTES_PER_KIB = 1024


class ModelMeter:
    """Energy modelled from CPU time, without root, sensor or driver.

    Power is ``idle + (full - idle) x CPU use``, and 0.375 W for each GB of memory whatever runs.
    CPU use is CPU time over wall time and cores. Where a cgroup allows this process fewer cores
    than the machine has, all of this is of that container: its CPU time, the cores of its quota or
    set of CPUs, its memory limit. Else it is of the machine, all its processes together; see
    `find_cpu_time`. What it came to is in `covers`.

    Parameters
    ----------
    idle_power_w, full_power_w
        Power of what it covers with no core and with all cores busy, in W: give both, best read
        off a plug. If neither is given, 0.74 W and 3.5 W a core: the mean of servers in a data
        centre (Cloud Carbon Footprint's figures of AWS), which have some memory in already. A board
        may draw half or double of that; only its own figures make its joules more than a guess.
    cores
        By how many busy cores ``full_power_w`` is drawn; if not given, as found.
    memory_gb
        In GB (10^9 bytes); if not given, the container's limit or the machine's. 0 leaves the
        counter out, as where the powers given have memory in.
    root
        What ``/proc`` and the mount points lie in: another than ``/`` in tests.

    Raises
    ------
    MeterUnavailableError
        If the machine tells neither CPU time nor, unless it is given, how much memory it has.

    Notes
    -----
    ``/proc/stat`` counts in ticks, of 10 ms as a rule: over a single short request its share may be
    off by one, over many it is not.

    Examples
    --------
    A Raspberry Pi 4 whose plug shows 2.7 W idle and 6.4 W with all four cores busy, memory in:

    >>> meter = ModelMeter(idle_power_w=2.7, full_power_w=6.4, memory_gb=0)
    >>> meter.counters
    (Counter(name='cpu', component='cpu', idle_power_w=2.7),)
    >>> meter.close()
    """

    name = "model"
    method: MeterMethod = "modelled"

    def __init__(
        self,
        *,
        idle_power_w: float | None = None,
        full_power_w: float | None = None,
        cores: float | None = None,
        memory_gb: float | None = None,
        root: str | Path = "/",
    ) -> None:
        powers_w = _powers_w(idle_power_w, full_power_w)
        if cores is not None:
            cores = positive("cores", cores)
        if memory_gb is not None:
            memory_gb = non_negative("memory_gb", memory_gb)
        try:
            self._memory_gb = _memory_gb(Path(root)) if memory_gb is None else memory_gb
            self._cpu = find_cpu_time(root)
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(f"power cannot be modelled here: {error}") from error
        self._cores = cores or self._cpu.cores
        self._idle_w, full_w = powers_w or (
            IDLE_W_PER_CORE * self._cores,
            FULL_W_PER_CORE * self._cores,
        )
        self._memory_w = MEMORY_W_PER_GB * self._memory_gb
        self._j_per_cpu_s = (full_w - self._idle_w) / self._cores
        cpu = Counter("cpu", "cpu", self._idle_w)
        memory = Counter("memory", "memory", self._memory_w)
        self._counters = (cpu, memory) if self._memory_w else (cpu,)
        self._start_s = time.monotonic()

    @property
    def counters(self) -> tuple[Counter, ...]:
        return self._counters

    @property
    def covers(self) -> str:
        """What it models, and by what, for people."""
        return (
            f"{self._cpu.covers}: {self._cores:g} cores by {self._cpu.source}, "
            f"{self._memory_gb:.3g} GB of memory"
        )

    def read_j(self) -> tuple[float, ...]:
        try:
            cpu_s = self._cpu.seconds()
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(f"CPU time can no longer be read: {error}") from error
        elapsed_s = time.monotonic() - self._start_s
        # Use is not held to 1: ticks come late, and what one window lacks the next one has.
        cpu_j = self._idle_w * elapsed_s + self._j_per_cpu_s * cpu_s
        return (cpu_j, self._memory_w * elapsed_s) if self._memory_w else (cpu_j,)

    def close(self) -> None:
        self._cpu.close()


def _powers_w(idle_w: float | None, full_w: float | None) -> tuple[float, float] | None:
    if idle_w is None and full_w is None:
        return None
    if idle_w is None or full_w is None:
        raise ValueError("idle_power_w and full_power_w go together: give both or neither")
    idle_w, full_w = non_negative("idle_power_w", idle_w), positive("full_power_w", full_w)
    if full_w < idle_w:
        raise ValueError(
            f"full_power_w is {full_w:g}: it must be at least idle_power_w, {idle_w:g}"
        )
    return idle_w, full_w


def _memory_gb(root: Path) -> float:
    limit = memory_limit_bytes(root)
    path = root / "proc/meminfo"
    text = path.read_text() if path.exists() else ""
    found = re.search(r"^MemTotal: +(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} does not tell MemTotal: give memory_gb")
    total = int(found[1]) * BYTES_PER_KIB
    return (total if limit is None else min(limit, total)) / BYTES_PER_GB
