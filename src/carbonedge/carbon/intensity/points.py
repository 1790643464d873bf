"""What live sources' answers are read into, and how values are found in them by time."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from carbonedge.carbon.intensity.signal import Intensity, seconds
from carbonedge.exceptions import IntensityUnavailableError

__all__ = [
    "Amount",
    "Moment",
    "Span",
    "covering",
    "current",
    "in_order",
    "is_now",
    "known_all_the_way",
    "moment",
    "not_too_far",
    "other_types",
    "touching",
    "utc",
    "window",
    "zone_name",
]

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
_LONGEST_WINDOW_S = 366 * DAY_S
_LAST_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_LARGEST = 1e5
"""No grid comes near it in any unit that providers use."""
_SPAN = re.compile(r"(?:(\d{1,3})\.)?(\d\d):(\d\d):(\d\d)(?:\.\d+)?", re.ASCII)
_NOW_S = 60.0
_AHEAD_S = 600.0


class Moment(float):
    """Seconds since 1970, that JSON gives in ISO 8601."""


class Amount(float):
    """A carbon intensity in a provider's unit, 0 or above."""


class Span(float):
    """Seconds, that JSON gives as ``[days.]hours:minutes:seconds``."""


def other_types(kind: type, value: Any) -> Any:
    """Makes one of these three of what JSON holds; msgspec adds to an error where it stood."""
    return _MAKERS[kind](value)


def _moment(value: object) -> Moment:
    try:
        read = datetime.fromisoformat(value)  # type: ignore[arg-type]  # which is a TypeError
        if read.tzinfo is not None:
            return Moment(read.timestamp())
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError("Expected a time with its time zone")


def _amount(value: object) -> Amount:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Expected a number")  # noqa: TRY004 - msgspec words ValueErrors alike
    if not 0 <= value <= _LARGEST:
        raise ValueError(f"Expected a number between 0 and {_LARGEST:g}")
    return Amount(value)


def _span(value: object) -> Span:
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("Expected a duration such as 00:05:00")
    days, hours, minutes, whole_s = (float(part or 0) for part in match.groups())
    return Span(days * DAY_S + hours * HOUR_S + minutes * 60 + whole_s)


_MAKERS: Mapping[type, Callable[[object], float]] = {
    Moment: _moment,
    Amount: _amount,
    Span: _span,
}


def zone_name(zone: object) -> str:
    """A zone as it was asked for; where it is no name, an error."""
    if not isinstance(zone, str):
        raise TypeError(f"the zone is {zone!r}: give its name")
    if not zone.strip() or not zone.isprintable():
        raise ValueError(f"the zone is {zone!r}: give its name")
    return zone


def moment(when: datetime | float | None) -> float:
    """As ``seconds``, held to times that a calendar knows."""
    time_s = seconds(when)
    if not 0 <= time_s < _LAST_S:
        raise ValueError(f"the time is {time_s:g}: give seconds since 1970, not milliseconds")
    return time_s


def window(start: datetime | float, end: datetime | float) -> tuple[float, float]:
    """Start and end in seconds since 1970, a year apart at most."""
    start_s, end_s = moment(start), moment(end)
    if end_s <= start_s:
        raise ValueError(f"the end {utc(end_s)} is not after the start {utc(start_s)}")
    if end_s - start_s > _LONGEST_WINDOW_S:
        raise ValueError(
            f"{utc(start_s)} to {utc(end_s)} is longer than 366 days: ask for less at once"
        )
    return start_s, end_s


def is_now(time_s: float) -> bool:
    """Whether a time is now, give or take a minute."""
    return abs(time_s - time.time()) <= _NOW_S


def utc(time_s: float, timespec: str = "seconds") -> str:
    """As ``2026-01-31T12:00:00Z``."""
    whole = datetime.fromtimestamp(math.floor(time_s), UTC).replace(tzinfo=None)
    return whole.isoformat(timespec=timespec) + "Z"


def not_too_far(end_s: float, now_s: float, horizon_h: int, source: str, zone: str) -> None:
    """Refuse what lies further ahead than a source's forecasts go."""
    if end_s - now_s > horizon_h * HOUR_S:
        raise IntensityUnavailableError(
            f"{source}: zone {zone!r}: {utc(end_s)} is {(end_s - now_s) / HOUR_S:.0f} h ahead and "
            f"forecasts end at {horizon_h} h: ask for less"
        )


def in_order(points: Iterable[Intensity]) -> list[Intensity]:
    """By time, none overlapping; of those that begin together the first stays."""
    by_start: dict[float, Intensity] = {}
    for point in points:
        by_start.setdefault(point.valid_from_s, point)
    ordered = [by_start[start_s] for start_s in sorted(by_start)]
    for index in range(len(ordered) - 1):
        next_s = ordered[index + 1].valid_from_s
        if ordered[index].valid_until_s > next_s:
            ordered[index] = replace(ordered[index], valid_until_s=next_s)
    return ordered


def current(points: Sequence[Intensity], time_s: float, source: str, zone: str) -> Intensity:
    """Of the ordered points the one that holds now, else the newest before, with its age."""
    begun = [point for point in points if point.valid_from_s <= time_s + _AHEAD_S]
    if not begun:
        what = (
            f"the newest value is of {utc(points[0].valid_from_s)} and it is {utc(time_s)} here: "
            "check this machine's clock"
            if points
            else "no value now: try again later, or ask another source"
        )
        raise IntensityUnavailableError(f"{source}: zone {zone!r}: {what}")
    for point in begun:
        if point.valid_from_s <= time_s < point.valid_until_s:
            return point
    return replace(begun[-1], age_s=max(0.0, time_s - begun[-1].valid_until_s))


def covering(points: Sequence[Intensity], time_s: float, source: str, zone: str) -> Intensity:
    """The point that holds at a time."""
    for point in points:
        if point.valid_from_s <= time_s < point.valid_until_s:
            return point
    raise IntensityUnavailableError(
        f"{source}: zone {zone!r}: nothing is known for {utc(time_s)}: "
        "ask for another time or another source"
    )


def touching(
    points: Sequence[Intensity], start_s: float, end_s: float
) -> tuple[list[Intensity], float | None]:
    """Those of the ordered points that touch [start, end), and where they leave the first gap."""
    found = [p for p in points if p.valid_from_s < end_s and p.valid_until_s > start_s]
    known_s = start_s
    for point in found:
        if point.valid_from_s > known_s:
            break
        known_s = point.valid_until_s
    return found, known_s if known_s < end_s else None


def known_all_the_way(
    points: Sequence[Intensity], start_s: float, end_s: float, source: str, zone: str
) -> list[Intensity]:
    """Those of the ordered points that touch [start, end), which must leave no gap."""
    found, gap_s = touching(points, start_s, end_s)
    if gap_s is not None:
        raise IntensityUnavailableError(
            f"{source}: zone {zone!r}: nothing is known for {utc(gap_s)}, between "
            f"{utc(start_s)} and {utc(end_s)}: ask for less, or another source"
        )
    return found
