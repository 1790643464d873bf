"""How far a split's outputs are from the whole model's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOLERANCE", "is_equal", "largest_difference", "unit_difference"]

TOLERANCE = 1e-5
"""Largest difference allowed, relative to the spread of the whole model's output."""


def is_equal(expected: Any, actual: Any) -> bool:
    """Whether two outputs are the same bit for bit, but that any NaN equals any other."""
    pairs = _pairs(expected, actual)
    return pairs is not None and all(_is_same(whole, split) for whole, split in pairs)


def largest_difference(expected: Any, actual: Any) -> float:
    """The largest difference of any number, relative to the spread of its tensor.

    Parameters
    ----------
    expected, actual
        What ONNX Runtime gave: arrays, or lists and dictionaries of such, or ``None``.

    Returns
    -------
    float
        0 where all agree. Infinite where types, shapes, strings, whole numbers or flags
        differ, or one has NaN or an infinity where the other does not. Relative to the
        largest value of a tensor that is constant.
    """
    pairs = _pairs(expected, actual)
    if pairs is None:
        return math.inf
    return max(_difference(whole, split) for whole, split in pairs)


def unit_difference(value: Any, epsilon: float = 0.0) -> float:
    """The difference that one unit in the last place of a tensor's largest value makes.

    Parameters
    ----------
    value
        What ONNX Runtime gave.
    epsilon
        Of the type that was computed in, where it is coarser than the tensor's own.
    """
    units = [0.0]
    for array in _arrays(value):
        finite = array[np.isfinite(array)] if _is_inexact(array) else np.array([])
        if finite.size:
            wide = finite.astype(np.float64)
            unit = max(epsilon, float(np.finfo(array.dtype).eps)) * float(np.max(np.abs(wide)))
            units.append(unit / _spread(wide))
    return max(units)


_Arrays = list[tuple[NDArray[Any], NDArray[Any]]]


def _pairs(expected: Any, actual: Any) -> _Arrays | None:
    """Arrays to compare one by one; ``None`` where they do not match in kind and shape."""
    whole, split = list(_arrays(expected)), list(_arrays(actual))
    if [(a.dtype, a.shape) for a in whole] != [(a.dtype, a.shape) for a in split]:
        return None
    return list(zip(whole, split, strict=True))


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    if value is None:
        yield np.array("nothing")
    elif isinstance(value, Mapping):
        yield np.array(list(value))
        for item in value.values():
            yield from _arrays(item)
    elif isinstance(value, list):
        yield np.array(len(value))
        for item in value:
            yield from _arrays(item)
    else:
        array = np.asarray(value)
        # Strings go in as NumPy's own and come out as objects.
        yield array.astype(object) if array.dtype.kind in "US" else array


def _is_same(whole: NDArray[Any], split: NDArray[Any]) -> bool:
    if not _is_inexact(whole):
        return np.array_equal(whole, split)
    both = np.isnan(whole) & np.isnan(split)
    same = (whole == split) & (np.signbit(whole) == np.signbit(split))
    return bool(np.all(both | same))


def _difference(whole: NDArray[Any], split: NDArray[Any]) -> float:
    if not _is_inexact(whole):
        return 0.0 if np.array_equal(whole, split) else math.inf
    finite = np.isfinite(whole)
    if not np.array_equal(whole[~finite], split[~finite], equal_nan=True):
        return math.inf
    if not finite.any():
        return 0.0
    wide = whole[finite].astype(np.float64)
    # Where only the split's is not finite, the difference is not either.
    worst = float(np.max(np.abs(wide - split[finite].astype(np.float64))))
    if not math.isfinite(worst):
        return math.inf
    return worst / _spread(wide)


def _is_inexact(array: NDArray[Any]) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))


def _spread(values: NDArray[np.float64]) -> float:
    return float(np.ptp(values)) or float(np.max(np.abs(values))) or 1.0
