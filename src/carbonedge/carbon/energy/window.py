"""What a meter counts while something runs."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from carbonedge._validation import positive
from carbonedge.carbon.energy.meter import Meter

__all__ = ["Window", "measure_idle_power_w"]

_Reading = tuple[float, tuple[float, ...]]


class Window:
    """Energy from entering a ``with`` block to leaving it.

    Windows may be nested and overlap: each reads the meter at both its ends. Until the
    block has been left, asking for what it holds is a ``RuntimeError``.

    Parameters
    ----------
    meter
        What to read.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._start: _Reading | None = None
        self._end: _Reading | None = None

    @property
    def by_counter(self) -> dict[str, float]:
        """Joules by the counter's name."""
        (_, start_j), (_, end_j) = self._ends()
        return {
            counter.name: end - start
            for counter, start, end in zip(self._meter.counters, start_j, end_j, strict=True)
        }

    @property
    def energy_j(self) -> float:
        """Joules of all counters together."""
        return math.fsum(self.by_counter.values())

    @property
    def time_s(self) -> float:
        """How long it took."""
        (start_s, _), (end_s, _) = self._ends()
        return end_s - start_s

    def _ends(self) -> tuple[_Reading, _Reading]:
        if self._start is None or self._end is None:
            raise RuntimeError("the window is not over: ask when its with block has been left")
        return self._start, self._end

    def __enter__(self) -> Self:
        self._end = None
        self._start = time.monotonic(), self._meter.read_j()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end = time.monotonic(), self._meter.read_j()


def measure_idle_power_w(meter: Meter, seconds: float) -> dict[str, float]:
    """Mean power of each counter over a while in which nothing should run.

    What a machine draws anyway is a baseline of its own: told apart from what work adds, it can
    be given to a meter as ``idle_power_w``.

    Parameters
    ----------
    meter
        What to read.
    seconds
        For how long; the call takes that long. A few, as some counters are renewed once a second.

    Returns
    -------
    dict
        Watts by the counter's name.

    Raises
    ------
    MeterUnavailableError
        If the meter can no longer be read.
    """
    seconds = positive("seconds", seconds)
    with Window(meter) as window:
        time.sleep(seconds)
    return {name: joules / window.time_s for name, joules in window.by_counter.items()}
