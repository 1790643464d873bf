"""The REST API of a Carbon Aware SDK server, which passes on another provider's values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from carbonedge.carbon.intensity.http import JsonClient
from carbonedge.carbon.intensity.live import LiveSource
from carbonedge.carbon.intensity.points import (
    HOUR_S,
    Amount,
    Moment,
    Span,
    utc,
)
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity, Kind
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["CarbonAwareSdk"]

_BACK_S = 2 * HOUR_S
_SHORTEST_S = 300.0
_MINUTE_S = 60.0
_REMEDIES = {
    400: "check the location: /locations lists those the server knows",
    404: "check the location: /locations lists those the server knows",
    500: "check the server's data source and its key",
    501: "the server's data source does not have this: configure another",
}


@dataclass(frozen=True, slots=True)
class _Emissions:
    time: Moment
    rating: Amount
    duration: Span | None = None


@dataclass(frozen=True, slots=True)
class _Forecasted:
    timestamp: Moment
    duration: Amount
    value: Amount


@dataclass(frozen=True, slots=True)
class _Forecast:
    location: str
    forecastData: list[_Forecasted]


class CarbonAwareSdk(LiveSource):
    """Intensity of a location that a Carbon Aware SDK server knows, such as ``"eastus"``.

    Forecasts reach as far ahead as the server's data source looks.

    Parameters
    ----------
    base_url
        Where the server is.
    accounting, factors
        What its data source gives, for the server does not say: WattTime is ``"marginal"`` and
        ``"direct"``, Electricity Maps ``"average"`` and ``"lifecycle"``.
    timeout_s
        Of each wait for it; a call ends after about three times that for each request it
        takes.

    Raises
    ------
    IntensityUnavailableError
        If the extra ``live`` is not installed.
    ValueError
        If an argument is not one of those named here.
    """

    name = "carbon-aware-sdk"

    def __init__(
        self, base_url: str, *, accounting: Accounting, factors: Factors, timeout_s: float = 10.0
    ) -> None:
        if accounting not in ("average", "marginal"):
            raise ValueError(f"accounting is {accounting!r}: give 'average' or 'marginal'")
        if factors not in ("lifecycle", "direct"):
            raise ValueError(f"factors is {factors!r}: give 'lifecycle' or 'direct'")
        self.accounting: Accounting = accounting
        self.factors: Factors = factors
        http = JsonClient("carbon aware sdk", base_url, timeout_s=timeout_s)
        source = f"carbon aware sdk at {urlsplit(http.base_url).netloc}"
        super().__init__(source, http, accounting, factors)

    def _now(self, zone: str, now_s: float) -> Iterator[Intensity]:
        return self._past(zone, now_s, now_s, now_s)

    def _past(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        # The point that start lies in began before it.
        answer: list[_Emissions] | None = self._http.get(
            "/emissions/bylocation",
            list[_Emissions] | None,
            asked=f"zone {zone!r}",
            params={"location": zone, "time": utc(start_s - _BACK_S), "toTime": utc(end_s)},
            remedies=_REMEDIES,
        )
        points = sorted(answer or (), key=lambda point: point.time)
        # Where the server does not say how long a value holds, it does until the next, or
        # an hour: no data source is coarser.
        step_s = _SHORTEST_S
        for index, point in enumerate(points):
            if index + 1 < len(points) and points[index + 1].time > point.time:
                step_s = min(points[index + 1].time - point.time, HOUR_S)
            yield self._point(zone, "actual", point.time, point.duration or step_s, point.rating)

    def _ahead(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        answer: list[_Forecast] | None = self._http.get(
            "/emissions/forecasts/current",
            list[_Forecast] | None,
            asked=f"forecast of zone {zone!r}",
            params={"location": zone},
            remedies=_REMEDIES,
        )
        for forecast in answer or ():
            if forecast.location.casefold() != zone.casefold():
                raise IntensityUnavailableError(
                    f"{self._source}: zone {zone!r} was asked for and "
                    f"{self._http.clean(forecast.location)!r} answered: check base_url"
                )
            for point in forecast.forecastData:
                holds_s = point.duration * _MINUTE_S or _SHORTEST_S
                yield self._point(zone, "forecast", point.timestamp, holds_s, point.value)

    def _point(
        self, zone: str, kind: Kind, from_s: float, holds_s: float, value: float
    ) -> Intensity:
        return Intensity(
            float(value),
            zone,
            self._source,
            kind,
            self.accounting,
            self.factors,
            float(from_s),
            from_s + holds_s,
        )
