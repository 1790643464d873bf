from __future__ import annotations

import math
from fractions import Fraction

import made_up_grids
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_grids import node

from carbonedge.experiments.replay import Fleet, Grid
from carbonedge.experiments.replay.accounts import Accounts


def slow_grams(fleet: Fleet, grid: Grid, place: int, start_ms: float, lasts_ms: float) -> float:
    """Slice by slice, in exact arithmetic."""
    own, row = fleet.nodes[place], grid.truth[fleet.zone[place]]
    start, stop = Fraction(start_ms), Fraction(start_ms) + Fraction(lasts_ms)
    step, total = Fraction(grid.step_ms), Fraction(0)
    while start < stop:
        slot = min(int(start // step), len(row) - 1)
        until = stop if slot == len(row) - 1 else min(stop, (slot + 1) * step)
        joules = Fraction(own.power_w) * (until - start) / 1000
        total += joules * Fraction(row[slot]) * Fraction(own.pue) / 3_600_000
        total += Fraction(own.embodied_g_per_hour) * (until - start) / 3_600_000
        start = until
    return float(total)


@given(
    st.lists(st.floats(0, 900), min_size=1, max_size=6),
    st.floats(0, 70_000),
    st.sampled_from([0.0, 1.0, 120.0, 10_000.0, 45_000.0]) | st.floats(0, 200_000),
)
def test_grams_are_the_sum_over_slices_of_time(
    values: list[float], start_ms: float, lasts_ms: float
) -> None:
    fleet = made_up_grids.fleet(node("A", pue=1.3, embodied_g_per_hour=2.0), node("B"))
    grid = made_up_grids.grid({"A": values, "B": values[::-1]}, step_s=10)
    accounts = Accounts(fleet, grid)
    for place in range(2):
        grams = accounts.emissions_g(
            np.array([place]), np.array([start_ms]), np.array([lasts_ms])
        ).item()
        slow = slow_grams(fleet, grid, place, start_ms, lasts_ms)
        assert grams == pytest.approx(slow, rel=1e-9, abs=1e-15)


def test_work_across_an_hours_end_takes_its_share_of_each() -> None:
    fleet = made_up_grids.fleet(node("A", power_w=3600.0))
    accounts = Accounts(fleet, made_up_grids.grid({"A": [100, 700]}))
    start_ms, lasts_ms = np.array([3_600_000.0 - 250]), np.array([1000.0])
    grams = accounts.emissions_g(np.array([0]), start_ms, lasts_ms).item()
    assert grams == pytest.approx((0.25 * 100 + 0.75 * 700) * 3600 / 3.6e6, rel=1e-12)
    assert accounts.energy_j(np.array([0]), lasts_ms).item() == 3600


def test_the_last_value_holds_after_the_end() -> None:
    fleet = made_up_grids.fleet(node("A"))
    accounts = Accounts(fleet, made_up_grids.grid({"A": [100, 700]}))
    late = accounts.emissions_g(np.array([0]), np.array([1e9]), np.array([1000.0])).item()
    assert late == pytest.approx(30 * 700 / 3.6e6)
    assert math.isfinite(late)
