from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.signal import Intensity, Signal
from carbonedge.carbon.intensity.trace import Trace

START = datetime(2022, 1, 1, tzinfo=UTC)
START_S = START.timestamp()
HOUR_S = 3600.0
NAN = math.nan


def trace(*values: float | None, step_s: float = HOUR_S, **more: object) -> Trace:
    return Trace({"DE": values}, start=START, step_s=step_s, **more)  # type: ignore[arg-type, dict-item]


def test_each_value_holds_from_its_time_to_the_next() -> None:
    signal: Signal = trace(100, 200, 300)
    assert signal.immediate
    assert signal.at("DE", START) == Intensity(
        100, "DE", "trace", "actual", "average", "lifecycle", START_S, START_S + HOUR_S
    )
    assert signal.at("DE", START_S + HOUR_S - 1e-6).g_per_kwh == 100
    assert signal.at("DE", START_S + HOUR_S).g_per_kwh == 200
    assert signal.at("DE", START_S + 3 * HOUR_S - 1e-6).g_per_kwh == 300


@given(
    start_s=st.integers(-(10**9), 4 * 10**9),
    step_s=st.integers(1, 10**5),
    slots=st.integers(1, 50),
    share=st.floats(0, 1, exclude_max=True),
    by_s=st.integers(-(10**9), 10**9),
)
def test_what_holds_at_a_time_is_valid_then_played_anew_or_not(
    start_s: int, step_s: int, slots: int, share: float, by_s: int
) -> None:
    once = Trace({"Z": range(slots)}, start=start_s, step_s=step_s)
    when_s = start_s + share * slots * step_s
    for signal, at_s in (
        (once, when_s),
        (once.replayed(start_s, at=start_s + by_s), when_s + by_s),
    ):
        if signal.series("Z").start_s <= at_s < signal.series("Z").stop_s:
            value = signal.at("Z", at_s)
            assert value.valid_from_s <= at_s < value.valid_until_s
            border = signal.at("Z", value.valid_from_s)
            assert border == value
            assert value.g_per_kwh == (value.valid_from_s - signal.series("Z").start_s) / step_s


def test_the_same_object_answers_each_time() -> None:
    signal = trace(100, 200)
    assert signal.at("DE", START) is signal.at("DE", START_S + 1)


def test_a_time_may_be_in_any_zone() -> None:
    there = datetime(2022, 1, 1, 3, 30, tzinfo=timezone(timedelta(hours=2)))
    assert trace(100, 200).at("DE", there).g_per_kwh == 200


def test_outside_its_time_the_range_is_named() -> None:
    signal = trace(100, 200, source="trace DE.csv")
    said = (
        "trace DE.csv knows 'DE' from 2022-01-01T00:00Z to 2022-01-01T02:00Z, not at "
        "2021-12-31T23:59:59Z: .*Trace.replayed"
    )
    with pytest.raises(IntensityUnavailableError, match=said):
        signal.at("DE", START_S - 1)
    with pytest.raises(IntensityUnavailableError, match="not at 2022-01-01T02:00Z"):
        signal.at("DE", START_S + 2 * HOUR_S)
    with pytest.raises(IntensityUnavailableError, match="s after 1970"):
        signal.at("DE", 1e300)
    with pytest.raises(IntensityUnavailableError, match="not at 20"):
        signal.at("DE")


def test_an_unknown_zone_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(IntensityUnavailableError, match="'FR' is not in trace, which knows DE"):
        trace(1).at("FR")
    with pytest.raises(IntensityUnavailableError, match="'FR' is not"):
        trace(1).forecast("FR", 0, 1)


def test_short_gaps_are_a_straight_line_and_called_estimated() -> None:
    signal = trace(100, None, NAN, NAN, 500, kind="forecast")
    values = signal.forecast("DE", START, START_S + 5 * HOUR_S)
    assert [value.g_per_kwh for value in values] == [100, 200, 300, 400, 500]
    assert [value.kind for value in values] == ["forecast", *["estimated"] * 3, "forecast"]


def test_a_longer_gap_is_an_error_that_tells_its_length_and_a_remedy() -> None:
    signal = trace(100, NAN, NAN, NAN, NAN, 500)
    said = (
        "no values for 'DE' for 4 h from 2022-01-01T01:00Z, and gaps are filled up to 3 h: .*"
        "Chain .*, or set max_gap_s to 14400"
    )
    for hour in (1, 2, 4.99):
        with pytest.raises(IntensityUnavailableError, match=said):
            signal.at("DE", START_S + hour * HOUR_S)
    assert signal.at("DE", START_S + 5 * HOUR_S).g_per_kwh == 500
    with pytest.raises(IntensityUnavailableError, match=said):
        signal.forecast("DE", START, START_S + 2 * HOUR_S)
    assert trace(100, NAN, NAN, NAN, NAN, 500, max_gap_s=14400).at("DE", START_S + HOUR_S)


def test_nothing_is_made_up_before_the_first_value_or_after_the_last() -> None:
    for signal, hour in ((trace(NAN, 100, 200), 0), (trace(100, 200, NAN), 2)):
        with pytest.raises(IntensityUnavailableError, match="where it begins or ends"):
            signal.at("DE", START_S + hour * HOUR_S)


def test_gaps_stay_gaps_where_none_may_be_filled() -> None:
    with pytest.raises(IntensityUnavailableError, match="filled up to 0 h"):
        trace(100, NAN, 200, max_gap_s=0).at("DE", START_S + HOUR_S)


def test_a_forecast_is_what_came_to_be() -> None:
    signal = trace(100, 200, 300)
    values = signal.forecast("DE", START_S + 0.5 * HOUR_S, START_S + 2 * HOUR_S)
    assert values == [signal.at("DE", START), signal.at("DE", START_S + HOUR_S)]
    assert signal.forecast("DE", START, START_S + 3 * HOUR_S)[-1].g_per_kwh == 300
    for start_s, end_s in ((START_S - 1, START_S + 1), (START_S, START_S + 3 * HOUR_S + 1)):
        with pytest.raises(IntensityUnavailableError, match="knows 'DE' from"):
            signal.forecast("DE", start_s, end_s)
    with pytest.raises(ValueError, match="not after"):
        signal.forecast("DE", START, START)


def test_a_trace_can_be_played_as_if_it_were_now() -> None:
    signal = trace(100, 200, 300).replayed(START_S + HOUR_S + 600)
    now_s = time.time()
    value = signal.at("DE")
    assert value.g_per_kwh == 200
    assert value.valid_from_s == pytest.approx(now_s - 600, abs=5)
    assert value.source.startswith("trace, replayed from 2022-01-01T01:10Z at 2")
    assert value.kind == "actual"


def test_a_replay_keeps_what_was_estimated_and_what_is_missing() -> None:
    signal = trace(100, NAN, 300, *[NAN] * 4, 400).replayed(START, at=0)
    assert signal.at("DE", HOUR_S).kind == "estimated"
    assert signal.at("DE", 2 * HOUR_S).kind == "actual"
    with pytest.raises(IntensityUnavailableError, match="for 4 h from 1970-01-01T03:00Z"):
        signal.at("DE", 4 * HOUR_S)


def test_a_replay_moves_all_zones_alike() -> None:
    signal = Trace({"A": [1, 2], "B": [3, 4]}, start=START, step_s=300).replayed(START, at=900.7)
    assert signal.at("A", 900.7).valid_from_s == signal.at("B", 900.7).valid_from_s == 900


def test_a_replay_starts_within_the_trace() -> None:
    for start_s in (START_S - 1, START_S + HOUR_S):
        with pytest.raises(ValueError, match="lasts from 2022-01-01T00:00Z to 2022-01-01T01:00Z"):
            trace(100).replayed(start_s)


def test_traces_of_several_zones_join() -> None:
    french = Trace({"FR": [50]}, start=START, step_s=60)
    both = Trace.joined([trace(100), french])
    assert both.zones == ("DE", "FR")
    assert both.at("FR", START).valid_until_s == START_S + 60
    with pytest.raises(ValueError, match="'DE' is given twice"):
        Trace.joined([trace(100), trace(200)])
    with pytest.raises(ValueError, match="no zone"):
        Trace.joined([])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([100, -1], "from 2022-01-01T01:00Z is -1: it must be finite and 0 or above"),
        ([math.inf], "is inf"),
        ([], "give a row"),
        ([[1, 2]], "give a row"),
    ],
)
def test_values_must_be_intensities(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trace({"DE": values}, start=START, step_s=HOUR_S)


def test_borders_are_whole_seconds() -> None:
    with pytest.raises(ValueError, match=r"step of a trace is 0.5 s: give whole seconds"):
        trace(1, step_s=0.5)
    with pytest.raises(ValueError, match="step_s is 0: it must be finite and above 0"):
        trace(1, step_s=0)
    with pytest.raises(ValueError, match=r"start of a trace is .* s: give whole seconds"):
        Trace({"DE": [1]}, start=0.25, step_s=1)
    with pytest.raises(ValueError, match="max_gap_s is -1: it must be finite and 0 or above"):
        trace(1, max_gap_s=-1)
    assert trace(1, *[NAN] * 100, 2, max_gap_s=math.inf).at("DE", START_S + HOUR_S)
    with pytest.raises(ValueError, match="kind is 'real'"):
        trace(1, kind="real")


def test_what_a_trace_was_made_of_may_change_later() -> None:
    values = np.array([100.0, 200.0])
    signal = Trace({"DE": values}, start=START, step_s=HOUR_S)
    values[:] = 0
    assert signal.at("DE", START).g_per_kwh == 100


def test_short_gaps_are_told_in_minutes() -> None:
    trace = Trace({"DE": [1, math.nan, 3]}, start=0, step_s=300, max_gap_s=60)
    with pytest.raises(IntensityUnavailableError, match=r"for 5 min from .* filled up to 1 min: "):
        trace.at("DE", 300)
