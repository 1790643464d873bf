"""The intensities of all zones on one grid of time: as they were, and as they were known."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carbonedge.carbon.intensity.series import Series
from carbonedge.carbon.intensity.times import stamp
from carbonedge.carbon.intensity.trace import Trace
from carbonedge.units import MS_PER_S

__all__ = ["Grid", "grid_of", "read_grid"]

YEAR_IN_NAME = re.compile(r"[-_ ](?:19|20)\d\d(?!\d).*$")
"""US-CISO-2022.csv and DE_2021_hourly.csv are of US-CISO and DE."""

MOST_SLOTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Grid:
    """Carbon intensities of some zones, at steps that they share.

    Parameters
    ----------
    zones
        Their names.
    start_s, step_s
        When the first slot begins, in seconds since 1970, and how long each is.
    known : float array, shape [zones, slots]
        In gCO2eq/kWh, what is known in each slot: where a value is missing, the last before it.
    truth : float array, shape [zones, slots]
        The same, but a missing value lies on the straight line between its neighbours.
    missing
        By zone, how many values of its trace are missing.
    """

    zones: tuple[str, ...]
    start_s: int
    step_s: int
    known: NDArray[np.float64]
    truth: NDArray[np.float64]
    missing: tuple[int, ...]

    @property
    def stop_s(self) -> int:
        """When the last slot ends."""
        return self.start_s + self.step_s * int(self.known.shape[1])

    @property
    def step_ms(self) -> float:
        """How long a slot is."""
        return self.step_s * MS_PER_S


def read_grid(path: str | os.PathLike[str], zones: Sequence[str]) -> Grid:
    """The grid of zones in a folder of traces, or in one file.

    Parameters
    ----------
    path
        A folder whose ``.csv`` files `Trace.from_csv` reads, or such a file. A file without a
        column of zones is of the zone that it is named after, up to a year in its name; files
        of one zone follow each other.
    zones
        Those that are needed.

    Raises
    ------
    ValueError
        If there is no file, one is wrong, a zone has none, or the zones share no time.
    OSError
        If a file cannot be read.
    """
    path = Path(path)
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: there is no .csv file: name a folder with a trace of each zone")
    pieces: dict[str, list[Series]] = {}
    for file in files:
        trace = Trace.from_csv(file, max_gap_s=0)
        for name in trace.zones:
            zone = YEAR_IN_NAME.sub("", name) if name == file.stem else name
            pieces.setdefault(zone, []).append(trace.series(name))
    for zone in zones:
        if zone not in pieces:
            raise ValueError(
                f"{path}: there is no trace of zone {zone!r}, but of {', '.join(pieces)}: add a "
                f"file {zone}.csv, or correct the zone of the nodes"
            )
    return grid_of({zone: _joined(zone, pieces[zone]) for zone in zones})


def grid_of(series: dict[str, Series]) -> Grid:
    """The grid of the time that all zones share.

    Raises
    ------
    ValueError
        If they share none, a zone has no value in it, or no step of reasonable length divides
        those of all.
    """
    start_s = max(own.start_s for own in series.values())
    stop_s = min(own.stop_s for own in series.values())
    if start_s >= stop_s:
        spans = (
            f"{zone} from {stamp(own.start_s)} to {stamp(own.stop_s)}"
            for zone, own in series.items()
        )
        raise ValueError(f"the traces share no time: {', '.join(spans)}")
    step_s = math.gcd(
        stop_s - start_s,
        *(own.step_s for own in series.values()),
        *(start_s - own.start_s for own in series.values()),
    )
    if stop_s - start_s > MOST_SLOTS * step_s:
        raise ValueError(
            f"the steps of the traces have no more than {step_s} s in common: make their times "
            "multiples of the shortest step"
        )
    known: list[NDArray[np.float64]] = []
    truth: list[NDArray[np.float64]] = []
    missing = []
    for zone, own in series.items():
        there = ~np.isnan(own.g_per_kwh)
        within = slice(
            (start_s - own.start_s) // own.step_s, -(-(stop_s - own.start_s) // own.step_s)
        )
        if not there[within].any():
            raise ValueError(
                f"the trace of {zone!r} has no value from {stamp(start_s)} to {stamp(stop_s)}"
            )
        missing.append(int((~there[within]).sum()))
        offset = (start_s - own.start_s) // step_s
        shared = slice(offset, offset + (stop_s - start_s) // step_s)
        for rows, filled in ((known, _last_known), (truth, _between)):
            rows.append(np.repeat(filled(own.g_per_kwh, there), own.step_s // step_s)[shared])
    return Grid(tuple(series), start_s, step_s, np.array(known), np.array(truth), tuple(missing))


def _last_known(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The last value at each place; before the first, the first."""
    places = np.maximum.accumulate(np.where(there, np.arange(values.size), -1))
    filled: NDArray[np.float64] = values[np.where(places < 0, int(np.argmax(there)), places)]
    return filled


def _between(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A straight line over each gap; at the ends, the nearest value."""
    places = np.arange(values.size)
    return np.interp(places, places[there], values[there])


def _joined(zone: str, pieces: Iterable[Series]) -> Series:
    """One series of several that follow each other; missing between them."""
    pieces = sorted(pieces, key=lambda piece: piece.start_s)
    first = pieces[0]
    if len(pieces) == 1:
        return first
    for before, after in pairwise(pieces):
        if after.step_s != first.step_s or (after.start_s - first.start_s) % first.step_s:
            raise ValueError(
                f"{before.source} and {after.source} are of zone {zone!r} and differ in their "
                "steps: keep one"
            )
        if after.start_s < before.stop_s:
            raise ValueError(
                f"{before.source} and {after.source} both have zone {zone!r} at "
                f"{stamp(after.start_s)}: keep one"
            )
    values = np.full((pieces[-1].stop_s - first.start_s) // first.step_s, np.nan)
    for piece in pieces:
        begin = (piece.start_s - first.start_s) // first.step_s
        values[begin : begin + piece.g_per_kwh.size] = piece.g_per_kwh
    return Series(
        zone,
        values,
        source=", ".join(piece.source for piece in pieces),
        start_s=first.start_s,
        step_s=first.step_s,
        max_gap_s=0,
    )
