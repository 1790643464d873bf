"""What a carbon intensity costs: from memory on a request, from a file, over many slices."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from carbonedge.carbon.integration import integrate_g, operational_g
from carbonedge.carbon.intensity import Refresher, Signal, Static, Trace

GOAL_AT_US = 1.0
GOAL_LOAD_MS = 50.0
GOAL_INTEGRATE_MS = 100.0

HOURS = 365 * 24
SLICES = 1_000_000
START = datetime(2022, 1, 1, tzinfo=UTC)
START_S = START.timestamp()
CALLS = 20_000


def _values() -> list[float]:
    return [round(value, 2) for value in np.random.default_rng(0).uniform(50, 700, HOURS).tolist()]


def _signals() -> dict[str, Signal]:
    trace = Trace({"DE": _values()}, start=START, step_s=3600).replayed(START)
    refresher = Refresher(trace, ["DE"])
    refresher.refresh_now()
    return {"static": Static(380), "trace": trace, "refresher": refresher}


def _least_s(function: Callable[[], object], rounds: int) -> float:
    times_s = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        times_s.append(time.perf_counter() - began)
    return min(times_s)


def _ask(signal: Signal) -> None:
    at = signal.at
    for _ in range(CALLS):
        at("DE")


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hourly year in which a few hours are blank."""
    path = tmp_path_factory.mktemp("year") / "DE.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "g_per_kwh"])
        for hour, value in enumerate(_values()):
            when = START + timedelta(hours=hour)
            rows.writerow([when.isoformat(), "" if hour % 1000 == 999 else value])
    return path


def _by_hand(path: Path) -> dict[datetime, float | None]:
    """The least that has to be done: each row read, its time and its value understood."""
    with path.open(newline="") as file:
        return {
            datetime.fromisoformat(when): float(value) if value else None
            for when, value in list(csv.reader(file))[1:]
        }


@pytest.mark.benchmark(group="intensity from memory")
@pytest.mark.parametrize("name", ["static", "trace", "refresher"])
def bench_at(benchmark: BenchmarkFixture, name: str) -> None:
    value = benchmark(_signals()[name].at, "DE")
    assert value.zone == "DE"
    assert value.g_per_kwh == (380 if name == "static" else _values()[0])


@pytest.mark.benchmark(group="intensity from memory")
def bench_at_yardstick(benchmark: BenchmarkFixture) -> None:
    """A dictionary that knows nothing of time."""
    values = {"DE": 380.0}
    assert benchmark(values.__getitem__, "DE") == 380


@pytest.mark.parametrize("name", ["static", "trace", "refresher"])
def bench_at_goal(record_ratio: Callable[..., None], name: str) -> None:
    signal = _signals()[name]
    at_us = _least_s(lambda: _ask(signal), 9) / CALLS * 1e6
    record_ratio(f"intensity now, {name}, us", at_us, at_most=GOAL_AT_US)


@pytest.mark.benchmark(group="a year of hours from a file")
def bench_load(benchmark: BenchmarkFixture, year: Path) -> None:
    trace = benchmark(Trace.from_csv, year)
    assert trace.series("DE").g_per_kwh.size == HOURS
    assert trace.at("DE", START_S + 999 * 3600).kind == "estimated"


@pytest.mark.benchmark(group="a year of hours from a file")
def bench_load_yardstick(benchmark: BenchmarkFixture, year: Path) -> None:
    assert len(benchmark(_by_hand, year)) == HOURS


def bench_load_goal(record_ratio: Callable[..., None], year: Path) -> None:
    load_s = _least_s(lambda: Trace.from_csv(year), 9)
    record_ratio("a year of hourly trace: load, ms", load_s * 1e3, at_most=GOAL_LOAD_MS)
    record_ratio(
        "a year of hourly trace: load over reading it by hand",
        load_s / _least_s(lambda: _by_hand(year), 9),
    )


def _slices(longest_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    start_s = START_S + rng.uniform(0, HOURS * 3600 - longest_s, SLICES)
    return rng.uniform(0, 10, SLICES), start_s, start_s + rng.uniform(0, longest_s, SLICES)


def _one_by_one(values: list[float], slices: list[tuple[float, float, float]]) -> list[float]:
    """A plain loop over slices and hours, without any check."""
    grams = []
    for energy_j, start_s, stop_s in slices:
        weighted, from_s = 0.0, start_s - START_S
        stop_s -= START_S
        length_s = stop_s - from_s
        while from_s < stop_s:
            hour = int(from_s // 3600)
            until_s = min(stop_s, (hour + 1) * 3600.0)
            weighted += values[hour] * (until_s - from_s)
            from_s = until_s
        grams.append(energy_j * weighted / length_s / 3.6e6)
    return grams


@pytest.mark.parametrize(
    ("what", "longest_s"), [("up to a second", 1.0), ("up to two hours", 7200.0)]
)
def bench_integrate_goal(record_ratio: Callable[..., None], what: str, longest_s: float) -> None:
    values = _values()
    trace = Trace({"DE": values}, start=START, step_s=3600)
    energy_j, start_s, stop_s = _slices(longest_s)
    grams = integrate_g(trace, "DE", energy_j, start_s, stop_s)
    few = list(zip(energy_j[:20_000], start_s[:20_000], stop_s[:20_000], strict=True))
    few = [tuple(map(float, slice_)) for slice_ in few]
    np.testing.assert_allclose(grams[: len(few)], _one_by_one(values, few), rtol=1e-9)
    assert grams[0] == pytest.approx(operational_g(*few[0], trace, "DE"), rel=1e-12)

    took_s = _least_s(lambda: integrate_g(trace, "DE", energy_j, start_s, stop_s), 7)
    loop_s = _least_s(lambda: _one_by_one(values, few), 3) * SLICES / len(few)
    record_ratio(
        f"integrate a million slices of {what}, ms", took_s * 1e3, at_most=GOAL_INTEGRATE_MS
    )
    record_ratio(f"integrate slices of {what}: plain loop over integrate_g", loop_s / took_s)
