from __future__ import annotations

from pathlib import Path

import made_up_grids
import numpy as np
import pytest
from made_up_grids import START_S

from carbonedge.experiments.replay import Arrivals, arrivals_of_csv, synthetic_arrivals

FLEET = made_up_grids.fleet()
GRID = made_up_grids.grid({zone: np.full(24 * 60, 100.0) for zone in FLEET.zones})
ALL = (float(GRID.start_s), float(GRID.stop_s))
HOUR_MS = 3.6e6


def made(**more: object) -> Arrivals:
    return synthetic_arrivals(FLEET, GRID, ALL, **({"requests_per_hour": 50.0} | more))


def test_as_many_come_as_are_asked_for_from_each_zone_in_order() -> None:
    for pattern in ("flat", "daily"):
        arrivals = made(pattern=pattern)
        expected = 50 * 24 * 60
        assert abs(len(arrivals) - expected) < 5 * np.sqrt(expected)
        by_zone = np.bincount(arrivals.zone, minlength=4)
        assert (abs(by_zone - expected / 4) < 5 * np.sqrt(expected / 4)).all()
        assert (np.diff(arrivals.time_ms) >= 0).all()
        assert 0 <= arrivals.time_ms[0] < arrivals.time_ms[-1] < 24 * 60 * HOUR_MS
        assert (arrivals.work == 1.0).all()


def test_flat_arrivals_have_no_memory() -> None:
    gaps = np.diff(made().time_ms)
    assert gaps.mean() == pytest.approx(HOUR_MS / 50, rel=0.02)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)


def test_a_day_swings_with_the_local_hour_of_the_zone() -> None:
    arrivals = made(pattern="daily", requests_per_hour=400.0)
    for zone, offset_h in enumerate(FLEET.utc_offset_h):
        local_h = (arrivals.time_ms[arrivals.zone == zone] / HOUR_MS + offset_h) % 24
        by_hour = np.histogram(local_h, bins=24, range=(0, 24))[0] / 6000
        middles = np.arange(24) + 0.5
        np.testing.assert_allclose(
            by_hour, 1 + 0.8 * np.cos((middles - 15) / 24 * 2 * np.pi), atol=0.08
        )


def test_the_window_bounds_arrivals() -> None:
    arrivals = synthetic_arrivals(
        FLEET, GRID, (START_S + 7200, START_S + 10_800), requests_per_hour=300
    )
    assert (arrivals.time_ms >= 2 * HOUR_MS).all()
    assert (arrivals.time_ms < 3 * HOUR_MS).all()


def test_the_same_seed_gives_the_same_and_another_seed_others() -> None:
    first, again, other = made(work_spread=0.1), made(work_spread=0.1), made(seed=1)
    assert first.time_ms.tolist() == again.time_ms.tolist()
    assert first.work.tolist() == again.work.tolist()
    assert first.time_ms[0] != other.time_ms[0]
    # How unlike requests are changes nothing of when they come.
    assert first.time_ms.tolist() == made().time_ms.tolist()


def test_work_has_the_mean_1_and_the_spread_asked_for() -> None:
    work = made(work_spread=0.3).work
    assert work.mean() == pytest.approx(1.0, abs=0.01)
    assert np.log(work).std() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"requests_per_hour": -1.0}, "requests_per_hour is -1: it must be finite and above 0"),
        ({"requests_per_hour": float("nan")}, "requests_per_hour is nan"),
        ({"requests_per_hour": 1e9}, "are more than 20,000,000: take fewer"),
        ({"requests_per_hour": 1e-9}, "no request comes in that time"),
        ({"pattern": "weekly"}, "'weekly' is not known: give flat or daily"),
        ({"work_spread": -0.1}, "work_spread is -0.1"),
    ],
)
def test_arrivals_that_cannot_be_are_refused(more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**more)


def recorded(tmp_path: Path, text: str, window_s: tuple[float, float] = ALL) -> Arrivals:
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    return arrivals_of_csv(path, FLEET, GRID, window_s)


def test_a_row_is_a_request_at_its_time(tmp_path: Path) -> None:
    arrivals = recorded(
        tmp_path,
        "zone,timestamp\nWIND,2022-01-01T02:00:00.5Z\nSUN,2022-01-01T01:00Z\n"
        "SUN,2022-01-01T03:00+01:00\n",
    )
    assert arrivals.time_ms.tolist() == [HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS + 500]
    assert arrivals.zone.tolist() == [0, 0, 1]


def test_a_row_of_many_is_spread_until_the_zones_next(tmp_path: Path) -> None:
    arrivals = recorded(
        tmp_path,
        "timestamp,zone,count\n2022-01-01T01:00Z,SUN,500\n2022-01-01T01:00Z,WIND,0\n"
        "2022-01-01T02:00Z,SUN,0\n2022-01-01T03:00Z,SUN,200\n",
    )
    assert (arrivals.zone == 0).all()
    hours = np.floor(arrivals.time_ms / HOUR_MS)
    assert [(hours == hour).sum() for hour in range(5)] == [0, 500, 0, 200, 0]
    assert len(set(arrivals.time_ms.tolist())) == 700


def test_those_of_a_last_row_come_before_the_trace_ends(tmp_path: Path) -> None:
    arrivals = recorded(
        tmp_path, "timestamp,zone,count\n2022-02-20T00:00Z,SUN,100\n2022-02-28T00:00Z,SUN,100\n"
    )
    assert len(arrivals) == 200
    assert arrivals.time_ms[99] < 58 * 24 * HOUR_MS <= arrivals.time_ms[100]
    assert arrivals.time_ms[-1] < 60 * 24 * HOUR_MS


def test_of_a_row_of_many_those_in_the_window_come_as_they_would_without_one(
    tmp_path: Path,
) -> None:
    text = "timestamp,zone,count\n2022-01-01T00:00Z,SUN,500\n2022-01-02T00:00Z,SUN,0\n"
    everything = recorded(tmp_path, text).time_ms
    arrivals = recorded(tmp_path, text, (START_S + 7200.0, START_S + 4 * 3600.0))
    inside = (everything >= 2 * HOUR_MS) & (everything < 4 * HOUR_MS)
    assert 0 < len(arrivals) < 500
    assert arrivals.time_ms.tolist() == everything[inside].tolist()


def test_rows_outside_of_the_window_are_left_out(tmp_path: Path) -> None:
    text = "timestamp,zone\n" + "".join(f"2022-01-01T0{hour}:00Z,SUN\n" for hour in range(6))
    arrivals = recorded(tmp_path, text, (START_S + 7200.0, START_S + 4 * 3600.0))
    assert arrivals.time_ms.tolist() == [2 * HOUR_MS, 3 * HOUR_MS]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,zone\n", "there is no column 'timestamp': give timestamp, zone, count"),
        ("", "there is no column 'timestamp'"),
        ("timestamp,zone\n", "there are no rows"),
        ("timestamp,zone\n2022-01-01T01:00Z,MOON\n", "line 2: zone 'MOON' has no node: there are"),
        ("timestamp,zone\n2022-01-01T01:00Z\n", "line 2: zone '' has no node"),
        ("timestamp,zone\n2021-12-31T23:59Z,SUN\n", "2021-12-31T23:59Z is outside of the trace"),
        ("timestamp,zone\n2022-01-01T01:00,SUN\n", "'2022-01-01T01:00' has no time zone"),
        ("timestamp,zone\nnoon,SUN\n", "line 2: the time 'noon' cannot be read"),
        ("timestamp,zone,count\n2022-01-01T01:00Z,SUN,-3\n", "the count is '-3': give a whole"),
        ("timestamp,zone,count\n2022-01-01T01:00Z,SUN\n", "the count is ''"),
        ("timestamp,zone,count\n2022-01-01T01:00Z,SUN,999999999999\n", "more than 20,000,000"),
        (
            "timestamp,zone,count\n"
            + "".join(f"2022-01-01T01:00Z,{zone},15000000\n" for zone in ("SUN", "WIND")),
            "30,000,000 requests are more than 20,000,000",
        ),
        ("timestamp,zone,count\n2022-01-01T01:00Z,SUN,0\n", "no request comes in that time"),
    ],
)
def test_wrong_recorded_arrivals_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recorded(tmp_path, text)
