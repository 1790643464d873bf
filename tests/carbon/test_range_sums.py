from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge.carbon.range_sums import range_sums

_values = st.lists(st.floats(0, 1e3), min_size=1, max_size=40)


@given(values=_values, data=st.data())
def test_each_sum_is_that_of_its_range(values: list[float], data: st.DataObject) -> None:
    index = st.integers(0, len(values) - 1)
    ranges = data.draw(st.lists(st.tuples(index, index), min_size=1, max_size=20))
    first, last = np.array(ranges).T
    sums = range_sums(np.array(values), first, last)
    for (low, high), found in zip(ranges, sums, strict=True):
        assert found == pytest.approx(math.fsum(values[low : high + 1]), rel=1e-14, abs=1e-300)


def test_what_lies_outside_a_range_leaves_no_trace_in_it() -> None:
    values = np.array([1e300, 1e-300, 2e-300, math.nan, 1e300])
    assert range_sums(values, np.array([1]), np.array([2])) == 3e-300
    assert math.isnan(range_sums(values, np.array([2]), np.array([4]))[0])


def test_an_empty_range_sums_to_nought() -> None:
    assert range_sums(np.array([1.0, 2.0]), np.array([1, 2]), np.array([0, 1])).tolist() == [0, 0]
