"""Inputs to measure with, where the user brings none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonedge.exceptions import ModelError
from carbonedge.planning.model import ModelGraph, Tensor

__all__ = ["NUMPY_TYPES", "sample_inputs"]

NUMPY_TYPES = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(string)": np.object_,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
}
"""NumPy's type for each of ONNX Runtime's that NumPy has."""


def sample_inputs(model: ModelGraph, *, seed: int) -> dict[str, NDArray[Any]]:
    """One request: floats in [0, 1), whole numbers and flags 0 or 1, dynamic sizes 1.

    Raises
    ------
    ModelError
        If an input is of a type or rank that cannot be made up.
    """
    random = np.random.default_rng(seed)
    return {tensor.name: _sample(tensor, random) for tensor in model.inputs}


def _sample(tensor: Tensor, random: np.random.Generator) -> NDArray[Any]:
    dtype = NUMPY_TYPES.get(tensor.dtype)
    if dtype is None or tensor.shape is None:
        raise ModelError(
            f"cannot make up input {tensor.name!r} of type {tensor.dtype or 'unknown'} and shape "
            f"{tensor.shape}: pass a feed of your own (--input, or operator_costs(feed=...))"
        )
    shape = tuple(size if isinstance(size, int) else 1 for size in tensor.shape)
    if dtype is np.object_:
        return np.full(shape, "", dtype=object)
    if np.issubdtype(dtype, np.floating):
        return random.random(shape).astype(dtype)
    return random.integers(0, 2, shape).astype(dtype)
