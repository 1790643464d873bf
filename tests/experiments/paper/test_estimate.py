from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge.experiments.paper.estimate import estimate


def test_three_repeats_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(4.303 / math.sqrt(3))
    assert found.repeats == (1.0, 2.0, 3.0)


def test_one_repeat_says_nothing_of_the_others() -> None:
    assert estimate([5.0]).half_width is None


def test_no_repeat_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=15))
def test_the_interval_is_wider_than_the_normal_one_and_holds_the_mean(values: list[float]) -> None:
    found = estimate(values)
    assert found.half_width is not None
    normal = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    assert found.half_width >= normal * (1 - 1e-9)
    assert min(values) - 1e-6 <= found.mean <= max(values) + 1e-6
