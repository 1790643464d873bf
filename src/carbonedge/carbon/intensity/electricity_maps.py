"""Electricity Maps: average intensity of most of the world's zones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from carbonedge.carbon.intensity.http import JsonClient
from carbonedge.carbon.intensity.keys import Secret, find_secret
from carbonedge.carbon.intensity.live import LiveSource
from carbonedge.carbon.intensity.points import (
    DAY_S,
    HOUR_S,
    Amount,
    Moment,
    not_too_far,
    utc,
)
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity, Kind
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["ElectricityMaps"]

_PERIOD_S = {"5_minutes": 300.0, "15_minutes": 900.0, "hourly": HOUR_S, "daily": DAY_S}
_HORIZONS_H = (6, 24, 48, 72)
_RANGE_S = 10 * DAY_S
_PLAN = (
    "the key's plan does not include this: the free one has a single zone, its last 24 hours and "
    "no forecast; see https://portal.electricitymaps.com"
)
_REMEDIES = {
    401: f"check ELECTRICITY_MAPS_API_KEY; or {_PLAN}",
    402: _PLAN,
    403: _PLAN,
    404: "check the zone's name against https://app.electricitymaps.com, or ask another time",
}


@dataclass(frozen=True, slots=True)
class _Point:
    datetime: Moment
    carbonIntensity: Amount | None
    zone: str | None = None
    emissionFactorType: str | None = None
    isEstimated: bool | None = None
    temporalGranularity: str | None = None


@dataclass(frozen=True, slots=True)
class _Latest:
    zone: str
    datetime: Moment
    carbonIntensity: Amount | None
    emissionFactorType: str | None = None
    isEstimated: bool | None = None
    temporalGranularity: str | None = None


@dataclass(frozen=True, slots=True)
class _History:
    zone: str
    history: list[_Point]
    temporalGranularity: str | None = None


@dataclass(frozen=True, slots=True)
class _Range:
    zone: str
    data: list[_Point]
    temporalGranularity: str | None = None


@dataclass(frozen=True, slots=True)
class _Forecast:
    zone: str
    forecast: list[_Point]
    temporalGranularity: str | None = None


class ElectricityMaps(LiveSource):
    """Intensity of a zone of Electricity Maps, such as ``"DE"`` or ``"US-CAL-CISO"``.

    Hourly values, averages over all that is consumed in the zone, imports in. Those that the
    provider estimated are of kind ``"estimated"``. The newest value may be of an hour ago: its
    age says so. Forecasts reach 72 hours ahead.
    The free plan has one zone, its last 24 hours and no forecast.

    Parameters
    ----------
    key, key_file
        The API key, or a file that holds it; else environment variable
        ``ELECTRICITY_MAPS_API_KEY``.
    version
        Of the API: ``"v4"``, or ``"v3"`` for older keys.
    factors
        ``"lifecycle"`` or ``"direct"``.
    base_url
        Where the API is.
    timeout_s
        Of each wait for it; a call ends after about three times that for each request it
        takes.

    Raises
    ------
    IntensityUnavailableError
        If there is no key, or the extra ``live`` is not installed.
    ValueError
        If an argument is not one of those named here.
    """

    name = "electricitymaps"
    accounting: Accounting = "average"

    def __init__(
        self,
        key: str | Secret | None = None,
        *,
        key_file: str | os.PathLike[str] | None = None,
        version: Literal["v4", "v3"] = "v4",
        factors: Factors = "lifecycle",
        base_url: str = "https://api.electricitymaps.com",
        timeout_s: float = 10.0,
    ) -> None:
        if version not in ("v4", "v3"):
            raise ValueError(f"version is {version!r}: give 'v4' or 'v3'")
        if factors not in ("lifecycle", "direct"):
            raise ValueError(f"factors is {factors!r}: give 'lifecycle' or 'direct'")
        self.version = version
        self.factors: Factors = factors
        self._key = find_secret(
            key,
            what="Electricity Maps key",
            variable="ELECTRICITY_MAPS_API_KEY",
            where="a key is had at https://portal.electricitymaps.com",
            file=key_file,
            ascii_only=True,
        )
        source = f"electricitymaps {version}"
        http = JsonClient(source, base_url, timeout_s=timeout_s, secrets=[self._key])
        super().__init__(source, http, version, factors)

    def _now(self, zone: str, now_s: float) -> Iterator[Intensity]:
        answer = self._get("latest", _Latest, zone)
        return self._points([answer], answer, zone, None)

    def _ahead(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        not_too_far(end_s, now_s, _HORIZONS_H[-1], self._source, zone)
        # Counted from the current hour's beginning, where forecasts begin.
        hours = (end_s - now_s // HOUR_S * HOUR_S) / HOUR_S
        horizon = next((h for h in _HORIZONS_H if h >= hours), _HORIZONS_H[-1])
        answer = self._get("forecast", _Forecast, zone, horizonHours=str(horizon))
        return self._points(answer.forecast, answer, zone, "forecast")

    def _past(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        # The history's first hour is the one that began up to 24 hours ago.
        if start_s >= now_s - DAY_S + HOUR_S:
            answer = self._get("history", _History, zone)
            yield from self._points(answer.history, answer, zone, None)
            return
        # The hour that start lies in began before it.
        from_s, until_s = start_s // HOUR_S * HOUR_S, math.ceil(end_s / HOUR_S) * HOUR_S
        while from_s < until_s:
            to_s = min(from_s + _RANGE_S, until_s)
            answer = self._get("past-range", _Range, zone, start=utc(from_s), end=utc(to_s))
            yield from self._points(answer.data, answer, zone, None)
            from_s = to_s

    def _get(self, what: str, kind: type, zone: str, **params: str) -> Any:
        answer = self._http.get(
            f"/{self.version}/carbon-intensity/{what}",
            kind,
            asked=f"{what} of zone {zone!r}",
            # Without disableCallerLookup an unknown zone is answered with the caller's own.
            params={
                "zone": zone,
                "disableCallerLookup": "true",
                "emissionFactorType": self.factors,
                **params,
            },
            headers={"auth-token": self._key},
            remedies=_REMEDIES,
        )
        self._same("zone", zone, answer.zone, zone)
        return answer

    def _points(
        self, points: Sequence[_Point | _Latest], answer: Any, zone: str, kind: Kind | None
    ) -> Iterator[Intensity]:
        for point in points:
            if point.carbonIntensity is None:
                continue
            self._same("zone", zone, point.zone, zone)
            self._same("emissionFactorType", self.factors, point.emissionFactorType, zone)
            granularity = point.temporalGranularity or answer.temporalGranularity or "hourly"
            if granularity not in _PERIOD_S:
                raise IntensityUnavailableError(
                    f"{self._source}: zone {zone!r}: values are for periods of "
                    f"{self._http.clean(granularity)!r}, and known are "
                    f"{', '.join(_PERIOD_S)}: use another version"
                )
            yield Intensity(
                float(point.carbonIntensity),
                zone,
                self._source,
                kind or ("estimated" if point.isEstimated else "actual"),
                self.accounting,
                self.factors,
                float(point.datetime),
                point.datetime + _PERIOD_S[granularity],
            )

    def _same(self, what: str, asked: str, answered: str | None, zone: str) -> None:
        if answered is not None and answered != asked:
            raise IntensityUnavailableError(
                f"{self._source}: zone {zone!r}: {what} {asked!r} was asked for and "
                f"{self._http.clean(answered)!r} answered: check the zone's name and the key's plan"
            )
