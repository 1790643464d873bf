from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge.carbon.intensity import Intensity
from carbonedge.carbon.intensity.points import (
    covering,
    current,
    in_order,
    known_all_the_way,
    moment,
    touching,
    utc,
    window,
)
from carbonedge.exceptions import IntensityUnavailableError


def point(start_s: float, end_s: float, g_per_kwh: float = 1.0) -> Intensity:
    return Intensity(g_per_kwh, "Z", "it", "actual", valid_from_s=start_s, valid_until_s=end_s)


points = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda p: point(p[0], p[0] + p[1])),
    max_size=12,
)


@given(points)
def test_ordered_points_never_overlap_and_keep_each_beginning(given_points: list) -> None:
    ordered = in_order(given_points)
    assert [p.valid_from_s for p in ordered] == sorted({p.valid_from_s for p in given_points})
    for one, next_one in itertools.pairwise(ordered):
        assert one.valid_from_s < one.valid_until_s <= next_one.valid_from_s


@given(points, st.integers(0, 70), st.integers(1, 30))
def test_a_window_is_known_where_every_second_of_it_is(
    given_points: list, start_s: int, length_s: int
) -> None:
    ordered = in_order(given_points)
    end_s = start_s + length_s
    unknown = [
        s
        for s in range(start_s, end_s)
        if not any(p.valid_from_s <= s < p.valid_until_s for p in ordered)
    ]
    found, gap_s = touching(ordered, start_s, end_s)
    assert gap_s == (unknown[0] if unknown else None)
    if unknown:
        with pytest.raises(IntensityUnavailableError, match="nothing is known for"):
            known_all_the_way(ordered, start_s, end_s, "it", "Z")
    else:
        assert known_all_the_way(ordered, start_s, end_s, "it", "Z") == found
        assert all(p.valid_from_s < end_s and p.valid_until_s > start_s for p in found)


@given(points, st.integers(0, 70))
def test_the_point_at_a_time_holds_then(given_points: list, time_s: int) -> None:
    ordered = in_order(given_points)
    holding = [p for p in ordered if p.valid_from_s <= time_s < p.valid_until_s]
    if holding:
        assert covering(ordered, time_s, "it", "Z") == holding[0]
        assert current(ordered, time_s, "it", "Z") == holding[0]
    else:
        with pytest.raises(IntensityUnavailableError, match="'Z'"):
            covering(ordered, time_s, "it", "Z")


def test_of_two_that_begin_together_the_first_stays() -> None:
    assert [p.g_per_kwh for p in in_order([point(0, 5, 1.0), point(0, 9, 2.0)])] == [1.0]


def test_the_newest_point_before_now_is_current_with_its_age() -> None:
    now = current([point(0, 10), point(10, 20, 2.0)], 25.0, "it", "Z")
    assert (now.g_per_kwh, now.age_s) == (2.0, 5.0)


def test_a_window_is_in_order_in_seconds_and_a_year_at_most() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert window(start, start.timestamp() + 1) == (start.timestamp(), start.timestamp() + 1)
    with pytest.raises(ValueError, match="is not after the start"):
        window(start, start)
    with pytest.raises(ValueError, match="longer than 366 days"):
        window(start, start.timestamp() + 367 * 86400)
    with pytest.raises(ValueError, match="not milliseconds"):
        moment(time.time() * 1000)
    with pytest.raises(ValueError, match="has no time zone"):
        window(start.replace(tzinfo=None), start)


def test_times_are_written_in_utc() -> None:
    assert utc(1767225599.9) == "2025-12-31T23:59:59Z"
    assert utc(1767225600, "minutes") == "2026-01-01T00:00Z"
