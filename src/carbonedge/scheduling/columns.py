"""Nodes as columns of numbers, for clusters too large for an object a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonedge._kernels import FIELDS
from carbonedge._validation import (
    LARGEST,
    Rule,
    at_least_one,
    count,
    fraction,
    non_negative,
    positive,
    slots,
)
from carbonedge.cluster import NODE_RULES

__all__ = ["REQUIRED", "checked_columns", "checked_names", "real_numbers"]

REQUIRED = ("cpu_cores", "memory_mb", "power_w", "intensity_g_per_kwh")
DEFAULTS = {"pue": 1.0, "parallelism": 1.0}
"""Of columns that may be left out; 0 for the rest of those."""

MOST_NODES = 2**26
"""More would take over 12 GB."""

_HOLDS: Mapping[Rule, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
    positive: lambda values: values > 0,
    non_negative: lambda values: values >= 0,
    fraction: lambda values: (values >= 0) & (values <= 1),
    at_least_one: lambda values: values >= 1,
    count: lambda values: (values >= 0) & (values == np.floor(values)),
    slots: lambda values: (values >= 1) & (values == np.floor(values)),
}


def checked_columns(columns: Mapping[str, Any]) -> list[NDArray[np.float64]]:
    """One array per number that decisions read, in the order of `FIELDS`.

    Parameters
    ----------
    columns
        By the names of `Node`'s parameters, numbers of shape [nodes], or one number for
        all nodes. Those of `REQUIRED` must be there, and one must be an array; a column
        ``name`` may be.

    Raises
    ------
    TypeError
        If a column holds anything but real numbers.
    ValueError
        If a column is missing, not known, of another length or shape, or holds a number
        out of its range; or if there are no nodes, or too many.
    """
    unknown = [name for name in columns if name not in FIELDS and name != "name"]
    if unknown:
        raise ValueError(
            f"column {unknown[0]!r} is not known: give any of name, {', '.join(FIELDS)}"
        )
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing: give {', '.join(REQUIRED)}")
    given = {name: _numbers(name, columns[name]) for name in FIELDS if name in columns}
    size = _common_size(given)
    return [
        _filled(given[name], size) if name in given else np.full(size, DEFAULTS.get(name, 0.0))
        for name in FIELDS
    ]


def checked_names(names: ArrayLike, size: int) -> list[str]:
    """The names of nodes, that many and all different.

    Raises
    ------
    TypeError
        If a name is no string.
    ValueError
        If there are more or fewer, one is blank, or two are the same.
    """
    array = names if isinstance(names, np.ndarray) else np.asarray(names, dtype=object)
    if array.shape != (size,):
        raise ValueError(f"column 'name' has shape {array.shape}: give {size} names")
    result: list[str] = array.tolist()
    for index, name in enumerate(result):
        if not isinstance(name, str):
            raise TypeError(f"name[{index}] is {name!r}: give a string")
        if not name.strip():
            raise ValueError(f"name[{index}] is {name!r}: give a name")
    if len(set(result)) < size:
        seen: set[str] = set()
        for name in result:
            if name in seen:
                raise ValueError(f"two nodes are named {name!r}: names must differ")
            seen.add(name)
    return result


def real_numbers(what: str, values: Any) -> NDArray[Any]:
    """An array of integers or floats, as it is.

    Raises
    ------
    TypeError
        If it holds anything else, or some numbers are masked.
    ValueError
        If it is ragged.
    """
    if np.ma.is_masked(values):
        raise TypeError(f"{what} has masked numbers: fill them")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} has rows of several lengths: give one dimension") from error
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what} holds {array.dtype}: give real numbers")
    return array


def _numbers(name: str, values: Any) -> NDArray[Any]:
    array = real_numbers(f"column {name!r}", values)
    if array.ndim > 1:
        raise ValueError(f"column {name!r} has shape {array.shape}: give one dimension")
    if array.size > MOST_NODES:
        raise ValueError(f"column {name!r} has {array.size} nodes: at most {MOST_NODES} are kept")
    wide: NDArray[np.float64] = array.astype(np.float64)
    wrong = ~(_HOLDS[NODE_RULES[name]](wide) & (wide <= LARGEST))
    if wrong.any():
        index = int(np.argmax(wrong))
        _refuse(name, index, float(wide.flat[index]))
    return wide


def _refuse(name: str, index: int, value: float) -> None:
    whole = value.is_integer() and NODE_RULES[name] in (count, slots)
    NODE_RULES[name](f"{name}[{index}]", int(value) if whole else value)
    raise AssertionError(f"{name}[{index}] is {value}, which its rule allows")


def _common_size(given: Mapping[str, NDArray[Any]]) -> int:
    sizes = {name: len(array) for name, array in given.items() if array.ndim == 1}
    if not sizes:
        raise ValueError("all columns are single numbers: give at least one array")
    first, size = next(iter(sizes.items()))
    for name, other in sizes.items():
        if other != size:
            raise ValueError(
                f"column {name!r} has {other} nodes and {first!r} has {size}: "
                "give columns of one length"
            )
    if size == 0:
        raise ValueError("there are no nodes: give at least one")
    return size


def _filled(array: NDArray[Any], size: int) -> NDArray[np.float64]:
    return np.ascontiguousarray(np.broadcast_to(array, (size,)))
