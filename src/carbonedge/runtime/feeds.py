"""Checking what a request brings against what the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from carbonedge.planning import Tensor
from carbonedge.planning.samples import NUMPY_TYPES

__all__ = ["FeedChecker"]


class FeedChecker:
    """Knows a model's inputs.

    Parameters
    ----------
    inputs
        What the model takes.
    """

    __slots__ = ("_inputs",)

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self._inputs = [(tensor, NUMPY_TYPES.get(tensor.dtype)) for tensor in inputs]

    def check(self, feed: Mapping[str, Any]) -> None:
        """Compare a request's arrays with the model's inputs.

        Raises
        ------
        ValueError
            If one is missing, is too many, or has another type or shape.
        """
        if len(feed) > len(self._inputs):
            known = [tensor.name for tensor, _ in self._inputs]
            extra = ", ".join(repr(name) for name in feed if name not in known)
            raise ValueError(f"the model has no input {extra}: it takes {', '.join(known)}")
        for tensor, dtype in self._inputs:
            if tensor.name not in feed:
                raise ValueError(f"input {tensor.name!r} is missing: {_wanted(tensor)}")
            value = feed[tensor.name]
            if dtype is None or not isinstance(value, np.ndarray):
                continue  # types NumPy lacks, and ONNX Runtime's own containers
            if value.dtype != dtype and not (dtype is np.object_ and value.dtype.kind in "US"):
                raise ValueError(f"input {tensor.name!r} is {value.dtype}: {_wanted(tensor)}")
            if not _fits(value.shape, tensor.shape):
                raise ValueError(
                    f"input {tensor.name!r} has shape {value.shape}: {_wanted(tensor)}"
                )


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...] | None) -> bool:
    if declared is None or shape == declared:
        return True
    return len(shape) == len(declared) and all(
        size == wanted or not isinstance(wanted, int)
        for size, wanted in zip(shape, declared, strict=True)
    )


def _wanted(tensor: Tensor) -> str:
    shape = "any shape" if tensor.shape is None else f"shape {tensor.shape}"
    return f"the model takes {tensor.dtype} of {shape}"
