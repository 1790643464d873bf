"""WattTime: marginal and average intensity of grid regions, from its API v3."""

from __future__ import annotations

import base64
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from carbonedge.carbon.intensity.http import JsonClient, RefusedError
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
from carbonedge.units import KG_PER_LB

__all__ = ["WattTime"]

_ACCOUNTING: dict[str, Accounting] = {"co2_moer": "marginal", "co2_aoer": "average"}
# A token holds for 30 minutes.
_RENEW_AFTER_S = 25 * 60.0
_PAUSE_S = 60.0
_HORIZON_H = 72
_PERIOD_S = 300.0
_RANGE_S = 30 * DAY_S
_WHERE = "an account is had by the API's /register, see https://docs.watttime.org"
_REMEDIES = {
    400: "check the region's name: /v3/my-access lists what the account may ask",
    401: "the account may not ask this: the free plan has region CAISO_NORTH alone",
    403: "the account may not ask this: the free plan has region CAISO_NORTH alone",
    404: "check the region's name: /v3/my-access lists what the account may ask",
}
_LOGIN_REMEDIES = {
    401: "check WATTTIME_USERNAME and WATTTIME_PASSWORD",
    403: "check WATTTIME_USERNAME and WATTTIME_PASSWORD",
}


@dataclass(frozen=True, slots=True)
class _Login:
    token: str


@dataclass(frozen=True, slots=True)
class _Meta:
    region: str
    signal_type: str
    units: str
    data_point_period_seconds: float = _PERIOD_S


@dataclass(frozen=True, slots=True)
class _Point:
    point_time: Moment
    value: Amount
    imputed_data_used: bool | None = None


@dataclass(frozen=True, slots=True)
class _Series:
    data: list[_Point]
    meta: _Meta


@dataclass(slots=True)
class _Token:
    header: Secret
    made_s: float
    accepted: bool = False

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.made_s


class WattTime(LiveSource):
    """Intensity of a WattTime region, such as ``"CAISO_NORTH"``, by direct factors.

    Values come in pounds of CO2 per MWh every five minutes and are converted exactly. Now and
    the future, 72 hours ahead at most, are forecasts, the past is of kind ``"actual"``, or ``"estimated"`` where data
    were imputed. The free plan has region CAISO_NORTH alone; for others it gives only a
    percentile, which is no intensity and is refused.

    Parameters
    ----------
    username, password, password_file
        Of the account; else environment variables ``WATTTIME_USERNAME`` and
        ``WATTTIME_PASSWORD``.
    signal_type
        ``"co2_moer"``, of what one more kWh takes, or ``"co2_aoer"``, of all that is generated.
    base_url
        Where the API is.
    timeout_s
        Of each wait for it; a call ends after about three times that for each request it
        takes.

    Raises
    ------
    IntensityUnavailableError
        If username or password is missing, or the extra ``live`` is not installed.
    ValueError
        If an argument is not one of those named here.
    """

    name = "watttime"
    factors: Factors = "direct"

    def __init__(
        self,
        username: str | Secret | None = None,
        password: str | Secret | None = None,
        *,
        password_file: str | os.PathLike[str] | None = None,
        signal_type: Literal["co2_moer", "co2_aoer"] = "co2_moer",
        base_url: str = "https://api.watttime.org",
        timeout_s: float = 10.0,
    ) -> None:
        if signal_type not in _ACCOUNTING:
            raise ValueError(
                f"signal_type is {signal_type!r}, which is no carbon intensity: give 'co2_moer' "
                "or 'co2_aoer'"
            )
        self.signal_type = signal_type
        self.accounting = _ACCOUNTING[signal_type]
        user = find_secret(
            username, what="WattTime username", variable="WATTTIME_USERNAME", where=_WHERE
        )
        word = find_secret(
            password,
            what="WattTime password",
            variable="WATTTIME_PASSWORD",
            where=_WHERE,
            file=password_file,
        )
        self._credentials = _basic(user, word)
        source = f"watttime v3 {signal_type}"
        secrets = [user, word, self._credentials]
        http = JsonClient(source, base_url, timeout_s=timeout_s, secrets=secrets)
        super().__init__(source, http, "v3", signal_type)
        self._login_lock = threading.Lock()
        self._token: _Token | None = None
        self._refused_s = -math.inf

    def _now(self, zone: str, now_s: float) -> Iterator[Intensity]:
        return self._forecast(zone, 0)

    def _ahead(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        not_too_far(end_s, now_s, _HORIZON_H, self._source, zone)
        # Counted from the current point's beginning, where forecasts begin.
        hours = math.ceil((end_s - now_s // _PERIOD_S * _PERIOD_S) / HOUR_S)
        return self._forecast(zone, min(hours, _HORIZON_H))

    def _forecast(self, zone: str, hours: int) -> Iterator[Intensity]:
        answer = self._get("forecast", zone, horizon_hours=str(hours))
        return self._points(answer, zone, "forecast")

    def _past(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        # The point that start lies in began before it. Ends are inclusive: what two ranges
        # share comes twice, and in_order keeps one.
        from_s = start_s - HOUR_S
        while from_s < end_s:
            to_s = min(from_s + _RANGE_S, end_s)
            answer = self._get(
                "historical",
                zone,
                start=utc(from_s),
                end=utc(to_s),
                include_imputed_marker="true",
            )
            yield from self._points(answer, zone, None)
            from_s = to_s

    def _get(self, what: str, zone: str, **params: str) -> _Series:
        token = self._valid_token()
        try:
            answer = self._ask(token, what, zone, params)
        except RefusedError as error:
            # A token that was just made and never accepted: another would do no better.
            worn = token.accepted or token.age_s > _PAUSE_S
            if error.status not in (401, 403) or not worn:
                raise
            answer = None
        if answer is None:
            token = self._valid_token(instead_of=token)
            answer = self._ask(token, what, zone, params)
        token.accepted = True
        self._check(answer.meta, zone, token)
        return answer

    def _check(self, meta: _Meta, zone: str, token: _Token) -> None:
        """That the answer is to what was asked, and in a unit of intensity."""
        for what, asked, answered in (
            ("region", zone, meta.region),
            ("signal_type", self.signal_type, meta.signal_type),
        ):
            if answered != asked:
                raise IntensityUnavailableError(
                    f"{self._source}: zone {zone!r}: {what} {asked!r} was asked for and "
                    f"{self._http.clean(answered, token.header)!r} answered: check the "
                    "region's name"
                )
        if meta.units != "lbs_co2_per_mwh":
            units = self._http.clean(meta.units, token.header)
            raise IntensityUnavailableError(
                f"{self._source}: zone {zone!r}: values are in {units!r}, which is no carbon "
                "intensity: the account must include lbs_co2_per_mwh"
            )
        if not 0 < meta.data_point_period_seconds <= DAY_S:
            raise IntensityUnavailableError(
                f"{self._source}: zone {zone!r}: values are for "
                f"{meta.data_point_period_seconds:g} s each: check base_url"
            )

    def _ask(self, token: _Token, what: str, zone: str, params: dict[str, str]) -> _Series:
        answer: Any = self._http.get(
            f"/v3/{what}",
            _Series,
            asked=f"{what} of zone {zone!r}",
            params={"region": zone, "signal_type": self.signal_type, **params},
            headers={"authorization": token.header},
            remedies=_REMEDIES,
        )
        series: _Series = answer
        return series

    def _valid_token(self, instead_of: _Token | None = None) -> _Token:
        """A token that should hold; of many threads one logs in."""
        with self._login_lock:
            token = self._token
            if token is None or token is instead_of or token.age_s > _RENEW_AFTER_S:
                token = self._token = self._login()
            return token

    def _login(self) -> _Token:
        since_s = time.monotonic() - self._refused_s
        if since_s < _PAUSE_S:
            raise IntensityUnavailableError(
                f"{self._source}: login was refused {since_s:.0f} s ago and is not tried again "
                f"within {_PAUSE_S:g} s: {_LOGIN_REMEDIES[401]}"
            )
        try:
            token = Secret(
                self._http.get(
                    "/login",
                    _Login,
                    asked="login",
                    headers={"authorization": self._credentials},
                    remedies=_LOGIN_REMEDIES,
                ).token
            )
        except RefusedError as error:
            if error.status in (401, 403):
                self._refused_s = time.monotonic()
            raise
        if not _is_token(token):
            raise IntensityUnavailableError(
                f"{self._source}: login gave a token that is none: check base_url"
            )
        return _Token(Secret(f"Bearer {token.reveal()}"), time.monotonic())

    def _points(self, answer: _Series, zone: str, kind: Kind | None) -> Iterator[Intensity]:
        for point in answer.data:
            yield Intensity(
                # Kilograms per MWh are grams per kWh.
                point.value * KG_PER_LB,
                zone,
                self._source,
                kind or ("estimated" if point.imputed_data_used else "actual"),
                self.accounting,
                self.factors,
                float(point.point_time),
                point.point_time + answer.meta.data_point_period_seconds,
            )


def _basic(user: Secret, word: Secret) -> Secret:
    pair = f"{user.reveal()}:{word.reveal()}".encode()
    return Secret("Basic " + base64.b64encode(pair).decode())


def _is_token(secret: Secret) -> bool:
    text = secret.reveal()
    return text != "" and text.isascii() and text.isprintable() and " " not in text
