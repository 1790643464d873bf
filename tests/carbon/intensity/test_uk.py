from __future__ import annotations

import re
import time

import pytest
from provider import Answer, Provider, Request, iso
from unseen import failing

from carbonedge.carbon.intensity import UkCarbonIntensity

SLOT_S = 1800


def uk(provider: Provider, **more: object) -> UkCarbonIntensity:
    return UkCarbonIntensity(base_url=provider.url, **{"timeout_s": 2.0, **more})


def slot_s(offset: int = 0) -> int:
    return int(time.time() // SLOT_S + offset) * SLOT_S


def minutes(time_s: float) -> str:
    return iso(time_s, "Z")


def slot(offset: int = 0, forecast: object = 266, **more: object) -> dict[str, object]:
    """A half hour, as the API gives it; of the whole with `actual`."""
    return {
        "from": minutes(slot_s(offset)),
        "to": minutes(slot_s(offset + 1)),
        "intensity": {"forecast": forecast, "index": "moderate", **more},
    }


def region(*slots: object, regionid: int = 13, **more: object) -> dict[str, object]:
    return {
        "regionid": regionid,
        "dnoregion": "UKPN London",
        "shortname": "London",
        "data": [{**slot, "generationmix": [{"fuel": "gas", "perc": 43.6}]} for slot in slots],
        **more,
    }


def test_the_whole_has_actual_values_where_they_are_known(provider: Provider) -> None:
    provider.say("/intensity", {"data": [slot(actual=263)]}, {"data": [slot(actual=None)]})
    signal = uk(provider)
    now = signal.at("GB")
    assert (now.g_per_kwh, now.kind, now.source) == (263, "actual", "uk carbon intensity")
    assert (now.accounting, now.factors) == ("average", "direct")
    assert (now.valid_from_s, now.valid_until_s) == (slot_s(), slot_s(1))
    assert (signal.at("GB").g_per_kwh, signal.at("GB").kind) == (266, "forecast")


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_region_may_come_in_a_list_or_by_itself(provider: Provider, wrapped: bool) -> None:
    body = region(slot())
    provider.say("/regional/regionid/13", {"data": [body] if wrapped else body})
    now = uk(provider).at("GB-13")
    assert (now.g_per_kwh, now.kind, now.zone) == (266, "forecast", "GB-13")


def test_a_postcode_is_asked_for_as_such(provider: Provider) -> None:
    provider.say("/regional/postcode/RG10", {"data": [region(slot(), postcode="RG10")]})
    assert uk(provider).at("GB-RG10").g_per_kwh == 266


def test_a_postcode_that_is_not_known_is_told(provider: Provider) -> None:
    provider.say("/regional/postcode/ZZ99", None)
    message = failing(lambda: uk(provider).at("GB-ZZ99"))
    assert "'GB-ZZ99' is not known" in message


@pytest.mark.parametrize("zone", ["DE", "GB-0", "GB-18", "GB-rg10", "GB-../x", "GB-13/fw", "gb"])
def test_a_zone_of_elsewhere_is_not_asked_for(provider: Provider, zone: str) -> None:
    assert "not one of its own" in failing(lambda: uk(provider).at(zone))
    assert not provider.requests


def test_a_past_half_hour_is_the_one_that_was_asked_for(provider: Provider) -> None:
    start, end = minutes(slot_s(-10)), minutes(slot_s(-9))
    # The API also gives the half hour that ends where the one asked for begins.
    provider.say(
        f"/intensity/{start}/{end}", {"data": [slot(-11, 1, actual=11), slot(-10, 2, actual=22)]}
    )
    assert uk(provider).at("GB", slot_s(-10)).g_per_kwh == 22


def test_the_future_is_48_hours_at_most(provider: Provider) -> None:
    slots = {"data": [slot(i, 100 + i, actual=None) for i in range(96)]}
    provider.say(f"/intensity/{minutes(slot_s())}/fw24h", slots)
    provider.say(f"/intensity/{minutes(slot_s())}/fw48h", slots)
    signal = uk(provider)
    assert len(signal.forecast("GB", time.time(), slot_s(48))) == 48
    assert len(signal.forecast("GB", time.time(), slot_s(96))) == 96
    assert [request.path[-5:] for request in provider.requests] == ["fw24h", "fw48h"]
    assert "end at 48 h" in failing(lambda: signal.forecast("GB", time.time(), slot_s(97)))


def test_a_regions_future_is_asked_for_by_region(provider: Provider) -> None:
    body = region(*(slot(i) for i in range(10)))
    provider.say(f"/regional/intensity/{minutes(slot_s(3))}/fw24h/regionid/13", {"data": body})
    assert uk(provider).at("GB-13", slot_s(3)).valid_from_s == slot_s(3)


def test_a_long_past_is_asked_for_in_parts(provider: Provider) -> None:
    parts = [(-1600, -928), (-928, -256), (-256, -200)]
    for first, last in parts:
        path = f"/intensity/{minutes(slot_s(first))}/{minutes(slot_s(last))}"
        provider.say(path, {"data": [slot(i, 1, actual=2) for i in range(first - 1, last + 1)]})
    points = uk(provider).forecast("GB", slot_s(-1600), slot_s(-200))
    assert [p.valid_from_s for p in points] == [slot_s(i) for i in range(-1600, -200)]
    assert len(provider.requests) == 3


def test_past_and_future_join(provider: Provider) -> None:
    def any_range(_: Request) -> Answer:
        return Answer({"data": [slot(i, 1, actual=2 if i < 0 else None) for i in range(-5, 9)]})

    now = minutes(slot_s())
    provider.say(f"/intensity/{minutes(slot_s(-3))}/{now}", any_range)
    provider.say(f"/intensity/{now}/fw24h", any_range)
    points = uk(provider).forecast("GB", slot_s(-3), slot_s(3))
    assert [point.kind for point in points] == ["actual"] * 3 + ["forecast"] * 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer({"error": {"code": "400 Bad Request", "message": "Bad from"}}, 400), "'Bad from'"),
        (Answer(b"null"), "not as documented"),
        ({"data": []}, "no value now"),
        ({"data": [slot(forecast=None)]}, "no value now"),
        ({"data": [slot(forecast="266")]}, "Expected a number"),
        ({"data": [{**slot(), "from": "12:00"}]}, "time with its time zone"),
        ({"data": [{**slot(), "to": minutes(slot_s(-1))}]}, "no value now"),
        ({"data": [{"intensity": {"forecast": 1}}]}, "missing required field"),
        ({"data": {"from": 1}}, "Expected `array`"),
    ],
)
def test_what_goes_wrong_is_told(provider: Provider, answer: object, told: str) -> None:
    provider.say("/intensity", answer)
    assert re.search(told, failing(lambda: uk(provider).at("GB")))


def test_another_region_than_asked_for_is_refused(provider: Provider) -> None:
    provider.say("/regional/regionid/13", {"data": [region(slot(), regionid=3)]})
    assert "another region" in failing(lambda: uk(provider).at("GB-13"))
    provider.say("/regional/postcode/RG10", {"data": [region(slot(), postcode="SW1")]})
    assert "another region" in failing(lambda: uk(provider).at("GB-RG10"))
