"""What every signal gives: values in gCO2eq/kWh that say where they are from."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

__all__ = ["Accounting", "Factors", "Intensity", "Kind", "Signal", "provenance", "seconds"]

Kind = Literal["actual", "forecast", "estimated", "static"]
Accounting = Literal["average", "marginal"]
Factors = Literal["lifecycle", "direct"]


@dataclass(frozen=True, slots=True)
class Intensity:
    """Carbon intensity of a zone for a while.

    Parameters
    ----------
    g_per_kwh
        GCO2eq per kWh.
    zone
        The grid zone, as its provider names it.
    source
        Who says so, such as ``"electricitymaps v4"`` or ``"trace US-CISO-2022.csv"``;
        never a key or an address that holds one.
    kind
        ``"actual"``, ``"forecast"``, ``"estimated"`` (filled in by the provider, or across
        a gap) or ``"static"``.
    accounting
        ``"average"``: of all that is generated. ``"marginal"``: of what one more kWh takes.
    factors
        ``"lifecycle"``, or ``"direct"``: combustion alone.
    valid_from_s, valid_until_s
        The half-open time it holds for, in seconds since 1970.
    age_s
        How long it had not been valid any more when it was asked for.
    """

    g_per_kwh: float
    zone: str
    source: str
    kind: Kind
    accounting: Accounting = "average"
    factors: Factors = "lifecycle"
    valid_from_s: float = -math.inf
    valid_until_s: float = math.inf
    age_s: float = 0.0


class Signal(Protocol):
    """Something that knows carbon intensities.

    Times are aware datetimes, or seconds since 1970.
    """

    @property
    def immediate(self) -> bool:
        """Whether it answers from memory, so that a request may ask it."""

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        """The intensity of a zone at a time; now when left out.

        Raises
        ------
        IntensityUnavailableError
            If it is not known; the message names the zone, the time and a remedy.
        """

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        """Intensities from start to end, one after another, none overlapping.

        Raises
        ------
        IntensityUnavailableError
            If they are not known all the way.
        ValueError
            If the end is not after the start.
        """


def seconds(when: datetime | float | None) -> float:
    """Seconds since 1970; now for ``None``.

    Raises
    ------
    ValueError
        If a datetime has no time zone, or a number is not finite.
    TypeError
        If it is neither a datetime nor a number.
    """
    if when is None:
        return time.time()
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValueError(
                f"the time {when.isoformat()} has no time zone: give one, such as datetime.UTC"
            )
        return when.timestamp()
    if isinstance(when, bool) or not isinstance(when, int | float):
        raise TypeError(f"the time is {when!r}: give an aware datetime, or seconds since 1970")
    if not math.isfinite(when):
        raise ValueError(f"the time is {when:g}: it must be finite")
    return float(when)


def provenance(intensity: Intensity) -> str:
    """Where a value is from and what it counts, for people."""
    stale = ", out of date" if intensity.age_s else ""
    return (
        f"{intensity.source} ({intensity.kind}, {intensity.accounting}, {intensity.factors}{stale})"
    )
