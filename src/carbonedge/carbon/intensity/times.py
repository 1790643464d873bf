"""Times as people write and read them, and stretches of time."""

from __future__ import annotations

from datetime import UTC, datetime

from carbonedge.carbon.intensity.signal import seconds

__all__ = ["checked_span", "moment", "stamp"]


def checked_span(start: datetime | float, end: datetime | float) -> tuple[float, float]:
    """Both in seconds since 1970.

    Raises
    ------
    ValueError
        If the end is not after the start.
    """
    start_s, end_s = seconds(start), seconds(end)
    if not end_s > start_s:
        raise ValueError(
            f"the end {stamp(end_s)} is not after the start {stamp(start_s)}: give a later one"
        )
    return start_s, end_s


def moment(text: str) -> datetime:
    """The time that an ISO 8601 text gives, with its time zone.

    Raises
    ------
    ValueError
        If it is no such text, or names no time zone.
    """
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"the time {text!r} cannot be read: write it as 2022-06-01T00:00Z"
        ) from None
    if when.tzinfo is None:
        raise ValueError(f"the time {text!r} has no time zone: end it with Z, or +02:00 and such")
    return when


def stamp(time_s: float) -> str:
    """Seconds since 1970 as UTC, such as ``"2022-06-01T00:00Z"``."""
    try:
        when = datetime.fromtimestamp(time_s, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{time_s:g} s after 1970"
    precision = "seconds" if time_s % 60 else "minutes"
    return when.isoformat(timespec=precision).replace("+00:00", "Z")
