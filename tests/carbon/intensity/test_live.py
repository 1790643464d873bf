from __future__ import annotations

from collections.abc import Iterator

import pytest
from clock import Clock

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.http import JsonClient
from carbonedge.carbon.intensity.live import LiveSource
from carbonedge.carbon.intensity.signal import Intensity, Kind

HOUR_S = 3600.0


class Hourly(LiveSource):
    """Knows each hour up to the current one, and those after it as forecasts."""

    name = "hourly"

    def __init__(self, forecast_from_h: int = 0) -> None:
        super().__init__("the hourly", JsonClient("it", "http://127.0.0.1:1", timeout_s=1), "v1")
        self.forecast_from_h = forecast_from_h
        self.asked: list[str] = []

    def _hours(self, kind: Kind, first_s: float, end_s: float) -> Iterator[Intensity]:
        from_s = first_s // HOUR_S * HOUR_S
        while from_s < end_s:
            until_s = from_s + HOUR_S
            yield Intensity(1, "Z", "", kind, valid_from_s=from_s, valid_until_s=until_s)
            from_s = until_s

    def _now(self, zone: str, now_s: float) -> Iterator[Intensity]:
        self.asked.append("now")
        return self._hours("actual", now_s, now_s + 1)

    def _past(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        self.asked.append("past")
        assert start_s < end_s <= now_s
        return self._hours("actual", start_s, end_s)

    def _ahead(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterator[Intensity]:
        self.asked.append("ahead")
        assert end_s > now_s
        first_s = max(start_s, now_s) + self.forecast_from_h * HOUR_S
        return self._hours("forecast", first_s, end_s)


@pytest.fixture
def now_s(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> float:
    """Half an hour after an hour, to the source as to what it is built on."""
    monkeypatch.setattr("carbonedge.carbon.intensity.points.time", clock)
    clock.ahead_s = 1.5 * HOUR_S - clock.time() % HOUR_S
    return clock.time()


@pytest.mark.parametrize(
    ("from_h", "until_h", "asked", "kinds"),
    [
        (-3, -1, ["past"], ["actual"] * 3),
        (1, 3, ["ahead"], ["forecast"] * 3),
        (-0.4, 1, ["ahead"], ["forecast"] * 2),
        (-1, 1, ["ahead", "past"], ["actual"] * 2 + ["forecast"]),
    ],
)
def test_only_those_sides_of_now_are_asked_that_are_needed(
    now_s: float, from_h: float, until_h: float, asked: list[str], kinds: list[str]
) -> None:
    source = Hourly()
    values = source.forecast("Z", now_s + from_h * HOUR_S, now_s + until_h * HOUR_S)
    assert source.asked == asked
    assert [value.kind for value in values] == kinds


def test_where_forecasts_begin_later_the_past_has_the_current_hour(now_s: float) -> None:
    values = Hourly(forecast_from_h=1).forecast("Z", now_s, now_s + HOUR_S)
    assert [value.kind for value in values] == ["actual", "forecast"]
    with pytest.raises(IntensityUnavailableError, match=r"the hourly: zone 'Z': nothing is known"):
        Hourly(forecast_from_h=2).forecast("Z", now_s, now_s + 2 * HOUR_S)


def test_a_moment_is_told_from_its_side_of_now(now_s: float) -> None:
    source = Hourly()
    kinds = [source.at("Z", now_s + hours * HOUR_S).kind for hours in (0, -2, 2)]
    assert kinds == ["actual", "actual", "forecast"]
    assert source.asked == ["now", "past", "ahead"]


def test_it_is_told_apart_by_its_settings_and_address() -> None:
    assert repr(Hourly()) == "<Hourly: hourly v1 http://127.0.0.1:1>"
