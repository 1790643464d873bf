from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals import Told

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.integration import integrate_g, operational_g
from carbonedge.carbon.intensity.signal import Intensity
from carbonedge.carbon.intensity.static import Static
from carbonedge.carbon.intensity.trace import Trace

KWH_J = 3.6e6
START_S = 1_640_995_200.0
HOUR_S = 3600


def trace(values: Sequence[float], step_s: int = HOUR_S, max_gap_s: float = 0) -> Trace:
    return Trace({"Z": values}, start=START_S, step_s=step_s, max_gap_s=max_gap_s)


def slowly(
    values: Sequence[float], step_s: int, energy_j: float, start_s: float, stop_s: float
) -> float:
    """Every slot in turn, in exact sums: the oracle."""
    parts = []
    for slot, value in enumerate(values):
        from_s, until_s = START_S + slot * step_s, START_S + (slot + 1) * step_s
        if start_s == stop_s:
            share = float(from_s <= start_s < until_s)
        else:
            share = max(0.0, min(until_s, stop_s) - max(from_s, start_s)) / (stop_s - start_s)
        if share:
            parts.append(energy_j * share * value / KWH_J)
    return math.fsum(parts)


def test_energy_within_one_slot_emits_its_intensity() -> None:
    assert operational_g(KWH_J, START_S + 1, START_S + 2, trace([100, 200]), "Z") == 100
    assert operational_g(KWH_J, START_S, START_S + 1, Static(380), "DE", pue=1.5) == 570


def test_energy_over_a_border_emits_by_the_time_in_each_slot() -> None:
    signal = trace([100, 200, 400])
    assert operational_g(KWH_J, START_S + 2700, START_S + 4500, signal, "Z") == 150
    assert operational_g(KWH_J, START_S, START_S + 3 * HOUR_S, signal, "Z") == pytest.approx(
        700 / 3, rel=1e-15
    )


def test_what_takes_no_time_emits_at_its_moment() -> None:
    signal = trace([100, 200])
    assert operational_g(KWH_J, START_S + HOUR_S, START_S + HOUR_S, signal, "Z") == 200
    assert integrate_g(signal, "Z", [KWH_J], [START_S + HOUR_S], [START_S + HOUR_S]) == 200


@given(
    values=st.lists(st.floats(0, 1000), min_size=1, max_size=40),
    step_s=st.sampled_from([1, 300, 3600]),
    slices=st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=10
    ),
)
def test_both_integrals_agree_with_the_plain_loop(
    values: list[float], step_s: int, slices: list[tuple[float, float, float]]
) -> None:
    signal = trace(values, step_s)
    # Just before the end, for there an instant is outside.
    length_s = len(values) * step_s - 1e-3
    energy_j = [energy for energy, _, _ in slices]
    start_s = [START_S + min(ends) * length_s for _, *ends in slices]
    stop_s = [START_S + max(ends) * length_s for _, *ends in slices]
    found = integrate_g(signal, "Z", energy_j, start_s, stop_s, pue=1.25)
    for slice_ in zip(found, energy_j, start_s, stop_s, strict=True):
        expected = 1.25 * slowly(values, step_s, *slice_[1:])
        assert slice_[0] == pytest.approx(expected, rel=1e-12, abs=1e-300)
        assert operational_g(*slice_[1:], signal, "Z", pue=1.25) == pytest.approx(
            expected, rel=1e-12, abs=1e-300
        )


def test_a_millisecond_within_a_year_is_exact() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(20, 700, 365 * 24)
    signal = trace(values)
    start_s = START_S + np.sort(rng.uniform(0, values.size * HOUR_S - 1, 2000))
    start_s[::2] = START_S + rng.integers(1, values.size, 1000) * HOUR_S - 5e-4
    energy_j = rng.uniform(0, 1, 2000)
    found = integrate_g(signal, "Z", energy_j, start_s, start_s + 1e-3)
    slot = ((start_s - START_S) // HOUR_S).astype(int)
    border_s = START_S + (slot + 1) * HOUR_S
    stop_s = start_s + 1e-3
    over = np.maximum(0, stop_s - border_s) / (stop_s - start_s)
    after = values[np.minimum(slot + 1, values.size - 1)]
    expected = energy_j * (values[slot] * (1 - over) + after * over) / KWH_J
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (over > 0).sum() >= 1000


def test_the_parts_of_a_stretch_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(20, 700, 365 * 24)
    borders_s = START_S + np.sort(rng.uniform(0, values.size * HOUR_S, 1001))
    lengths_s = np.diff(borders_s)
    parts = integrate_g(trace(values), "Z", lengths_s, borders_s[:-1], borders_s[1:])
    whole = integrate_g(trace(values), "Z", [lengths_s.sum()], borders_s[:1], borders_s[-1:])
    assert math.fsum(parts) == pytest.approx(whole[0], rel=1e-12)


def test_estimated_values_count_and_longer_gaps_are_an_error() -> None:
    values = [100, math.nan, 300, *[math.nan] * 4, 800, 900]
    signal = trace(values, max_gap_s=2 * HOUR_S)
    whole = (START_S, START_S + 3 * HOUR_S)
    assert integrate_g(signal, "Z", [KWH_J], [whole[0]], [whole[1]]) == 200
    for hours in ((2.5, 3.5), (2.5, 8), (6.9, 7.1), (4, 4), (0, 9)):
        ends = [START_S + hour * HOUR_S for hour in hours]
        with pytest.raises(IntensityUnavailableError, match=r"slice 1: .* for 4 h from .*T03:00Z"):
            integrate_g(signal, "Z", [1, 0], [whole[0], ends[0]], [whole[1], ends[1]])
        with pytest.raises(IntensityUnavailableError, match="for 4 h from"):
            operational_g(1, ends[0], ends[1], signal, "Z")
    assert integrate_g(signal, "Z", [KWH_J], [START_S + 7 * HOUR_S], [START_S + 9 * HOUR_S]) == 850


@pytest.mark.parametrize("hours", [(-0.1, 0.5), (1, 2.1), (2, 2), (-1, 5), (3, 4)])
def test_outside_the_trace_is_an_error(hours: tuple[float, float]) -> None:
    start_s, stop_s = (START_S + hour * HOUR_S for hour in hours)
    with pytest.raises(IntensityUnavailableError, match=r"slice 0: .* knows 'Z' from"):
        integrate_g(trace([1, 2]), "Z", [1], [start_s], [stop_s])
    with pytest.raises(IntensityUnavailableError, match="knows 'Z' from"):
        operational_g(1, start_s, stop_s, trace([1, 2]), "Z")


def test_a_signal_that_leaves_a_hole_is_caught() -> None:
    def value(from_s: float, until_s: float) -> Intensity:
        return Intensity(1, "Z", "live", "forecast", valid_from_s=from_s, valid_until_s=until_s)

    signal = Told()
    for values in (
        [value(10, 20), value(20, 30)],
        [value(0, 20), value(21, 30)],
        [value(0, 20), value(20, 29)],
    ):
        signal.forecasts = values
        with pytest.raises(IntensityUnavailableError, match="not known from 1970-01-01T00:00:"):
            operational_g(1, 5, 30, signal, "Z")


def test_no_slices_emit_nothing() -> None:
    assert integrate_g(trace([1]), "Z", [], [], []).shape == (0,)


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (([1], [START_S], [START_S, START_S]), r"shapes \(1,\), \(1,\) and \(2,\)"),
        ((1, START_S, START_S), "rows of one length"),
        (([math.nan], [START_S], [START_S]), "energy_j has a value that is not finite"),
        (([1], [START_S], [math.inf]), "stop_s has a value that is not finite"),
        (([-1], [START_S], [START_S]), "energy_j is -1 somewhere"),
        (([1, 1], [START_S, START_S + 1], [START_S + 1, START_S]), "slice 1 stops at .* before"),
    ],
)
def test_slices_are_checked(slices: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        integrate_g(trace([1, 2]), "Z", *slices)


def test_a_stretch_is_checked() -> None:
    with pytest.raises(ValueError, match=r"pue is 0.9"):
        integrate_g(trace([1]), "Z", [1], [START_S], [START_S], pue=0.9)
    with pytest.raises(ValueError, match=r"pue is 0.9"):
        operational_g(1, START_S, START_S, trace([1]), "Z", pue=0.9)
    with pytest.raises(ValueError, match="energy_j is -1"):
        operational_g(-1, START_S, START_S, trace([1]), "Z")
    with pytest.raises(ValueError, match="not after"):
        operational_g(1, START_S + 1, START_S, trace([1]), "Z")
    with pytest.raises(IntensityUnavailableError, match="'Y' is not in trace"):
        integrate_g(trace([1]), "Y", [1], [START_S], [START_S])
