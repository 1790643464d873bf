from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.signal import Intensity, Signal
from carbonedge.carbon.intensity.static import Static

NOW = datetime(2022, 6, 1, tzinfo=UTC)


def test_one_value_holds_for_every_zone_and_always() -> None:
    signal: Signal = Static(380)
    assert signal.immediate
    assert signal.at("DE") == Intensity(380, "DE", "given", "static")
    assert signal.at("FR", NOW).zone == "FR"
    assert signal.at("FR", 0) is signal.at("FR")
    assert signal.at("FR").valid_until_s == math.inf


def test_a_value_by_zone_carries_what_it_is() -> None:
    signal = Static({"DE": 380, "FR": 56}, accounting="marginal", factors="direct", source="me")
    assert signal.at("FR") == Intensity(56, "FR", "me", "static", "marginal", "direct")


def test_another_zone_is_unknown_and_those_known_are_named() -> None:
    with pytest.raises(IntensityUnavailableError, match=r"'PL' is not among .*given: DE, FR; add"):
        Static({"DE": 380, "FR": 56}).at("PL")
    with pytest.raises(IntensityUnavailableError, match="none"):
        Static({}).at("PL")


def test_its_forecast_is_the_value_itself() -> None:
    signal = Static(380)
    assert signal.forecast("DE", NOW, NOW.timestamp() + 1) == [signal.at("DE")]
    with pytest.raises(ValueError, match="not after the start 2022-06-01T00:00Z"):
        signal.forecast("DE", NOW, NOW)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_a_value_must_be_finite_and_not_negative(value: float) -> None:
    with pytest.raises(ValueError, match="the intensity is"):
        Static(value)
    with pytest.raises(ValueError, match="the intensity of 'DE' is"):
        Static({"DE": value})


def test_labels_must_be_known_ones() -> None:
    with pytest.raises(ValueError, match="accounting is 'mean': give any of average, marginal"):
        Static(1, accounting="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="factors is 'lca': give any of lifecycle, direct"):
        Static(1, factors="lca")  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_refused_though_it_would_not_matter() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Static(380).at("DE", datetime(2022, 6, 1))
