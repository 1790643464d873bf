"""Intensities of the past, from a file or from memory, as they were or played anew."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Self

import numpy.typing as npt

from carbonedge._validation import positive
from carbonedge.carbon.intensity.csv_file import read_csv
from carbonedge.carbon.intensity.series import Series
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity, Kind, seconds
from carbonedge.carbon.intensity.times import checked_span, stamp
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["MAX_GAP_S", "Trace"]

MAX_GAP_S = 3 * 3600.0
"""Up to this, a straight line over a gap stays near what the grid did."""


class Trace:
    """A signal of values at regular steps, each valid from its time to the next.

    Its forecast is what came to be: a perfect one, whose values stay of their kind.

    Parameters
    ----------
    g_per_kwh
        By zone, the values one after another; NaN or ``None`` where one is missing.
    start
        When the first of them begins.
    step_s
        How long each holds.
    source
        Who says so.
    kind, accounting, factors
        What the values are.
    max_gap_s
        Missing values between two known ones are interpolated linearly, and of kind
        estimated, where they last no longer than this; to ask within a longer gap is an
        error.

    Raises
    ------
    ValueError
        If there is no zone or no value, a value is negative or infinite, or start or step
        is not in whole seconds.
    """

    __slots__ = ("_series",)

    immediate = True

    def __init__(
        self,
        g_per_kwh: Mapping[str, npt.ArrayLike],
        *,
        start: datetime | float,
        step_s: float,
        source: str = "trace",
        kind: Kind = "actual",
        accounting: Accounting = "average",
        factors: Factors = "lifecycle",
        max_gap_s: float = MAX_GAP_S,
    ) -> None:
        start_s = _whole("the start of a trace", seconds(start))
        step_s = _whole("the step of a trace", positive("step_s", step_s))
        self._series = _by_zone(
            Series(
                zone,
                values,
                source=source,
                start_s=start_s,
                step_s=step_s,
                max_gap_s=max_gap_s,
                kind=kind,
                accounting=accounting,
                factors=factors,
            )
            for zone, values in g_per_kwh.items()
        )

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        zone: str | None = None,
        zone_column: str | None = None,
        time_column: str | None = None,
        value_column: str | None = None,
        utc: bool = False,
        step_s: int | None = None,
        max_gap_s: float = MAX_GAP_S,
        kind: Kind = "actual",
        accounting: Accounting = "average",
        factors: Factors = "lifecycle",
    ) -> Self:
        """Read a file with a header: a row for each time, and for each zone if of several.

        Parameters
        ----------
        path
            UTF-8 text, separated by commas.
        zone
            What the values are of, the file's name without its ending when left out; of a
            file with a column of zones, the only one to read.
        zone_column, time_column, value_column
            Names of columns. Found where they are named as here (``timestamp``,
            ``g_per_kwh``) or by Electricity Maps, whose values are those of `factors`.
        utc
            Times without a time zone are in UTC; they are refused otherwise, unless their
            column's name says UTC.
        step_s
            Time from one row to the next; the commonest difference when left out.
        max_gap_s
            Blanks and missing rows between two known values are interpolated linearly, and
            of kind estimated, where they last no longer than this; to ask within a longer
            gap is an error.
        kind, accounting, factors
            What the values are.

        Raises
        ------
        ValueError
            If the file is not such a one; the message names it, the line and what is wrong.
        OSError
            If it cannot be read.
        """
        series = read_csv(
            path,
            zone=zone,
            zone_column=zone_column,
            time_column=time_column,
            value_column=value_column,
            utc=utc,
            step_s=step_s,
            max_gap_s=max_gap_s,
            kind=kind,
            accounting=accounting,
            factors=factors,
        )
        return cls._of(series)

    @classmethod
    def joined(cls, traces: Iterable[Trace]) -> Self:
        """All zones of several traces.

        Raises
        ------
        ValueError
            If two have the same zone, or there is none.
        """
        return cls._of(series for trace in traces for series in trace._series.values())

    @classmethod
    def _of(cls, series: Iterable[Series]) -> Self:
        trace = cls.__new__(cls)
        trace._series = _by_zone(series)
        return trace

    @property
    def zones(self) -> tuple[str, ...]:
        """Those it knows."""
        return tuple(self._series)

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        return self.series(zone).at(seconds(when))

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        start_s, end_s = checked_span(start, end)
        return self.series(zone).between(start_s, end_s)

    def series(self, zone: str) -> Series:
        """All that is known of a zone.

        Raises
        ------
        IntensityUnavailableError
            If nothing is.
        """
        try:
            return self._series[zone]
        except KeyError:
            sources = ", ".join({series.source: None for series in self._series.values()})
            raise IntensityUnavailableError(
                f"zone {zone!r} is not in {sources}, which knows {', '.join(self._series)}: name "
                "one of these, or join a trace of it (Trace.joined)"
            ) from None

    def replayed(self, start: datetime | float, *, at: datetime | float | None = None) -> Self:
        """The same values, moved so that those of `start` are played at another time.

        Parameters
        ----------
        start
            A time within the trace.
        at
            When it is played, to the whole second before; now when left out.

        Raises
        ------
        ValueError
            If the start is outside the trace.
        """
        start_s = seconds(start)
        for series in self._series.values():
            if not series.start_s <= start_s < series.stop_s:
                raise ValueError(
                    f"{series.source} cannot be played from {stamp(start_s)}: it lasts from "
                    f"{stamp(series.start_s)} to {stamp(series.stop_s)}"
                )
        by_s = math.floor(seconds(at) - start_s)
        said = f", replayed from {stamp(start_s)} at {stamp(start_s + by_s)}"
        return self._of(series.moved(by_s, said) for series in self._series.values())


def _by_zone(all_series: Iterable[Series]) -> dict[str, Series]:
    by_zone: dict[str, Series] = {}
    for series in all_series:
        if series.zone in by_zone:
            raise ValueError(f"zone {series.zone!r} is given twice: name them apart, or drop one")
        by_zone[series.zone] = series
    if not by_zone:
        raise ValueError("a trace of no zone: give the values of at least one")
    return by_zone


def _whole(what: str, value: float) -> int:
    if value % 1:  # NaN and infinities too
        raise ValueError(f"{what} is {value:g} s: give whole seconds")
    return int(value)
