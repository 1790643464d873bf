from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from signals import Told

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.chain import Chain
from carbonedge.carbon.intensity.signal import Intensity, Signal
from carbonedge.carbon.intensity.static import Static
from carbonedge.carbon.intensity.trace import Trace

NOON_S = datetime(2022, 6, 1, 12, tzinfo=UTC).timestamp()
LIVE = Intensity(100, "DE", "live", "actual", valid_from_s=NOON_S - 3600, valid_until_s=NOON_S)


def test_the_first_source_that_answers_is_the_one() -> None:
    live, fallback = Told(LIVE), Static(400)
    chain: Signal = Chain([live, fallback])
    assert chain.at("DE", NOON_S) is LIVE
    assert chain.at("FR", NOON_S) is fallback.at("FR")


def test_an_answer_too_old_is_passed_over() -> None:
    chain = Chain([Told(replace(LIVE, age_s=601)), Static(400, source="fallback")], max_age_s=600)
    assert chain.at("DE", NOON_S).source == "fallback"
    fresher = replace(LIVE, age_s=600)
    assert Chain([Told(fresher)], max_age_s=600).at("DE", NOON_S) is fresher


def test_without_a_limit_any_age_will_do_and_is_told() -> None:
    assert Chain([Told(replace(LIVE, age_s=1e6)), Static(4)]).at("DE", NOON_S).age_s == 1e6


def test_where_all_fail_the_last_answer_serves_on_with_its_age() -> None:
    source = Told(LIVE)
    chain = Chain([source], max_age_s=600)
    assert chain.at("DE", NOON_S - 1).age_s == 0
    source.values.clear()
    assert chain.at("DE", NOON_S - 1) == LIVE
    assert chain.at("DE", NOON_S + 600) == replace(LIVE, age_s=600)
    with pytest.raises(IntensityUnavailableError, match="told nothing"):
        chain.at("DE", NOON_S + 601)
    with pytest.raises(IntensityUnavailableError, match="told nothing"):
        chain.at("DE", NOON_S - 3601)


def test_the_last_answer_is_the_latest_not_what_was_asked_for_last() -> None:
    source = Told(LIVE)
    chain = Chain([source])
    chain.at("DE", NOON_S)
    source.tell(replace(LIVE, g_per_kwh=1, valid_from_s=0, valid_until_s=3600))
    chain.at("DE", 0)
    source.values.clear()
    assert chain.at("DE", NOON_S) == LIVE


def test_a_value_of_the_future_does_not_serve_on_for_now() -> None:
    now_s = time.time()
    present = replace(LIVE, valid_from_s=now_s - 60, valid_until_s=now_s + 60)
    source = Told(present)
    chain = Chain([source])
    chain.at("DE")
    source.tell(replace(LIVE, kind="forecast", valid_from_s=now_s + 60, valid_until_s=now_s + 120))
    chain.at("DE", now_s + 90)
    source.values.clear()
    assert chain.at("DE", now_s) == present


def test_when_all_fail_each_says_why() -> None:
    chain = Chain([Told(replace(LIVE, age_s=700.4)), Static({"FR": 1}), Told()], max_age_s=600)
    with pytest.raises(IntensityUnavailableError) as error:
        chain.at("DE", NOON_S)
    said = str(error.value)
    assert "no source of the chain knows 'DE' at 2022-06-01T12:00Z; add one" in said
    assert "Told: live is 700 s old, and max_age_s is 600" in said
    assert "Static: zone 'DE' is not among those given: FR" in said
    assert "Told: told nothing" in said


def test_other_errors_are_not_swallowed() -> None:
    broken = Told()
    broken.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        Chain([broken, Static(1)]).at("DE")
    with pytest.raises(ValueError, match="no time zone"):
        Chain([Static(1)]).at("DE", datetime(2022, 1, 1))


def test_a_forecast_is_from_one_source_all_the_way() -> None:
    short = Trace({"DE": [1, 2]}, start=0, step_s=3600, source="short")
    long = Trace({"DE": [3, 4, 5]}, start=0, step_s=3600, source="long")
    chain = Chain([short, long])
    assert [value.source for value in chain.forecast("DE", 0, 7200)] == ["short"] * 2
    assert [value.source for value in chain.forecast("DE", 0, 7201)] == ["long"] * 3
    with pytest.raises(IntensityUnavailableError, match=r"from .*01T00:00Z to .*01T04:00Z.*short"):
        chain.forecast("DE", 0, 4 * 3600)
    with pytest.raises(ValueError, match="not after"):
        chain.forecast("DE", 1, 1)


def test_a_chain_gives_one_sort_of_intensity_unless_asked_for_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    marginal = Static({"US": 700}, accounting="marginal", source="watts")
    chain = Chain([marginal, Static({"US": 300, "DE": 400}, source="averages")])
    assert chain.at("US").source == "watts"
    with pytest.raises(IntensityUnavailableError, match=r"do not compare: .*'US' \(watts\)"):
        chain.at("DE")
    with pytest.raises(IntensityUnavailableError, match="do not compare"):
        chain.forecast("DE", 0, 1)
    assert caplog.text.count("a source of a chain is passed over: these intensities do not") == 1
    mixed = Chain([marginal, Static(400, source="averages")], mixed=True)
    assert mixed.at("US").accounting == "marginal"
    assert mixed.at("DE").accounting == "average"


def test_a_chain_is_immediate_if_all_of_it_is() -> None:
    assert Chain([Static(1), Chain([Static(2)])]).immediate
    assert not Chain([Static(1), Told()]).immediate


def test_a_chain_needs_a_source_and_a_limit_above_nought() -> None:
    with pytest.raises(ValueError, match="no signals"):
        Chain([])
    for limit in (0, -1, math.nan):
        with pytest.raises(ValueError, match="max_age_s"):
            Chain([Static(1)], max_age_s=limit)
