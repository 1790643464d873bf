"""The intensities of one zone at regular steps, gaps and all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from carbonedge._validation import LARGEST, non_negative
from carbonedge.carbon.intensity.labels import check_labels
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity, Kind
from carbonedge.carbon.intensity.times import stamp
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["Series"]


class Series:
    """Values of one zone, each from its time to the next.

    Parameters
    ----------
    zone, source, kind, accounting, factors
        As in `Intensity`.
    g_per_kwh : float array, shape (slots,)
        NaN where a value is missing.
    start_s, step_s
        When the first slot begins, and how long each is, in whole seconds, so that every
        border is exact.
    estimated : bool array, shape (slots,), optional
        Slots whose value is estimated already, whatever the kind of the others.
    max_gap_s
        Missing values between two known ones are interpolated linearly, and called
        estimated, where they last no longer than this.

    Raises
    ------
    ValueError
        If there is no value, one is negative or infinite, max_gap_s is negative, or a label
        is none of those known.
    """

    __slots__ = (
        "_slots",
        "accounting",
        "estimated",
        "factors",
        "g_per_kwh",
        "kind",
        "max_gap_s",
        "source",
        "start_s",
        "step_s",
        "zone",
    )

    def __init__(
        self,
        zone: str,
        g_per_kwh: npt.ArrayLike,
        *,
        source: str,
        start_s: int,
        step_s: int,
        estimated: npt.ArrayLike | None = None,
        max_gap_s: float,
        kind: Kind = "actual",
        accounting: Accounting = "average",
        factors: Factors = "lifecycle",
    ) -> None:
        values = np.array(g_per_kwh, dtype=np.float64)
        if values.ndim != 1 or not values.size:
            raise ValueError(f"the intensities of {zone!r} have shape {values.shape}: give a row")
        if max_gap_s != math.inf:
            max_gap_s = non_negative("max_gap_s", max_gap_s)
        wrong = np.flatnonzero(~np.isnan(values) & ~((values >= 0) & (values <= LARGEST)))
        if wrong.size:
            raise ValueError(
                f"the intensity of {zone!r} from {stamp(start_s + int(wrong[0]) * step_s)} is "
                f"{values[wrong[0]]:g}: it must be finite and 0 or above"
            )
        check_labels(kind, accounting, factors)
        self.zone = zone
        self.source = source
        self.kind = kind
        self.accounting = accounting
        self.factors = factors
        self.start_s = start_s
        self.step_s = step_s
        self.max_gap_s = max_gap_s
        self.estimated = np.zeros(values.size, dtype=bool)
        if estimated is not None:
            self.estimated[:] = estimated
        for gap in _gaps(values):
            if (
                gap.stop - gap.start
            ) * step_s <= max_gap_s and 0 < gap.start < gap.stop < values.size:
                before, after = gap.start - 1, gap.stop
                inside = np.arange(gap.start, gap.stop)
                values[gap] = np.interp(inside, [before, after], values[[before, after]])
                self.estimated[gap] = True
        values.flags.writeable = self.estimated.flags.writeable = False
        self.g_per_kwh = values
        self._slots: list[Intensity | None] = [None] * values.size

    @property
    def stop_s(self) -> int:
        """When the last slot ends."""
        return self.start_s + len(self._slots) * self.step_s

    def at(self, time_s: float) -> Intensity:
        """The value that holds at a time.

        Raises
        ------
        IntensityUnavailableError
            If that is outside the series, or in a gap too long to fill.
        """
        slot = int((time_s - self.start_s) // self.step_s)
        if 0 <= slot < len(self._slots):
            made = self._slots[slot]
            return self._make(slot) if made is None else made
        raise IntensityUnavailableError(
            f"{self.source} knows {self.zone!r} from {self._range()}, not at {stamp(time_s)}: ask "
            "within that, play the trace at another time (Trace.replayed), or let a Chain go on "
            "to another source"
        )

    def between(self, start_s: float, end_s: float) -> Sequence[Intensity]:
        """The values that hold at some time from start to end.

        Raises
        ------
        IntensityUnavailableError
            As in `at`.
        """
        self.at(start_s)
        if end_s > self.stop_s:
            self.at(end_s)
        first = int((start_s - self.start_s) // self.step_s)
        stop = math.ceil((end_s - self.start_s) / self.step_s)
        return [self._slots[slot] or self._make(slot) for slot in range(first, stop)]

    def moved(self, by_s: int, said: str) -> Series:
        """The same values earlier or later, and what the source says of it."""
        return Series(
            self.zone,
            self.g_per_kwh,
            source=self.source + said,
            start_s=self.start_s + by_s,
            step_s=self.step_s,
            estimated=self.estimated,
            max_gap_s=self.max_gap_s,
            kind=self.kind,
            accounting=self.accounting,
            factors=self.factors,
        )

    def _make(self, slot: int) -> Intensity:
        value = float(self.g_per_kwh[slot])
        if math.isnan(value):
            raise IntensityUnavailableError(self._about_gap(slot))
        starts_s = self.start_s + slot * self.step_s
        made = Intensity(
            value,
            self.zone,
            self.source,
            "estimated" if self.estimated[slot] else self.kind,
            self.accounting,
            self.factors,
            float(starts_s),
            float(starts_s + self.step_s),
        )
        self._slots[slot] = made
        return made

    def _about_gap(self, slot: int) -> str:
        gap = next(gap for gap in _gaps(self.g_per_kwh) if gap.start <= slot < gap.stop)
        starts_s = self.start_s + gap.start * self.step_s
        length_s = (gap.stop - gap.start) * self.step_s
        said = (
            f"{self.source} has no values for {self.zone!r} for {_long(length_s)} from "
            f"{stamp(starts_s)}"
        )
        if gap.start == 0 or gap.stop == len(self._slots):
            return f"{said}, where it begins or ends: let a Chain go on to another source"
        return (
            f"{said}, and gaps are filled up to {_long(self.max_gap_s)}: let a Chain go on to "
            f"another source, or set max_gap_s to {length_s}"
        )

    def _range(self) -> str:
        return f"{stamp(self.start_s)} to {stamp(self.stop_s)}"


def _long(length_s: float) -> str:
    return (
        f"{length_s / 3600:g} h" if length_s >= 3600 or not length_s else f"{length_s / 60:g} min"
    )


def _gaps(values: npt.NDArray[np.float64]) -> Iterator[slice]:
    """Runs of missing values."""
    missing = np.concatenate(([False], np.isnan(values), [False]))
    borders = np.flatnonzero(missing[1:] != missing[:-1])
    for start, stop in zip(borders[::2], borders[1::2], strict=True):
        yield slice(int(start), int(stop))
