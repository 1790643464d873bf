"""A tensor that enters, leaves or crosses a cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, ValueInfoProto

from carbonedge.planning.arithmetic import Shape
from carbonedge.planning.element_types import dtype_of
from carbonedge.units import BYTES_PER_MB

__all__ = ["Tensor", "known_shape", "size_mb", "tensor"]

_HALF_BYTES = (TensorProto.INT4, TensorProto.UINT4)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that enters, leaves or crosses a cut.

    Parameters
    ----------
    name
        In the model.
    dtype
        As ONNX Runtime prints it, such as ``"tensor(float)"`` or
        ``"seq(tensor(float))"``; empty when unknown.
    shape
        Sizes; a name or ``None`` where one is dynamic; ``None`` when the rank is unknown
        or it is no plain tensor.
    mb
        Size in MB of 10^6 bytes, dynamic sizes taken as 1; 0 when unknown.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    mb: float


def tensor(info: ValueInfoProto) -> Tensor:
    """What ONNX says of a tensor."""
    dtype = dtype_of(info.type)
    declared = info.type.tensor_type
    if not dtype.startswith("tensor") or not declared.HasField("shape"):
        return Tensor(info.name, dtype, None, 0.0)
    shape = tuple(_size(dimension) for dimension in declared.shape.dim)
    return Tensor(info.name, dtype, shape, size_mb(known_shape(shape), declared.elem_type))


def _size(dimension: Any) -> int | str | None:
    kind = dimension.WhichOneof("value")
    size = None if kind is None else getattr(dimension, kind)
    # Some exporters write -1 where they mean a dynamic size, or an empty name.
    return None if (isinstance(size, int) and size < 0) or size == "" else size


def known_shape(shape: tuple[int | str | None, ...] | None) -> Shape | None:
    """A shape with dynamic sizes taken as 1."""
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) and size > 0 else 1 for size in shape)


def size_mb(shape: Shape | None, elem_type: int) -> float:
    """Size of a tensor; 0 for strings and where the rank is unknown."""
    if shape is None or elem_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return 0.0
    itemsize = (
        0.5
        if elem_type in _HALF_BYTES
        else onnx.helper.tensor_dtype_to_np_dtype(elem_type).itemsize
    )
    return math.prod(shape) * itemsize / BYTES_PER_MB
