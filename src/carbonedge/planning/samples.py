"""Requests made up for a model, where the user brings none."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonedge.exceptions import ModelError
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.profile import Profile, read_profile
from carbonedge.planning.session import open_session, quiet_options, run_session
from carbonedge.planning.sized import sized
from carbonedge.planning.tensor import Tensor

__all__ = ["NUMPY_TYPES", "for_request", "made_up_request", "made_up_requests"]

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

SIZES = (64, 32, 16, 224, 320, 512, 640, 48, 8, 1)
"""Of dynamic dimensions, one after another; many a network refuses some."""

CHANNELS = 3
ITEMS = 2

Feed = dict[str, Any]


def for_request(
    model: ModelGraph,
    feed: Mapping[str, Any] | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
) -> tuple[ModelGraph, Mapping[str, Any]]:
    """A model with the sizes that a request gives it, and the request: where there is none,
    one of the sizes that a profile was measured with, or made up.
    """
    if feed is None and profile is not None:
        shapes = read_profile(profile).inputs
        feed = {name: np.broadcast_to(0, shape) for name, shape in shapes.items()}
    elif feed is None:
        feed = made_up_request(model)
    return sized(model, feed), feed


def made_up_request(model: ModelGraph, *, seed: int = 0, run: Any = None) -> Feed:
    """The first of `made_up_requests` that a model runs on.

    Parameters
    ----------
    model
        Where it leaves no size open there is one request, and nothing is run.
    seed
        Of the values.
    run
        Of a session over the model, where there is one already.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot load the model or run it on any, or an input is of a type
        that cannot be made up.
    """
    requests = made_up_requests(model.inputs, seed=seed)
    some = list(itertools.islice(requests, 2))
    if len(some) == 1:
        return some[0]
    run = run or open_session(model, sess_options=quiet_options()).run
    reason = None
    for request in itertools.chain(some, requests):
        try:
            run_session(run, None, request)
        except ModelError as error:
            reason = reason or error
        else:
            return request
    raise ModelError(f"no request that was made up fits, give one by --input: {reason}")


def made_up_requests(inputs: Sequence[Tensor], *, seed: int = 0) -> Iterator[Feed]:
    """One request after another, each with other dynamic sizes.

    What looks like the batch is 1, the second dimension of four is 3 for channels where
    it is dynamic, and dimensions of one name have one size. Floats lie in [0, 1), whole
    numbers and flags are 0 or 1. Where sizes are open, all come again with whole numbers
    and flags of 0, for models that count with them what a request has only one of.

    Raises
    ------
    ModelError
        If an input is of a type that cannot be made up.
    """
    previous = None
    zeros = any(re.search("int|bool", tensor.dtype) for tensor in inputs) and any(
        not isinstance(size, int) for tensor in inputs for size in tensor.shape or ()
    )
    for most, size in itertools.product((1, 0) if zeros else (1,), SIZES):
        shapes = _shapes(inputs, size)
        if (most, shapes) != previous:
            previous = (most, shapes)
            random = np.random.default_rng(seed)
            yield {
                tensor.name: _value(tensor, tensor.dtype, shape, most, random)
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


def _value(
    tensor: Tensor, dtype: str, shape: tuple[int, ...], most: int, random: np.random.Generator
) -> Any:
    kind, _, inside = dtype.partition("(")
    if kind == "optional":
        return _value(tensor, inside[:-1], shape, most, random)
    if kind == "seq":
        return [_value(tensor, inside[:-1], shape or (ITEMS,), most, random) for _ in range(ITEMS)]
    if kind == "map":
        key, _, value = inside[:-1].partition(",")
        return {"" if key == "string" else 0: _value(tensor, value, (), most, random).item()}
    return _array(tensor, dtype, shape, most, random)


def _array(
    tensor: Tensor, dtype: str, shape: tuple[int, ...], most: int, random: np.random.Generator
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
    return np.asarray(random.integers(0, most + 1, shape), dtype=type_)
