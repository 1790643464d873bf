"""Who used the energy that one meter counts, when several requests share a machine."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from carbonedge._validation import positive
from carbonedge.carbon.energy.meter import COMPONENTS, Meter
from carbonedge.exceptions import MeterUnavailableError

__all__ = ["Attribution", "Portion", "ShareBy", "Work", "check_share_by", "thread_clock"]

ShareBy = Literal["cpu_time", "quota"]

IDLE = len(COMPONENTS)
MOST_IDLE_OWED_S = 1.0
"""Sensors count in lumps, the slowest once a second: idle energy is waited for that long."""


class Portion(NamedTuple):
    """Joules by component, and what of them together would have been drawn idle."""

    cpu_j: float = 0.0
    memory_j: float = 0.0
    gpu_j: float = 0.0
    machine_j: float = 0.0
    idle_j: float = 0.0

    @property
    def energy_j(self) -> float:
        """Of all components, the idle part in."""
        return self.cpu_j + self.memory_j + self.gpu_j + self.machine_j

    @property
    def dynamic_j(self) -> float:
        """Beyond what would have been drawn idle."""
        return self.energy_j - self.idle_j


class Work:
    """Something under way that uses energy; from `Attribution.begin`."""

    __slots__ = ("clocks", "joules", "quota")

    def __init__(self, clocks: tuple[int, ...], quota: float) -> None:
        self.clocks = clocks
        self.quota = quota
        self.joules = [0.0] * (IDLE + 1)


class Attribution:
    """Shares the joules of a meter out among works that overlap. Safe for threads.

    Time is parted wherever a work begins or ends. Of each part, the idle energy goes to
    the works under way by quota, for it is drawn for whoever holds the machine, and the
    rest by the CPU time of their threads, or by quota as in the CarbonEdge paper. What is
    drawn while nothing is under way stays apart. So all portions, with `unattributed`,
    sum to what the meter counted.

    Parameters
    ----------
    meter
        Read whenever a work begins or ends.
    by
        ``"cpu_time"`` or ``"quota"``. Energy that other processes cause is shared out
        likewise: the machine is taken to serve these works.
    clock, cpu_clock
        Seconds that pass, and CPU seconds of a thread by its `thread_clock`.

    Raises
    ------
    ValueError
        If `by` is not known.
    MeterUnavailableError
        If the meter cannot be read, or this system tells no thread's CPU time.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        by: ShareBy = "cpu_time",
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[int], float] | None = None,
    ) -> None:
        check_share_by(by)
        if by == "cpu_time" and cpu_clock is None and sys.platform != "linux":
            raise MeterUnavailableError(
                f"the CPU time of threads is not told on {sys.platform}: share by quota"
            )
        self.meter = meter
        self.by = by
        self._clock = clock
        self._cpu_clock = cpu_clock or time.clock_gettime
        self._components = [COMPONENTS.index(counter.component) for counter in meter.counters]
        self._idle_w = [counter.idle_power_w for counter in meter.counters]
        self._idle_owed_j = [0.0] * len(self._idle_w)
        self._lock = threading.Lock()
        self._works: list[Work] = []
        self._cpu_s: dict[int, float] = {}
        self._unattributed = [0.0] * (IDLE + 1)
        self._read_j = meter.read_j()
        self._read_s = clock()

    def __str__(self) -> str:
        counted = ", ".join(counter.name for counter in self.meter.counters)
        return f"{self.meter.name} ({counted}), shared by {self.by.replace('_', ' ')}"

    @property
    def unattributed(self) -> Portion:
        """What was drawn while nothing was under way, or by works whose end met a meter that
        failed, as far as the meter was read.
        """
        with self._lock:
            return Portion(*self._unattributed)

    def begin(self, *, threads: Iterable[int] = (), quota: float = 1.0) -> Work:
        """Something begins on the calling thread.

        Parameters
        ----------
        threads
            Native ids of others that work for it; the CPU time of those that work for
            several is theirs in equal parts.
        quota
            Its share of the machine relative to others', such as CPU cores.

        Raises
        ------
        MeterUnavailableError
            If the meter cannot be read; nothing has begun then.
        ValueError
            If the quota is not above 0.
        """
        if quota != 1.0:
            quota = positive("the quota", quota)
        clocks: tuple[int, ...] = ()
        if self.by == "cpu_time":
            clocks = (thread_clock(threading.get_native_id()), *map(thread_clock, threads))
        work = Work(clocks, quota)
        with self._lock:
            self._share_out()
            self._works.append(work)
            if len(self._works) > 1:
                self._start_clocks()
        return work

    def end(self, work: Work) -> Portion:
        """It is over; what it used.

        Raises
        ------
        MeterUnavailableError
            If the meter cannot be read; the work is over all the same. What it had until the
            last reading is unattributed, and what was drawn since goes to the others.
        ValueError
            If it was over before.
        """
        with self._lock:
            if work not in self._works:
                raise ValueError("this work is over, or another attribution's: begin one")
            try:
                self._share_out()
            except MeterUnavailableError:
                both = zip(self._unattributed, work.joules, strict=True)
                self._unattributed = [apart_j + its_j for apart_j, its_j in both]
                raise
            finally:
                self._works.remove(work)
        return Portion(*work.joules)

    def _share_out(self) -> None:
        """Hand out what was drawn since the last reading."""
        read_j, now_s = self.meter.read_j(), self._clock()
        elapsed_s = now_s - self._read_s
        works = self._works
        shares = self._shares()
        idle_shares = _normalized([work.quota for work in works])
        for k, component in enumerate(self._components):
            drawn_j = read_j[k] - self._read_j[k]
            owed_j = self._idle_owed_j[k] + self._idle_w[k] * elapsed_s
            idle_j = min(drawn_j, owed_j)
            self._idle_owed_j[k] = min(owed_j - idle_j, self._idle_w[k] * MOST_IDLE_OWED_S)
            for work, share, idle_share in zip(works, shares, idle_shares, strict=True):
                its_idle_j = idle_j * idle_share
                work.joules[component] += its_idle_j + (drawn_j - idle_j) * share
                work.joules[IDLE] += its_idle_j
            if not works:
                self._unattributed[component] += drawn_j
                self._unattributed[IDLE] += idle_j
        self._read_j, self._read_s = read_j, now_s

    def _shares(self) -> list[float]:
        """Of each work under way, 1 together."""
        works = self._works
        if self.by == "quota" or len(works) < 2:
            return _normalized([work.quota for work in works])
        before_s = self._cpu_s
        self._start_clocks()
        used_s = {clock: after_s - before_s[clock] for clock, after_s in self._cpu_s.items()}
        sharers = Tally(clock for work in works for clock in work.clocks)
        weights = [sum(used_s[clock] / sharers[clock] for clock in work.clocks) for work in works]
        return _normalized(weights if any(weights) else [work.quota for work in works])

    def _start_clocks(self) -> None:
        """Only where several works are under way do they matter."""
        self._cpu_s = {
            clock: self._cpu_time_s(clock) for work in self._works for clock in work.clocks
        }

    def _cpu_time_s(self, clock: int) -> float:
        try:
            return self._cpu_clock(clock)
        except OSError:
            # The thread has ended: it uses nothing more.
            return self._cpu_s.get(clock, 0.0)


def check_share_by(by: object) -> ShareBy:
    """What is a way of sharing, as it is.

    Raises
    ------
    ValueError
        If it is none.
    """
    if by == "cpu_time" or by == "quota":
        return by
    raise ValueError(f"energy cannot be shared by {by!r}: choose cpu_time or quota")


def thread_clock(native_id: int) -> int:
    """The clock of a thread's CPU time, for ``time.clock_gettime``, on Linux.

    Its number is the inverted id of the thread above three bits that say whose time and
    which: ``pthread_getcpuclockid`` makes the same, but only from a Python thread's handle.
    """
    per_thread, scheduled = 4, 2
    return (~native_id << 3) | per_thread | scheduled


def _normalized(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]
