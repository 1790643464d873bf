"""When requests come, from which zone, and how much work each is."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carbonedge._validation import non_negative, positive
from carbonedge.carbon.intensity.times import moment, stamp
from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.grid import Grid
from carbonedge.units import MS_PER_HOUR, MS_PER_S

__all__ = ["PATTERNS", "Arrivals", "arrivals_of_csv", "synthetic_arrivals"]

PATTERNS = ("flat", "daily")

MOST_REQUESTS = 20_000_000
"""More would take over 4 GB."""
SWING = 0.8
"""Of the daily pattern: so much more at 15:00 local time than on average, and less at 03:00."""
BUSIEST_H = 15.0

# What is drawn from the seed, each from a stream of its own.
TIMES, WORK, SPREAD = range(3)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Requests in the order they come.

    Parameters
    ----------
    time_ms : float array, shape [requests]
        Since the trace begins.
    zone : integer array, shape [requests]
        Where each is from, a position among the fleet's zones.
    work : float array, shape [requests]
        How long each takes relative to the mean, on any node: log-normal, of mean 1.
    """

    time_ms: NDArray[np.float64]
    zone: NDArray[np.int64]
    work: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time_ms)


def synthetic_arrivals(
    fleet: Fleet,
    grid: Grid,
    window_s: tuple[float, float],
    *,
    requests_per_hour: float,
    pattern: str = "flat",
    work_spread: float = 0.0,
    seed: int = 0,
) -> Arrivals:
    """Poisson arrivals, as many from each zone on average.

    Parameters
    ----------
    fleet, grid
        Whose zones and times they are of.
    window_s
        From when to when they come, in seconds since 1970.
    requests_per_hour
        From all zones together, on average over a day.
    pattern
        ``"flat"``: at one rate. ``"daily"``: at a rate that swings as a sine with the local hour
        of the zone, by 80 %, highest at 15:00.
    work_spread
        Standard deviation of the logarithm of the work.
    seed
        The same gives the same.

    Raises
    ------
    ValueError
        If a number is out of its range, there is no such pattern, or there are no requests.
    """
    positive("requests_per_hour", requests_per_hour)
    if pattern not in PATTERNS:
        raise ValueError(f"pattern {pattern!r} is not known: give {' or '.join(PATTERNS)}")
    start_ms, stop_ms = ((at_s - grid.start_s) * MS_PER_S for at_s in window_s)
    chance = np.random.default_rng([seed, TIMES])
    highest = 1.0 if pattern == "flat" else 1.0 + SWING
    expected = requests_per_hour * (stop_ms - start_ms) / MS_PER_HOUR
    _check_count(expected * highest)
    count = int(chance.poisson(expected * highest))
    time_ms = np.sort(chance.uniform(start_ms, stop_ms, count))
    zone = chance.integers(len(fleet.zones), size=count)
    if pattern == "daily":
        # Thinned: exact, whatever the rate does.
        local_h = (grid.start_s / 3600 + time_ms / MS_PER_HOUR + fleet.utc_offset_h[zone]) % 24
        rate = 1.0 + SWING * np.cos((local_h - BUSIEST_H) * (2 * np.pi / 24))
        kept = chance.uniform(0.0, highest, count) < rate
        time_ms, zone = time_ms[kept], zone[kept]
    return _arrivals(time_ms, zone, work_spread, seed)


def arrivals_of_csv(
    path: str | os.PathLike[str],
    fleet: Fleet,
    grid: Grid,
    window_s: tuple[float, float],
    *,
    work_spread: float = 0.0,
    seed: int = 0,
) -> Arrivals:
    """Recorded arrivals.

    Parameters
    ----------
    path
        A file with the columns timestamp (ISO 8601 with a time zone), zone, and perhaps count.
        Without it each row is a request at its time. With it a row is so many, at random times
        until the zone's next row; those of its last row take as long as the row before, the trace
        allowing.
    fleet, grid
        Whose zones and times they are of.
    window_s
        Requests outside of it are left out.
    work_spread, seed
        As for `synthetic_arrivals`.

    Raises
    ------
    ValueError
        If the file is not such a one, a zone has no node, a time is outside of the trace, or
        there are no requests.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    rows: dict[int, list[tuple[float, int]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            for needed in ("timestamp", "zone"):
                if needed not in columns:
                    raise ValueError(f"there is no column {needed!r}: give timestamp, zone, count")
            for row in reader:
                try:
                    zone, time_s, count = _row(row, fleet, grid)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"line {reader.line_num}: {error}") from error
                rows.setdefault(zone, []).append((time_s, count))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: it is not UTF-8 text") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    if not rows:
        raise ValueError(f"{path}: there are no rows")
    _check_count(float(sum(count for own in rows.values() for _, count in own)))
    chance = np.random.default_rng([seed, SPREAD])
    times, zones = [], []
    for zone in sorted(rows):
        begins_s, counts = (np.array(column) for column in zip(*sorted(rows[zone]), strict=True))
        lasts_s = np.zeros(len(begins_s))
        if "count" in columns and len(begins_s) > 1:
            lasts_s = np.diff(begins_s)
            lasts_s = np.append(lasts_s, min(lasts_s[-1], grid.stop_s - begins_s[-1]))
        begin_s, last_s = (np.repeat(column, counts) for column in (begins_s, lasts_s))
        time_s = begin_s + chance.uniform(size=begin_s.size) * last_s
        time_s = time_s[(time_s >= window_s[0]) & (time_s < window_s[1])]
        times.append((time_s - grid.start_s) * MS_PER_S)
        zones.append(np.full(time_s.size, zone))
    time_ms, zone_of = np.concatenate(times), np.concatenate(zones)
    order = np.argsort(time_ms, kind="stable")
    return _arrivals(time_ms[order], zone_of[order], work_spread, seed)


def _row(row: dict[str, str | None], fleet: Fleet, grid: Grid) -> tuple[int, float, int]:
    name = (row["zone"] or "").strip()
    if name not in fleet.zones:
        raise ValueError(f"zone {name!r} has no node: there are {', '.join(fleet.zones)}")
    time_s = moment(row["timestamp"] or "").timestamp()
    if not grid.start_s <= time_s < grid.stop_s:
        raise ValueError(
            f"{stamp(time_s)} is outside of the trace, {stamp(grid.start_s)} to "
            f"{stamp(grid.stop_s)}: drop the row, or bring a trace of that time"
        )
    text = row.get("count", "1") or ""
    if not text.strip().isdecimal():
        raise ValueError(f"the count is {text!r}: give a whole number, 0 or above")
    return fleet.zones.index(name), time_s, int(text)


def _arrivals(
    time_ms: NDArray[np.float64], zone: NDArray[np.int64], work_spread: float, seed: int
) -> Arrivals:
    if not len(time_ms):
        raise ValueError("no request comes in that time: give more an hour, or a longer time")
    spread = non_negative("work_spread", work_spread)
    chance = np.random.default_rng([seed, WORK])
    work = np.exp(chance.normal(-spread * spread / 2, spread, len(time_ms)))
    return Arrivals(time_ms, zone.astype(np.int64), work)


def _check_count(expected: float) -> None:
    if expected > MOST_REQUESTS:
        raise ValueError(f"{expected:,.0f} requests are more than {MOST_REQUESTS:,}: take fewer")
