from __future__ import annotations

import math
from pathlib import Path

import made_up_grids
import numpy as np
import pytest
from made_up_grids import START_S

from carbonedge.carbon.intensity.series import Series
from carbonedge.experiments.replay import grid_of, read_grid

NAN = math.nan


def series(values: list[float], start_s: int = START_S, step_s: int = 3600) -> Series:
    return Series("Z", values, source="made up", start_s=start_s, step_s=step_s, max_gap_s=0)


def test_a_gap_is_known_as_the_last_value_and_counted_on_a_straight_line() -> None:
    grid = grid_of({"Z": series([NAN, 10, 20, NAN, NAN, NAN, 60, 70, NAN])})
    assert grid.known.tolist() == [[10, 10, 20, 20, 20, 20, 60, 70, 70]]
    assert grid.truth.tolist() == [[10, 10, 20, 30, 40, 50, 60, 70, 70]]
    assert grid.missing == (5,)
    assert (grid.start_s, grid.stop_s, grid.step_ms) == (START_S, START_S + 9 * 3600, 3.6e6)


def test_zones_share_the_time_and_the_step_that_divides_those_of_all() -> None:
    half_hours = series([1, 2, 3, 4, 5, 6], step_s=1800)
    hours = series([10, 20, 30], start_s=START_S + 3600)
    grid = grid_of({"A": half_hours, "B": hours})
    assert (grid.start_s, grid.step_s) == (START_S + 3600, 1800)
    assert grid.truth.tolist() == [[3, 4, 5, 6], [10, 10, 20, 20]]


def test_a_gap_is_filled_from_beyond_the_time_that_is_shared() -> None:
    grid = grid_of({"A": series([10, NAN, NAN, 40]), "B": series([1, 2, 3], START_S + 3600)})
    assert grid.known.tolist()[0] == [10, 10, 40]
    assert grid.truth.tolist()[0] == [20, 30, 40]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ({"A": series([1, 2]), "B": series([1], START_S + 7200)}, "share no time: A from 2022-01-"),
        ({"A": series([1, NAN]), "B": series([1], START_S + 3600)}, "'A' has no value from"),
        (
            {"A": series([1.0] * 1000), "B": series([1.0] * 1000, START_S + 1)},
            "have no more than 1 s in common",
        ),
    ],
)
def test_series_that_make_no_grid_are_refused(pieces: dict[str, Series], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_of(pieces)


@pytest.mark.parametrize("year", ["", "-2022", "_2022_hourly"])
def test_files_are_of_the_zone_that_they_are_named_after_up_to_a_year(
    tmp_path: Path, year: str
) -> None:
    values = {"US-X": np.array([1.0, NAN, 3.0]), "US-Y": np.array([4.0, 5.0, 6.0])}
    made_up_grids.write_traces(tmp_path, values, year)
    grid = read_grid(tmp_path, ("US-Y", "US-X"))
    assert grid.zones == ("US-Y", "US-X")
    assert grid.truth.tolist() == [[4, 5, 6], [1, 2, 3]]
    assert grid.known.tolist() == [[4, 5, 6], [1, 1, 3]]
    assert grid.missing == (0, 1)


def test_one_file_of_all_zones_will_do(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    rows = [f"2022-01-01T0{hour}:00Z,{zone},{hour}\n" for hour in range(3) for zone in "AB"]
    file.write_text("timestamp,zone,g_per_kwh\n" + "".join(rows))
    for path in (file, tmp_path):
        assert read_grid(path, ("B", "A")).truth.tolist() == [[0, 1, 2]] * 2


def rows(hours: range, value: float = 1.0) -> str:
    lines = (f"2022-01-01T{hour:02}:00Z,{value}\n" for hour in hours)
    return "timestamp,g_per_kwh\n" + "".join(lines)


def test_files_of_one_zone_follow_each_other_with_a_gap_between(tmp_path: Path) -> None:
    Path(tmp_path, "Z-2021.csv").write_text(rows(range(2), 1.0))
    Path(tmp_path, "Z-2022.csv").write_text(rows(range(3, 5), 3.0))
    grid = read_grid(tmp_path, ("Z",))
    assert grid.truth.tolist() == [[1, 1, 2, 3, 3]]
    assert grid.known.tolist() == [[1, 1, 1, 3, 3]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no .csv file: name a folder"),
        ({"A.csv": rows(range(3))}, "no trace of zone 'Z', but of A: add a file Z.csv"),
        (
            {"Z-2021.csv": rows(range(3)), "Z-2022.csv": rows(range(2, 5))},
            "trace Z-2021.csv and trace Z-2022.csv both have zone 'Z' at 2022-01-01T02:00Z",
        ),
        (
            {"Z-2021.csv": rows(range(3)), "Z-2022.csv": rows(range(4, 9, 2))},
            "are of zone 'Z' and differ in their steps",
        ),
        ({"Z.csv": "timestamp,g_per_kwh\nyesterday,1\n"}, "Z.csv: line 2: 'yesterday' is no time"),
    ],
)
def test_a_folder_without_what_is_needed_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        Path(tmp_path, name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_grid(tmp_path, ("Z",))
