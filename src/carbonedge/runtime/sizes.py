"""How much crosses from stage to stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["bytes_of"]


def bytes_of(value: Any) -> int:
    """Size of what crosses: an array, or a sequence, map or absence of such."""
    if value is None:
        return 0
    if isinstance(value, Mapping):
        return sum(bytes_of(key) + bytes_of(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(bytes_of, value))
    array = np.asarray(value)
    if array.dtype.hasobject:
        return sum(len(str(item).encode()) for item in array.flat)
    return array.nbytes
