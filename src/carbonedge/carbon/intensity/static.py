"""Intensities that do not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from carbonedge._validation import non_negative
from carbonedge.carbon.intensity.labels import check_labels
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity, seconds
from carbonedge.carbon.intensity.times import checked_span
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["Static"]


class Static:
    """A signal of values that hold always.

    Parameters
    ----------
    g_per_kwh
        One value for every zone, or one by zone.
    accounting, factors
        What the values are.
    source
        Who says so.

    Raises
    ------
    ValueError
        If a value is negative or not finite, or accounting or factors are none of those known.
    """

    __slots__ = ("_accounting", "_everywhere", "_factors", "_source", "_values")

    immediate = True

    def __init__(
        self,
        g_per_kwh: float | Mapping[str, float],
        *,
        accounting: Accounting = "average",
        factors: Factors = "lifecycle",
        source: str = "given",
    ) -> None:
        check_labels("static", accounting, factors)
        self._accounting = accounting
        self._factors = factors
        self._source = source
        self._everywhere: float | None = None
        self._values: dict[str, Intensity] = {}
        if isinstance(g_per_kwh, Mapping):
            for zone, value in g_per_kwh.items():
                self._keep(zone, non_negative(f"the intensity of {zone!r}", value))
        else:
            self._everywhere = non_negative("the intensity", g_per_kwh)

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        if when is not None:
            seconds(when)
        known = self._values.get(zone)
        if known is not None:
            return known
        if self._everywhere is not None:
            return self._keep(zone, self._everywhere)
        zones = ", ".join(self._values) or "none"
        raise IntensityUnavailableError(
            f"zone {zone!r} is not among those {self._source}: {zones}; add it, or one value for all"
        )

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        checked_span(start, end)
        return [self.at(zone)]

    def _keep(self, zone: str, g_per_kwh: float) -> Intensity:
        value = Intensity(g_per_kwh, zone, self._source, "static", self._accounting, self._factors)
        self._values[zone] = value
        return value
