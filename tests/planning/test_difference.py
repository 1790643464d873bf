from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from carbonedge.planning.difference import is_equal, largest_difference, unit_difference

WHOLE = np.array([0.0, 10.0])
NAN = np.array([math.nan, 1.0])


@pytest.mark.parametrize(
    "value",
    [
        WHOLE,
        NAN,
        np.array([math.inf, -math.inf]),
        np.array([], dtype=np.float32),
        np.array(["a", "b"], dtype=object),
        [WHOLE, [NAN]],
        [{"cat": 0.25, "dog": 0.75}],
        [],
        None,
    ],
    ids=str,
)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert is_equal(value, value)
    assert largest_difference(value, value) == 0


def test_differences_are_relative_to_the_spread() -> None:
    assert largest_difference(WHOLE, np.array([0.0, 10.1])) == pytest.approx(0.01)
    assert largest_difference([WHOLE, WHOLE], [WHOLE, WHOLE + 1]) == pytest.approx(0.1)
    assert largest_difference(np.array([4.0, 4.0]), np.array([4.0, 5.0])) == pytest.approx(0.25)
    assert largest_difference({"cat": 0.5}, {"cat": 0.75}) == pytest.approx(0.5)


def test_what_is_close_is_not_equal() -> None:
    assert not is_equal(WHOLE, np.nextafter(WHOLE, 11))
    assert not is_equal(np.array([0.0]), np.array([-0.0]))
    assert largest_difference(np.array([0.0]), np.array([-0.0])) == 0


@pytest.mark.parametrize(
    ("whole", "split"),
    [
        (WHOLE, np.array([0.0, math.nan])),
        (NAN, np.array([1.0, 1.0])),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True]), np.array([False])),
        (np.array(["a"], dtype=object), np.array(["b"], dtype=object)),
        (WHOLE, WHOLE.astype(np.float32)),
        (WHOLE, WHOLE[:1]),
        ([WHOLE], [WHOLE, WHOLE]),
        ({"cat": 1.0}, {"dog": 1.0}),
        (None, WHOLE),
    ],
    ids=str,
)
def test_what_no_tolerance_covers_differs_without_bound(whole: Any, split: Any) -> None:
    assert not is_equal(whole, split)
    assert math.isinf(largest_difference(whole, split))


def test_strings_differ_not_by_how_numpy_holds_them() -> None:
    assert is_equal(np.array(["a", "bc"], dtype=object), np.array(["a", "bc"]))


def test_a_unit_in_the_last_place_is_relative_to_the_spread() -> None:
    values = np.array([1.0, 3.0], dtype=np.float16)
    assert unit_difference(values) == 3 * 2.0**-10 / 2
    assert unit_difference(values.astype(np.float32), 2.0**-10) == 3 * 2.0**-10 / 2
    assert unit_difference([np.array([1, 2]), np.array([], np.float32), None]) == 0
