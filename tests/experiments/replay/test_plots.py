from __future__ import annotations

import dataclasses
from pathlib import Path

import made_up_grids
import pytest
from made_up_grids import START_S

from carbonedge.experiments.replay import Replay, replay, synthetic_arrivals
from carbonedge.experiments.replay.plots import (
    COLOURS,
    DASHES,
    MARKERS,
    hours_figure,
    latency_figure,
    months_figure,
    worth_figure,
)
from carbonedge.experiments.replay.policies import POLICIES
from carbonedge.experiments.report_plots import svg_text

HOURS = 24 * 100
NAMES = [*POLICIES, "oracle"]


@pytest.fixture(scope="module")
def found() -> Replay:
    fleet = made_up_grids.fleet(copies=2)
    grid = made_up_grids.grid(made_up_grids.intensities(HOURS))
    window_s = (float(START_S), float(grid.stop_s))
    arrivals = synthetic_arrivals(fleet, grid, window_s, requests_per_hour=1.0)
    return replay(fleet, grid, arrivals, window_s)


def test_every_policy_has_a_look_of_its_own() -> None:
    assert set(COLOURS) == set(MARKERS) == set(POLICIES)
    assert len(set(COLOURS.values())) == len(set(MARKERS.values())) == len(POLICIES)
    assert set(DASHES) < set(POLICIES)


def test_months_are_lines_of_their_emissions(found: Replay) -> None:
    (axes,) = months_figure(found).axes
    assert [line.get_label() for line in axes.lines] == NAMES
    for line, result in zip(axes.lines, (*found.policies, found.oracle), strict=True):
        assert sum(line.get_ydata()) == pytest.approx(result.emissions_g * 1e3)
    assert axes.get_ylabel() == "mgCO2eq per month"
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == ["2022-01", "2022-02", "2022-03", "2022-04"]


def test_a_single_month_is_a_point_and_many_are_not_all_named(found: Replay) -> None:
    def of(months: int) -> Replay:
        def cut(result: object) -> object:
            grams = (result.by_month_g * 30)[:months]  # type: ignore[attr-defined]
            return dataclasses.replace(result, by_month_g=grams)  # type: ignore[type-var]

        return dataclasses.replace(
            found,
            months=tuple(f"m{month}" for month in range(months)),
            policies=tuple(map(cut, found.policies)),  # type: ignore[arg-type]
            oracle=cut(found.oracle),  # type: ignore[arg-type]
        )

    (axes,) = months_figure(of(1)).axes
    assert all(line.get_marker() == "o" for line in axes.lines)
    (axes,) = months_figure(of(100)).axes
    assert len(axes.get_xticklabels()) <= 12


def test_hours_stand_above_the_intensities_of_zones(found: Replay) -> None:
    above, below = hours_figure(found).axes
    assert [len(line.get_xdata()) for line in above.lines] == [24] * len(NAMES)
    assert [line.get_label() for line in below.lines] == [zone.name for zone in found.zones]
    for line, zone in zip(below.lines, found.zones, strict=True):
        assert tuple(line.get_ydata()) == zone.by_hour_g_per_kwh
    assert below.get_xlabel() == "hour of the day, UTC"
    assert below.get_ylabel() == "intensity, gCO2eq/kWh"


def test_each_policy_stands_where_its_latency_and_emissions_are(found: Replay) -> None:
    (axes,) = latency_figure(found).axes
    points = {line.get_label(): line for line in axes.lines if len(line.get_xdata()) == 1}
    for result in (*found.policies, found.oracle):
        assert points[result.name].get_xdata()[0] == result.latency_median_ms
        assert points[result.name].get_ydata()[0] == pytest.approx(result.emissions_g * 1e3)
    assert axes.get_ylim()[0] == 0


def test_bars_are_what_moving_saves(found: Replay) -> None:
    (axes,) = worth_figure(found).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [pytest.approx(100 * worth.saving) for worth in found.worth]
    labels = [tick.get_text().split("\n")[0] for tick in axes.get_xticklabels()]
    assert labels == ["0 ms", "10 ms", "50 ms", "100 ms"]
    highest = max(max(worth.saving_by_zone.values()) for worth in found.worth)
    assert axes.get_ylim()[1] > 100 * highest


def test_the_same_replay_is_the_same_picture(found: Replay, tmp_path: Path) -> None:
    for figure in (months_figure, hours_figure, latency_figure, worth_figure):
        assert svg_text(figure(found), "name") == svg_text(figure(found), "name")
        figure(found).savefig(tmp_path / "plot.png")
