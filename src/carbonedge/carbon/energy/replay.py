"""A recorded series of joules, played back."""

from __future__ import annotations

import csv
import logging
import math
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from carbonedge._validation import positive
from carbonedge.carbon.energy.meter import COMPONENTS, Counter, Meter, MeterMethod

__all__ = ["ReplayMeter", "record"]

logger = logging.getLogger(__name__)

TIME = "time_s"


class ReplayMeter:
    """Joules as they were recorded, from the moment the meter is made.

    Linear between the rows. After the last row the joules stand still, which is logged once as a
    warning: a recording should outlast what it is played for.

    Parameters
    ----------
    times_s
        Times of the rows, rising; playing starts with the first.
    energy_j
        What had been counted by then: at each time a number, or one for each counter.
    counters
        What they stand for; one for the whole machine when left out.
    clock
        Gives the time in seconds; not that of day.

    Raises
    ------
    ValueError
        If it is no such series; the message names the row, from 1.
    """

    name = "replay"
    method: MeterMethod = "emulated"

    def __init__(
        self,
        times_s: Sequence[float],
        energy_j: Sequence[float] | Sequence[Sequence[float]],
        *,
        counters: Sequence[Counter] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if len(times_s) != len(energy_j):
            raise ValueError(
                f"there are {len(times_s)} times and {len(energy_j)} energies: give as many of each"
            )
        times = [float(time_s) for time_s in times_s]
        energies = [_by_counter(energy) for energy in energy_j]
        counters = (Counter("recorded", "machine"),) if counters is None else tuple(counters)
        _check(times, energies, counters, [f"row {number + 1}" for number in range(len(times))])
        self._counters = counters
        self._times_s = times
        self._energy_j = energies
        self._clock = clock
        self._ended = False
        self._made_s = clock()

    @classmethod
    def from_csv(
        cls, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.monotonic
    ) -> Self:
        """Read a recording, such as `record` writes.

        The first line is the header: ``time_s``, then the counters as ``name:component``. The
        component may be left out where the name is one, such as ``cpu``, or the counter
        stands for the whole machine.

        Raises
        ------
        ValueError
            If it is no such file; the message names the line.
        OSError
            If it cannot be read.
        """
        try:
            return cls._from_lines(path, clock)
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error

    @classmethod
    def _from_lines(cls, path: str | os.PathLike[str], clock: Callable[[], float]) -> Self:
        times_s, energy_j, where = [], [], []
        # A spreadsheet may put a byte order mark in front.
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            counters = _counters(next(lines, []))
            for cells in lines:
                if cells:
                    where.append(f"line {lines.line_num}")
                    time_s, *joules = _numbers(cells, where[-1])
                    times_s.append(time_s)
                    energy_j.append(tuple(joules))
        _check(times_s, energy_j, counters, where)
        return cls(times_s, energy_j, counters=counters, clock=clock)

    @property
    def counters(self) -> tuple[Counter, ...]:
        return self._counters

    def read_j(self) -> tuple[float, ...]:
        time_s = self._times_s[0] + (self._clock() - self._made_s)
        start_j = self._energy_j[0]
        after = bisect_right(self._times_s, time_s)
        if after == len(self._times_s):
            self._say_it_ended()
            now_j = self._energy_j[-1]
        else:
            from_s, to_s = self._times_s[after - 1], self._times_s[after]
            share = (time_s - from_s) / (to_s - from_s)
            # Rounding may not lead beyond the next row, from where it would fall.
            now_j = tuple(
                min(from_j + share * (to_j - from_j), to_j)
                for from_j, to_j in zip(
                    self._energy_j[after - 1], self._energy_j[after], strict=True
                )
            )
        return tuple(joules - start for joules, start in zip(now_j, start_j, strict=True))

    def _say_it_ended(self) -> None:
        if not self._ended:
            self._ended = True
            logger.warning(
                "the recording ended after %g s: its joules stand still; record a longer one",
                self._times_s[-1] - self._times_s[0],
            )

    def close(self) -> None:
        pass


def record(
    meter: Meter, path: str | os.PathLike[str], seconds: float, *, every_s: float = 0.1
) -> None:
    """Write a meter's joules to a CSV file as time goes by, for `ReplayMeter.from_csv`.

    Parameters
    ----------
    meter
        What to record.
    path
        Replaced if it exists.
    seconds
        For how long; the call takes that long.
    every_s
        Time between the rows.

    Raises
    ------
    MeterUnavailableError
        If the meter can no longer be read; the rows until then are kept.
    OSError
        If the file cannot be written.
    """
    seconds, every_s = positive("seconds", seconds), positive("every_s", every_s)
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            [TIME, *(f"{counter.name}:{counter.component}" for counter in meter.counters)]
        )
        start_s = time.monotonic()
        due_s = 0.0
        while True:
            energy_j = meter.read_j()
            now_s = time.monotonic() - start_s
            rows.writerow([now_s, *energy_j])
            if now_s >= seconds:
                return
            due_s = min(max(due_s + every_s, now_s), seconds)
            time.sleep(max(0.0, due_s - (time.monotonic() - start_s)))


def _by_counter(energy: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, energy)) if isinstance(energy, Iterable) else (float(energy),)


def _counters(header: Sequence[str]) -> tuple[Counter, ...]:
    if len(header) < 2 or header[0].strip() != TIME:
        raise ValueError(
            f"line 1 is {','.join(header)!r}: write {TIME!r} and the counters, such as "
            f"'{TIME},package-0:cpu,dram:memory'"
        )
    return tuple(_counter(cell.strip()) for cell in header[1:])


def _counter(cell: str) -> Counter:
    name, colon, kind = cell.rpartition(":")
    if not colon:
        name, kind = cell, cell if cell in COMPONENTS else "machine"
    for component in COMPONENTS:
        if component == kind and name:
            return Counter(name, component)
    raise ValueError(
        f"line 1 has the counter {cell!r}: write name:component, the component one of "
        f"{', '.join(COMPONENTS)}"
    )


def _numbers(cells: Sequence[str], where: str) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"{where} is {','.join(cells)!r}: write numbers alone") from error


def _check(
    times_s: Sequence[float],
    energy_j: Sequence[tuple[float, ...]],
    counters: Sequence[Counter],
    where: Sequence[str],
) -> None:
    _check_counters(counters)
    if len(times_s) < 2:
        raise ValueError(f"the series has {len(times_s)} rows: give at least 2")
    for place, time_s, joules in zip(where, times_s, energy_j, strict=True):
        if len(joules) != len(counters):
            raise ValueError(
                f"{place} has {len(joules)} energies for {len(counters)} counters: give one each"
            )
        if not all(map(math.isfinite, (time_s, *joules))):
            raise ValueError(f"{place} is {[time_s, *joules]}: every number must be finite")
    for place, earlier, later in zip(where[1:], times_s, times_s[1:], strict=False):
        if later <= earlier:
            raise ValueError(f"{place} is at {later:g} s, after {earlier:g} s: times must rise")
    for place, before, after in zip(where[1:], energy_j, energy_j[1:], strict=False):
        for counter, lower, higher in zip(counters, before, after, strict=True):
            if higher < lower:
                raise ValueError(
                    f"{place} has {higher:g} J of {counter.name!r}, after {lower:g} J: "
                    "joules never fall"
                )


def _check_counters(counters: Sequence[Counter]) -> None:
    names = [counter.name for counter in counters]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"the counters are {names}: give at least one, each with its own name")
    if len(names) > 1 and any(counter.component == "machine" for counter in counters):
        raise ValueError(
            f"of the counters {names} one stands for the whole machine, which has the others in "
            "it: give the component of each"
        )
