from __future__ import annotations

import csv
import logging
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge.carbon.energy import Counter, ReplayMeter, record


class Clock:
    """Time that a test sets."""

    def __init__(self, now_s: float = 1e6) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@st.composite
def series(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    steps = draw(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=8))
    rises = draw(st.lists(st.floats(0, 1e6), min_size=len(steps) + 1, max_size=len(steps) + 1))
    times_s = np.cumsum([draw(st.floats(-1e4, 1e4)), *steps])
    return times_s.tolist(), np.cumsum(rises).tolist()


def test_joules_are_linear_between_the_rows_and_counted_from_the_first() -> None:
    clock = Clock()
    meter = ReplayMeter([10, 12, 13], [100, 104, 114], clock=clock)
    assert (meter.name, meter.method) == ("replay", "emulated")
    assert [counter.component for counter in meter.counters] == ["machine"]
    read = []
    for passed_s in (0, 1, 2, 2.5):
        clock.now_s = 1e6 + passed_s
        read.append(meter.read_j())
    assert read == [(0,), (2,), (4,), (9,)]


@given(series(), st.lists(st.floats(0, 1e5), min_size=2, max_size=20))
def test_joules_are_numpys_interpolation_and_never_fall(
    recorded: tuple[list[float], list[float]], passed_s: list[float]
) -> None:
    times_s, energy_j = recorded
    clock = Clock(0.0)
    meter = ReplayMeter(times_s, energy_j, clock=clock)
    read = []
    between = [time_s - times_s[0] for time_s in times_s]
    for clock.now_s in sorted([*passed_s, *between, *np.nextafter(between, -math.inf)]):
        if clock.now_s >= 0:
            (joules,) = meter.read_j()
            read.append(joules)
            expected = np.interp(times_s[0] + clock.now_s, times_s, energy_j) - energy_j[0]
            assert joules == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert all(earlier <= later for earlier, later in pairwise(read))


def test_rounding_at_the_end_of_a_row_is_no_fall() -> None:
    digit = 2.0**-52
    top = 1 + 3 * digit
    assert 1.5 * digit + (top - 1.5 * digit) > top
    clock = Clock(0.0)
    meter = ReplayMeter([-2, -1, 2.0**-60, 1], [0, 1.5 * digit, top, top], clock=clock)
    clock.now_s = 2.0
    assert meter.read_j() == (top,)


def test_after_its_end_joules_stand_still_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    meter = ReplayMeter([0, 60], [0, 300], clock=clock)
    with caplog.at_level(logging.WARNING):
        clock.now_s += 59
        assert meter.read_j() == (295,)
        assert caplog.messages == []
        for _ in range(3):
            clock.now_s += 10
            assert meter.read_j() == (300,)
    assert caplog.messages == [
        "the recording ended after 60 s: its joules stand still; record a longer one"
    ]


def test_a_recording_of_a_meter_plays_back_to_its_last_digit(tmp_path: Path) -> None:
    counters = [Counter("package:0, left", "cpu"), Counter("dram", "memory")]
    meter = ReplayMeter([0, 100], [(0.1, 1), (1 / 3, 7)], counters=counters)
    path = tmp_path / "recorded.csv"
    record(meter, path, 0.1, every_s=0.02)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["time_s", "package:0, left:cpu", "dram:memory"]
    times_s = [float(row[0]) for row in rows]
    # The first at once, the last when its time was over, others in between.
    assert times_s[-1] >= 0.1
    assert len(times_s) > 2
    clock = Clock(0.0)
    replayed = ReplayMeter.from_csv(path, clock=clock)
    assert replayed.counters == tuple(counters)
    for row in rows:
        clock.now_s = float(row[0]) - times_s[0]
        expected = [
            float(now) - float(start) for now, start in zip(row[1:], rows[0][1:], strict=True)
        ]
        assert replayed.read_j() == pytest.approx(expected, rel=1e-9)


def test_a_header_may_leave_components_out(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("\ufefftime_s, cpu ,gpu-1:gpu\n0,1,1\n\n1,2,5\n", encoding="utf-8")
    clock = Clock()
    meter = ReplayMeter.from_csv(path, clock=clock)
    assert meter.counters == (Counter("cpu", "cpu"), Counter("gpu-1", "gpu"))
    clock.now_s += 0.5
    assert meter.read_j() == (0.5, 2)
    path.write_text("time_s,wall plug\n0,1\n1,2\n")
    assert ReplayMeter.from_csv(path).counters == (Counter("wall plug", "machine"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is '': write 'time_s' and the counters"),
        ("cpu,time_s\n0,1\n1,2\n", "line 1 is 'cpu,time_s': write 'time_s'"),
        ("time_s\n0\n1\n", "line 1 is 'time_s': write"),
        ("time_s,a:gpus\n0,1\n1,2\n", "counter 'a:gpus': write name:component, the component one"),
        ("time_s,:cpu\n0,1\n1,2\n", "counter ':cpu': write name:component"),
        ("time_s,a:cpu,a:gpu\n0,1,1\n1,2,2\n", "each with its own name"),
        ("time_s,a:cpu,b\n0,1,1\n1,2,2\n", "one stands for the whole machine"),
        ("time_s,cpu\n", "the series has 0 rows: give at least 2"),
        ("time_s,cpu\n0,1\n", "the series has 1 rows: give at least 2"),
        ("time_s,cpu\n0,1\n1,2,3\n", "line 3 has 2 energies for 1 counters"),
        ("time_s,cpu\n0,1\n1\n", "line 3 has 0 energies for 1 counters"),
        ("time_s,cpu\n0,1\n1,two\n", "line 3 is '1,two': write numbers alone"),
        ("time_s,cpu\n0,1\n1,nan\n", "line 3 is [1.0, nan]: every number must be finite"),
        ("time_s,cpu\n0,1\ninf,2\n", "line 3 is [inf, 2.0]: every number must be finite"),
        ("time_s,cpu\n0,1\n\n2,2\n1,3\n", "line 5 is at 1 s, after 2 s: times must rise"),
        ("time_s,cpu\n0,1\n0,1\n", "line 3 is at 0 s, after 0 s: times must rise"),
        ("time_s,cpu,gpu\n0,1,5\n1,2,4\n", "line 3 has 4 J of 'gpu', after 5 J: joules never fall"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_by_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"wrong\.csv: ") as refused:
        ReplayMeter.from_csv(path)
    assert message in str(refused.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.csv"):
        ReplayMeter.from_csv(path)
    with pytest.raises(FileNotFoundError, match="missing"):
        ReplayMeter.from_csv(tmp_path / "missing.csv")


def test_series_in_memory_are_refused_by_their_row() -> None:
    with pytest.raises(ValueError, match="there are 2 times and 3 energies"):
        ReplayMeter([0, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="row 2 has 1 J of 'recorded', after 2 J"):
        ReplayMeter([0, 1], [2, 1])
    with pytest.raises(ValueError, match="row 1 has 2 energies for 1 counters"):
        ReplayMeter(np.array([0, 1]), np.array([[1, 1], [2, 2]]))
    with pytest.raises(ValueError, match="give at least one, each with its own name"):
        ReplayMeter([0, 1], [[], []], counters=[])
    with pytest.raises(ValueError, match="seconds is 0"):
        record(ReplayMeter([0, 1], [0, 1]), "never written", 0)
