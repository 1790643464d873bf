from __future__ import annotations

import re
import time

import pytest
from provider import Answer, Provider, hour, iso
from unseen import failing

from carbonedge.carbon.intensity import CarbonAwareSdk

BY_LOCATION = "/emissions/bylocation"
CURRENT = "/emissions/forecasts/current"


def sdk(provider: Provider) -> CarbonAwareSdk:
    return CarbonAwareSdk(provider.url, accounting="marginal", factors="direct", timeout_s=1.0)


def rating(time_s: float, value: object = 70, **more: object) -> dict[str, object]:
    return {"location": "eastus", "time": iso(time_s, ":11.5092741+00:00"), "rating": value, **more}


def forecast(*offsets: int, location: str = "eastus") -> dict[str, object]:
    points = [
        {"location": "PJM", "timestamp": iso(hour(o)), "duration": 60, "value": 500.25 + o}
        for o in offsets
    ]
    return {
        "requestedAt": iso(time.time()),
        "generatedAt": iso(time.time()),
        "location": location,
        "windowSize": 60,
        "optimalDataPoint": points[0],
        "forecastData": points,
    }


def test_the_newest_of_the_last_two_hours_is_now(provider: Provider) -> None:
    now_s = time.time()
    provider.say(BY_LOCATION, [rating(now_s - 900, 71), rating(now_s - 4500, 70)])
    now = sdk(provider).at("eastus")
    assert (now.g_per_kwh, now.kind, now.zone) == (71, "actual", "eastus")
    assert (now.accounting, now.factors) == ("marginal", "direct")
    assert now.source == f"carbon aware sdk at {provider.url.removeprefix('http://')}"
    # The server gave no duration: as long as from the value before.
    assert now.valid_until_s - now.valid_from_s == pytest.approx(3600, abs=60)
    params = provider.requests[0].params
    assert params["location"] == "eastus"
    assert params["time"] < params["toTime"]


def test_a_duration_is_kept(provider: Provider) -> None:
    provider.say(BY_LOCATION, [rating(hour(-30), 5, duration="00:05:00")])
    signal = sdk(provider)
    assert signal.at("eastus", hour(-30) + 200).g_per_kwh == 5
    assert "nothing is known" in failing(lambda: signal.at("eastus", hour(-30) + 400))


@pytest.mark.parametrize(
    ("text", "seconds"), [("01:00:00", 3600), ("1.00:00:00", 86400), ("00:30:00.0000000", 1800)]
)
def test_durations_are_read_as_dotnet_writes_them(
    provider: Provider, text: str, seconds: int
) -> None:
    provider.say(BY_LOCATION, [rating(time.time() - 100, duration=text)])
    now = sdk(provider).at("eastus")
    assert now.valid_until_s - now.valid_from_s == seconds


def test_the_future_is_the_current_forecast(provider: Provider) -> None:
    provider.say(CURRENT, [forecast(*range(24))])
    signal = sdk(provider)
    points = signal.forecast("eastus", time.time(), hour(6))
    assert [point.g_per_kwh for point in points] == [500.25 + o for o in range(6)]
    assert {point.kind for point in points} == {"forecast"}
    assert signal.at("eastus", hour(3)).g_per_kwh == 503.25
    assert provider.requests[0].params == {"location": "eastus"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(b"", 204), "no value now"),
        ([], "no value now"),
        (Answer({"title": "Bad", "detail": "Location not found: eastus"}, 400), "not found"),
        (Answer({"title": "NotImplemented"}, 501), "data source does not have this"),
        ([rating(0, "70")], "Expected a number"),
        ([rating(time.time(), 70, duration=300)], "Expected a duration"),
        ([rating(time.time(), 70, duration="soon")], "Expected a duration"),
        ({"rating": 70}, "Expected `array"),
    ],
)
def test_what_goes_wrong_is_told(provider: Provider, answer: object, told: str) -> None:
    provider.say(BY_LOCATION, answer)
    message = failing(lambda: sdk(provider).at("eastus"))
    assert "'eastus'" in message
    assert re.search(told, message)


@pytest.mark.parametrize("answer", [Answer(b"", 204), []])
def test_no_forecast_is_told(provider: Provider, answer: object) -> None:
    provider.say(CURRENT, answer)
    provider.say(BY_LOCATION, answer)
    assert "nothing is known" in failing(
        lambda: sdk(provider).forecast("eastus", time.time(), hour(3))
    )


def test_another_locations_forecast_is_refused(provider: Provider) -> None:
    provider.say(CURRENT, [forecast(*range(24), location="westus")])
    assert "'westus' answered" in failing(lambda: sdk(provider).at("eastus", hour(3)))


def test_what_its_data_source_gives_must_be_said() -> None:
    with pytest.raises(TypeError, match="accounting"):
        CarbonAwareSdk("http://sdk.local")
    with pytest.raises(ValueError, match="give 'average' or 'marginal'"):
        CarbonAwareSdk("http://sdk.local", accounting="both", factors="direct")
    with pytest.raises(ValueError, match="give 'lifecycle' or 'direct'"):
        CarbonAwareSdk("http://sdk.local", accounting="average", factors="both")
