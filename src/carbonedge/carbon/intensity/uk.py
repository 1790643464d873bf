"""The Carbon Intensity API of Great Britain's system operator: free, without a key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from carbonedge.carbon.intensity.http import JsonClient
from carbonedge.carbon.intensity.live import LiveSource
from carbonedge.carbon.intensity.points import (
    DAY_S,
    HOUR_S,
    Amount,
    Moment,
    not_too_far,
    utc,
)
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["UkCarbonIntensity"]

_SLOT_S = HOUR_S / 2
_RANGE_S = 14 * DAY_S
_HORIZON_H = 48
_ZONE = re.compile(r"GB(?:-(?P<region>[1-9]|1[0-7])|-(?P<postcode>[A-Z]{1,2}[0-9][A-Z0-9]?))?")


@dataclass(frozen=True, slots=True)
class _Values:
    forecast: Amount | None = None
    actual: Amount | None = None


_Slot = TypedDict("_Slot", {"from": Moment, "to": Moment, "intensity": _Values})


@dataclass(frozen=True, slots=True)
class _National:
    data: list[_Slot]


@dataclass(frozen=True, slots=True)
class _Region:
    data: list[_Slot]
    regionid: int | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class _Regional:
    data: list[_Region] | _Region
    """A region, or on some paths a list of one."""


class UkCarbonIntensity(LiveSource):
    """Intensity of Great Britain and its regions, averages by direct factors.

    Half hours. Zone ``"GB"`` is the whole; ``"GB-1"`` to ``"GB-17"`` are the API's regions by
    number (13 is London); ``"GB-RG10"`` is the region of an outward postcode. Of the whole the
    past is of kind ``"actual"`` where that is known; of regions there are only forecasts.
    Those reach 48 hours ahead.

    Parameters
    ----------
    base_url
        Where the API is.
    timeout_s
        Of each wait for it; a call ends after about three times that for each request it
        takes.

    Raises
    ------
    IntensityUnavailableError
        If the extra ``live`` is not installed.
    """

    name = "uk"
    accounting: Accounting = "average"
    factors: Factors = "direct"

    def __init__(
        self, *, base_url: str = "https://api.carbonintensity.org.uk", timeout_s: float = 10.0
    ) -> None:
        source = "uk carbon intensity"
        super().__init__(source, JsonClient(source, base_url, timeout_s=timeout_s))

    def _now(self, zone: str, now_s: float) -> Iterator[Intensity]:
        return self._get(zone, "")

    def _past(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        # The half hour of now comes with the future, where that is asked for.
        until_s = end_s if end_s < now_s else now_s // _SLOT_S * _SLOT_S
        from_s = start_s // _SLOT_S * _SLOT_S
        while from_s < until_s:
            to_s = min(from_s + _RANGE_S, math.ceil(until_s / _SLOT_S) * _SLOT_S)
            yield from self._get(zone, f"/{_minutes(from_s)}/{_minutes(to_s)}")
            from_s = to_s

    def _ahead(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        not_too_far(end_s, now_s, _HORIZON_H, self._source, zone)
        from_s = max(start_s, now_s) // _SLOT_S * _SLOT_S
        hours = 24 if end_s - from_s <= DAY_S else _HORIZON_H
        return self._get(zone, f"/{_minutes(from_s)}/fw{hours}h")

    def _get(self, zone: str, when: str) -> Iterator[Intensity]:
        """Points of a zone now, or at a time as the API's paths have it."""
        match = _ZONE.fullmatch(zone)
        if match is None:
            raise IntensityUnavailableError(
                f"{self._source}: zone {zone!r} is not one of its own: give 'GB', 'GB-1' to "
                "'GB-17', or an outward postcode such as 'GB-RG10'"
            )
        region, postcode = match["region"], match["postcode"]
        asked = f"zone {zone!r}"
        if not region and not postcode:
            national: _National = self._http.get(f"/intensity{when}", _National, asked=asked)
            return self._points(national.data, zone)
        place = f"/regionid/{region}" if region else f"/postcode/{postcode}"
        path = f"/regional/intensity{when}{place}" if when else f"/regional{place}"
        answer: _Regional | None = self._http.get(path, _Regional | None, asked=asked)
        if answer is None:
            raise IntensityUnavailableError(
                f"{self._source}: zone {zone!r} is not known there: check the postcode, or give "
                "a region, 'GB-1' to 'GB-17'"
            )
        regions = answer.data if isinstance(answer.data, list) else [answer.data]
        for it in regions:
            if (region and it.regionid not in (None, int(region))) or (
                postcode and it.postcode not in (None, postcode)
            ):
                raise IntensityUnavailableError(
                    f"{self._source}: zone {zone!r}: another region was answered than was asked "
                    "for: check base_url"
                )
        return self._points([slot for it in regions for slot in it.data], zone)

    def _points(self, slots: Sequence[_Slot], zone: str) -> Iterator[Intensity]:
        for slot in slots:
            values = slot["intensity"]
            value = values.forecast if values.actual is None else values.actual
            if value is None or slot["to"] <= slot["from"]:
                continue
            yield Intensity(
                float(value),
                zone,
                self._source,
                "forecast" if values.actual is None else "actual",
                self.accounting,
                self.factors,
                float(slot["from"]),
                float(slot["to"]),
            )


def _minutes(time_s: float) -> str:
    return utc(time_s, "minutes")
