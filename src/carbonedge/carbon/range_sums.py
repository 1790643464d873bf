"""Sums of many ranges of a row of numbers, each to full precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["range_sums"]

_Floats = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.intp]


def range_sums(values: _Floats, first: _Indices, last: _Indices) -> _Floats:
    """The sums of ``values[first : last + 1]``, 0 where last is below first.

    A difference of two sums from the beginning would lose the digits that both have in common.
    Here each range is parted where the highest bit in which its ends differ turns, and each
    part is a sum outwards from such a place, made beforehand (a disjoint sparse table).
    """
    size = 1 << (values.size - 1).bit_length()
    padded = np.zeros(size)
    padded[: values.size] = values
    sums = np.zeros(first.size)
    alone = first == last
    sums[alone] = values[first[alone]]
    # frexp gives the position of the highest bit, plus 1.
    levels = np.where(first < last, np.frexp((first ^ last).astype(np.float64))[1], 0)
    for level in np.unique(levels[levels > 0]):
        rows = padded.reshape(-1, 2, 1 << (level - 1))
        table = np.concatenate(
            (rows[:, :1, ::-1].cumsum(axis=2)[:, :, ::-1], rows[:, 1:].cumsum(axis=2)), axis=1
        ).ravel()
        here = np.flatnonzero(levels == level)
        sums[here] = table[first[here]] + table[last[here]]
    return sums
