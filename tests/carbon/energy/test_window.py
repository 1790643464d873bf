from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable

import pytest

from carbonedge.carbon.energy import Counter, ReplayMeter, Window, measure_idle_power_w

CPU_W, GPU_W = 8.0, 30.0


class Clock:
    """Time that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def steady(clock: Callable[[], float] = time.monotonic) -> ReplayMeter:
    """A machine that draws the same power for an hour."""
    return ReplayMeter(
        [0, 3600],
        [(0, 0), (CPU_W * 3600, GPU_W * 3600)],
        counters=[Counter("package-0", "cpu"), Counter("gpu-0", "gpu")],
        clock=clock,
    )


def test_a_window_holds_what_is_counted_in_it() -> None:
    clock = Clock()
    meter = steady(clock)
    clock.now_s = 5
    before = time.monotonic()
    with Window(meter) as window:
        clock.now_s = 7
    assert window.by_counter == pytest.approx({"package-0": 2 * CPU_W, "gpu-0": 2 * GPU_W})
    assert window.energy_j == pytest.approx(2 * (CPU_W + GPU_W))
    clock.now_s = 100
    assert window.energy_j == pytest.approx(2 * (CPU_W + GPU_W))
    assert 0 <= window.time_s <= time.monotonic() - before


def test_windows_nest_and_overlap() -> None:
    clock = Clock()
    meter = steady(clock)
    first, second = Window(meter), Window(meter)
    with Window(meter) as outer:
        first.__enter__()
        clock.now_s = 1
        second.__enter__()
        clock.now_s = 3
        first.__exit__(None, None, None)
        clock.now_s = 7
        second.__exit__(None, None, None)
    energies = [window.by_counter["package-0"] / CPU_W for window in (first, second, outer)]
    assert energies == pytest.approx([3, 6, 7])


def test_an_error_in_the_block_still_ends_the_window() -> None:
    clock = Clock()
    window = Window(steady(clock))
    with contextlib.suppress(KeyError), window:
        clock.now_s = 2
        raise KeyError
    assert window.energy_j == pytest.approx(2 * (CPU_W + GPU_W))


def test_a_window_that_is_not_over_tells_nothing() -> None:
    window = Window(steady())
    with pytest.raises(RuntimeError, match="the window is not over"):
        _ = window.energy_j
    with window, pytest.raises(RuntimeError, match="the window is not over"):
        _ = window.time_s
    assert window.time_s >= 0
    with window, pytest.raises(RuntimeError, match="the window is not over"):
        _ = window.by_counter


def test_idle_power_is_the_mean_over_the_while_it_was_watched() -> None:
    times_s = itertools.count(step=2.0)
    meter = steady(lambda: next(times_s))
    before = time.monotonic()
    watts = measure_idle_power_w(meter, 0.05)
    # Two seconds pass for the meter.
    assert 2 * GPU_W / (time.monotonic() - before) <= watts["gpu-0"] <= 2 * GPU_W / 0.05
    assert watts["gpu-0"] / watts["package-0"] == pytest.approx(GPU_W / CPU_W)
    with pytest.raises(ValueError, match="seconds is 0: it must be finite and above 0"):
        measure_idle_power_w(meter, 0)
