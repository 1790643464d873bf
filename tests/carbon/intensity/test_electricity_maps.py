from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from provider import HOUR_S, Answer, Provider, Request, hour, iso
from unseen import KEY, failing, shown

from carbonedge.carbon.intensity import ElectricityMaps

LATEST = "/v4/carbon-intensity/latest"
HISTORY = "/v4/carbon-intensity/history"
RANGE = "/v4/carbon-intensity/past-range"
FORECAST = "/v4/carbon-intensity/forecast"


def maps(provider: Provider, **more: object) -> ElectricityMaps:
    return ElectricityMaps(KEY, base_url=provider.url, **{"timeout_s": 2.0, **more})


def value(offset: int = 0, g_per_kwh: object = 216, **more: object) -> dict[str, object]:
    """One hour's value, as the API gives it."""
    return {
        "zone": "DE",
        "carbonIntensity": g_per_kwh,
        "datetime": iso(hour(offset), ":00.000Z"),
        "updatedAt": iso(hour(offset)),
        "createdAt": iso(hour(-72)),
        "emissionFactorType": "lifecycle",
        "isEstimated": False,
        "estimationMethod": None,
        **more,
    }


def ahead(*offsets: int) -> dict[str, object]:
    points = [{"carbonIntensity": 100 + o, "datetime": iso(hour(o))} for o in offsets]
    return {"zone": "DE", "updatedAt": iso(hour()), "forecast": points}


def history(*offsets: int) -> dict[str, object]:
    return {"zone": "DE", "history": [value(o, 100 + o) for o in offsets]}


def test_the_latest_value_says_where_it_is_from(provider: Provider) -> None:
    provider.say(LATEST, value(g_per_kwh=216.5))
    now = maps(provider).at("DE")
    assert (now.g_per_kwh, now.zone, now.source) == (216.5, "DE", "electricitymaps v4")
    assert (now.kind, now.accounting, now.factors) == ("actual", "average", "lifecycle")
    assert (now.valid_from_s, now.valid_until_s, now.age_s) == (hour(), hour(1), 0)
    (request,) = provider.requests
    assert request.headers["auth-token"] == KEY
    assert request.params == {
        "zone": "DE",
        "disableCallerLookup": "true",
        "emissionFactorType": "lifecycle",
    }


def test_v3_and_direct_factors_by_option(provider: Provider) -> None:
    provider.say("/v3/carbon-intensity/latest", value(emissionFactorType="direct"))
    signal = maps(provider, version="v3", factors="direct")
    assert signal.at("DE").source == "electricitymaps v3"
    assert signal.at("DE").factors == signal.factors == "direct"
    assert provider.requests[0].params["emissionFactorType"] == "direct"


def test_what_is_estimated_says_so(provider: Provider) -> None:
    provider.say(LATEST, value(isEstimated=True, estimationMethod="TIME_SLICER_AVERAGE"))
    assert maps(provider).at("DE").kind == "estimated"


def test_a_latest_value_of_hours_ago_has_its_age(provider: Provider) -> None:
    provider.say(LATEST, value(-3))
    now = maps(provider).at("DE")
    assert now.valid_until_s == hour(-2)
    assert now.age_s == pytest.approx(time.time() - hour(-2), abs=60)


@pytest.mark.parametrize(("granularity", "period_s"), [("5_minutes", 300), ("15_minutes", 900)])
def test_a_finer_granularity_holds_for_less(
    provider: Provider, granularity: str, period_s: int
) -> None:
    provider.say(LATEST, value(temporalGranularity=granularity))
    now = maps(provider).at("DE")
    assert now.valid_until_s - now.valid_from_s == period_s


def test_the_past_day_is_the_history(provider: Provider) -> None:
    provider.say(HISTORY, history(*range(-24, 1)))
    then = maps(provider).at("DE", hour(-5) + 1800)
    assert (then.g_per_kwh, then.kind, then.valid_from_s) == (95, "actual", hour(-5))
    assert [request.path for request in provider.requests] == [HISTORY]


def test_what_is_older_is_a_range_of_whole_hours(provider: Provider) -> None:
    provider.say(RANGE, {"zone": "DE", "temporalGranularity": "hourly", "data": [value(-100, 42)]})
    assert maps(provider).at("DE", hour(-100) + 59).g_per_kwh == 42
    params = provider.requests[0].params
    assert (params["start"], params["end"]) == (iso(hour(-100)), iso(hour(-99)))


def test_a_long_range_is_asked_for_in_parts(provider: Provider) -> None:
    def part(request: Request) -> Answer:
        offsets = range(-600, -100)
        wanted = [o for o in offsets if request.params["start"] <= iso(hour(o))]
        wanted = [o for o in wanted if iso(hour(o)) < request.params["end"]]
        assert len(wanted) <= 240
        return Answer({"zone": "DE", "data": [value(o, 1000 + o) for o in wanted]})

    provider.say(RANGE, part)
    points = maps(provider).forecast("DE", hour(-600), hour(-100))
    assert [point.g_per_kwh for point in points] == [1000 + o for o in range(-600, -100)]
    assert len(provider.requests) == 3


@pytest.mark.parametrize(("hours", "horizon"), [(5, "6"), (20, "24"), (30, "48"), (70, "72")])
def test_a_forecast_asks_for_the_horizon_it_needs(
    provider: Provider, hours: int, horizon: str
) -> None:
    provider.say(FORECAST, ahead(*range(73)))
    points = maps(provider).forecast("DE", time.time(), hour(hours))
    assert [point.g_per_kwh for point in points] == [100 + o for o in range(hours)]
    assert {point.kind for point in points} == {"forecast"}
    assert points[0].valid_from_s == hour()
    assert [request.params["horizonHours"] for request in provider.requests] == [horizon]


def test_a_day_from_now_needs_more_than_a_days_forecast(provider: Provider) -> None:
    provider.say(FORECAST, lambda r: Answer(ahead(*range(int(r.params["horizonHours"])))))
    now_s = time.time()
    points = maps(provider).forecast("DE", now_s, now_s + 24 * HOUR_S)
    assert points[-1].valid_until_s >= now_s + 24 * HOUR_S


def test_a_forecast_that_begins_in_the_past_begins_with_the_history(provider: Provider) -> None:
    provider.say(FORECAST, ahead(*range(1, 24)))
    provider.say(HISTORY, history(*range(-24, 1)))
    points = maps(provider).forecast("DE", hour(-2), hour(3))
    assert [point.kind for point in points] == ["actual"] * 3 + ["forecast"] * 2
    assert [point.valid_from_s for point in points] == [hour(o) for o in range(-2, 3)]


def test_a_time_ahead_is_the_forecasts(provider: Provider) -> None:
    provider.say(FORECAST, ahead(*range(24)))
    then = maps(provider).at("DE", hour(4) + 10)
    assert (then.g_per_kwh, then.kind) == (104, "forecast")


def test_a_forecast_with_a_gap_is_none(provider: Provider) -> None:
    provider.say(FORECAST, ahead(0, 1, 3, 4))
    message = failing(lambda: maps(provider).forecast("DE", time.time(), hour(4)))
    assert f"nothing is known for {iso(hour(2))}" in message


def test_a_forecast_too_far_ahead_is_not_asked_for(provider: Provider) -> None:
    message = failing(lambda: maps(provider).forecast("DE", time.time(), time.time() + 80 * HOUR_S))
    assert "end at 72 h" in message
    assert not provider.requests


def test_values_that_are_not_known_yet_are_passed_over(provider: Provider) -> None:
    provider.say(LATEST, value(g_per_kwh=None))
    assert "no value now" in failing(lambda: maps(provider).at("DE"))
    provider.say(HISTORY, {"zone": "DE", "history": [value(-5, None), value(-4, 7)]})
    assert maps(provider).at("DE", hour(-4)).g_per_kwh == 7
    assert "nothing is known" in failing(lambda: maps(provider).at("DE", hour(-5)))


def test_another_zones_forecast_or_history_is_refused(provider: Provider) -> None:
    provider.say(FORECAST, {**ahead(0, 1), "zone": "US"})
    assert "'US' answered" in failing(lambda: maps(provider).at("DE", hour(1)))
    provider.say(HISTORY, {**history(-3), "zone": "US"})
    assert "'US' answered" in failing(lambda: maps(provider).at("DE", hour(-3)))


def test_the_free_plans_limits_are_told(provider: Provider) -> None:
    provider.say(FORECAST, Answer({"error": "No access"}, 403))
    message = failing(lambda: maps(provider).forecast("DE", time.time(), hour(4)))
    assert "No access" in message
    assert "single zone" in message
    assert "no forecast" in message


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer({"error": "Invalid auth-token"}, 401), "check ELECTRICITY_MAPS_API_KEY"),
        (Answer({"error": f"Invalid auth-token {KEY}"}, 401), r"Invalid auth-token \[key\]"),
        (Answer({"message": "No data for zone"}, 404), "check the zone's name"),
        (Answer({"error": "slow down"}, 429, {"retry-after": "600"}), "come back in 600 s"),
        (Answer(b"<html>", 500), "HTTP 500: check the network"),
        (Answer(b"<html>"), "not as documented"),
        (value(zone="US"), "'DE' was asked for and 'US' answered"),
        (value(zone=KEY), r"'\[key\]' answered"),
        (value(emissionFactorType="direct"), "'lifecycle' was asked for and 'direct' answered"),
        (value(temporalGranularity="monthly"), "periods of 'monthly'"),
        (value(g_per_kwh="216"), r"Expected a number - at `\$.carbonIntensity`"),
        (value(g_per_kwh=True), "Expected a number"),
        (value(g_per_kwh=-1), "between 0 and"),
        (value(g_per_kwh=1e30), "between 0 and"),
        (value(g_per_kwh=float("nan")), "malformed"),
        (value(datetime="2026-01-01T00:00:00"), "time with its time zone"),
        (value(datetime=12), "time with its time zone"),
        (value(datetime=f"{KEY}"), "time with its time zone"),
        (value(5), "check this machine's clock"),
        ({"zone": "DE"}, "missing required field"),
        ([], "Expected `object`"),
    ],
)
def test_what_goes_wrong_is_told_without_the_key(
    provider: Provider, answer: object, told: str
) -> None:
    provider.say(LATEST, answer)
    echoed = KEY in repr(answer)
    message = failing(lambda: maps(provider, timeout_s=0.5).at("DE"), echoed=echoed)
    assert message.startswith("electricitymaps v4: ")
    assert "'DE'" in message
    assert re.search(told, message)


def test_the_key_comes_from_the_environment_or_a_file(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    provider.say(LATEST, value())
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    ElectricityMaps(key_file=file, base_url=provider.url).at("DE")
    monkeypatch.setenv("ELECTRICITY_MAPS_API_KEY", KEY)
    ElectricityMaps(base_url=provider.url).at("DE")
    assert [request.headers["auth-token"] for request in provider.requests] == [KEY, KEY]


def test_without_a_key_it_says_where_to_get_one() -> None:
    message = failing(ElectricityMaps)
    assert "ELECTRICITY_MAPS_API_KEY" in message
    assert "portal.electricitymaps.com" in message


def test_neither_repr_nor_identity_shows_the_key(provider: Provider) -> None:
    signal = maps(provider)
    assert not shown(f"{signal!r} {signal.identity} {signal.name} {vars(signal)}")
    assert provider.url in repr(signal)
    assert not signal.immediate


@pytest.mark.parametrize("wrong", [{"version": "v2"}, {"factors": "average"}])
def test_an_option_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give '"):
        ElectricityMaps(KEY, **wrong)


def test_a_closed_signal_says_so(provider: Provider) -> None:
    signal = maps(provider)
    signal.close()
    assert "was closed" in failing(lambda: signal.at("DE"))
