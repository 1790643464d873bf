"""Requests made up for a model, until it runs on one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonedge.exceptions import ModelError
from carbonedge.planning import Tensor
from carbonedge.planning.samples import NUMPY_TYPES

__all__ = ["made_up_requests"]

SIZES = (64, 32, 16, 224, 320, 512, 640, 48, 8, 1)
"""Of dynamic dimensions, one after another; many a network refuses some."""

CHANNELS = 3
ITEMS = 2

Feed = dict[str, Any]


def made_up_requests(inputs: Sequence[Tensor], *, seed: int = 0) -> Iterator[Feed]:
    """One request after another, each with other dynamic sizes.

    What looks like the batch is 1, the second dimension of four is 3 for channels where
    it is dynamic, and dimensions of one name have one size. Floats lie in [0, 1), whole
    numbers and flags are 0 or 1.

    Raises
    ------
    ModelError
        If an input is of a type that cannot be made up.
    """
    previous = None
    for size in SIZES:
        shapes = _shapes(inputs, size)
        if shapes != previous:
            previous = shapes
            random = np.random.default_rng(seed)
            yield {
                tensor.name: _value(tensor, tensor.dtype, shape, random)
                for tensor, shape in zip(inputs, shapes, strict=True)
            }


def _shapes(inputs: Sequence[Tensor], size: int) -> list[tuple[int, ...]]:
    named: dict[str, int] = {}
    for tensor in inputs:
        place = _batch_place(tensor.shape or ())
        if tensor.shape is not None and place is not None:
            length = tensor.shape[place]
            if isinstance(length, str):
                named[length] = 1
    return [_shape(tensor.shape or (), size, named) for tensor in inputs]


def _batch_place(shape: tuple[int | str | None, ...]) -> int | None:
    """The first dimension, or of a recurrent network's state the one after the layers."""
    if len(shape) > 1 and not isinstance(shape[0], int):
        return 0
    return 1 if len(shape) == 3 and not isinstance(shape[1], int) else None


def _shape(
    declared: tuple[int | str | None, ...], size: int, named: dict[str, int]
) -> tuple[int, ...]:
    shape = []
    for place, length in enumerate(declared):
        guess = CHANNELS if place == 1 and len(declared) == 4 else size
        if place == _batch_place(declared):
            guess = 1
        if isinstance(length, str):
            guess = named.setdefault(length, guess)
        shape.append(length if isinstance(length, int) else guess)
    return tuple(shape)


def _value(tensor: Tensor, dtype: str, shape: tuple[int, ...], random: np.random.Generator) -> Any:
    kind, _, inside = dtype.partition("(")
    if kind == "optional":
        return _value(tensor, inside[:-1], shape, random)
    if kind == "seq":
        return [_value(tensor, inside[:-1], shape or (ITEMS,), random) for _ in range(ITEMS)]
    if kind == "map":
        key, _, value = inside[:-1].partition(",")
        return {"" if key == "string" else 0: _value(tensor, value, (), random).item()}
    return _array(tensor, dtype, shape, random)


def _array(
    tensor: Tensor, dtype: str, shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[Any]:
    type_ = NUMPY_TYPES.get(dtype)
    if type_ is None:
        raise ModelError(
            f"cannot make up input {tensor.name!r} of type {tensor.dtype or 'unknown'}: "
            "run the model from Python with one of your own"
        )
    if type_ is np.object_:
        return np.full(shape, "", dtype=object)
    if np.issubdtype(type_, np.floating):
        return np.asarray(random.random(shape), dtype=type_)
    return np.asarray(random.integers(0, 2, shape), dtype=type_)
