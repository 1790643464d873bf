"""Types of tensors, in ONNX's form and as ONNX Runtime prints them."""

from __future__ import annotations

import re
from collections.abc import Callable

from onnx import TensorProto, TypeProto
from onnx.helper import (
    make_map_type_proto,
    make_optional_type_proto,
    make_sequence_type_proto,
    make_tensor_type_proto,
)

__all__ = ["can_cross", "dtype_of", "type_of"]

_SPELLED = {"FLOAT": "float", "DOUBLE": "double", "FLOAT16": "float16"}
_ELEM_TYPES = {
    _SPELLED.get(name, name.lower()): number for name, number in TensorProto.DataType.items()
}
_NAMES = {number: name for name, number in _ELEM_TYPES.items()}

# What ONNX Runtime's Python takes and gives: NumPy lacks bfloat16, the small floats and
# the four-bit numbers, and a sequence of maps comes out but does not go in.
_IN_NUMPY = "bool|double|float|float16|int8|int16|int32|int64|string|uint8|uint16|uint32|uint64"
_TENSOR = rf"tensor\(({_IN_NUMPY})\)"
_SEQUENCE = rf"seq\({_TENSOR}\)"
_CAN_CROSS = re.compile(
    rf"{_TENSOR}|{_SEQUENCE}|optional\(({_TENSOR}|{_SEQUENCE})\)|map\(\w+,{_TENSOR}\)"
)


def can_cross(dtype: str) -> bool:
    """Whether a value of this type can leave one session and enter the next."""
    return _CAN_CROSS.fullmatch(dtype) is not None


def dtype_of(type_: TypeProto) -> str:
    """As ONNX Runtime prints it, such as ``"seq(tensor(float))"``; empty when unknown."""
    kind = type_.WhichOneof("value")
    if kind == "tensor_type":
        return _wrapped("tensor", _NAMES.get(type_.tensor_type.elem_type or -1, ""))
    if kind == "sparse_tensor_type":
        return _wrapped("sparse_tensor", _NAMES.get(type_.sparse_tensor_type.elem_type or -1, ""))
    if kind == "sequence_type":
        return _wrapped("seq", dtype_of(type_.sequence_type.elem_type))
    if kind == "optional_type":
        return _wrapped("optional", dtype_of(type_.optional_type.elem_type))
    if kind == "map_type":
        key = _NAMES.get(type_.map_type.key_type, "")
        value = dtype_of(type_.map_type.value_type)
        return f"map({key},{value})" if key and value else ""
    return ""


def _wrapped(kind: str, inner: str) -> str:
    return f"{kind}({inner})" if inner else ""


def type_of(dtype: str, shape: list[int | str | None]) -> TypeProto | None:
    """The type ONNX Runtime prints so; ``None`` where ONNX has none.

    Parameters
    ----------
    dtype
        Such as ``"tensor(float)"``.
    shape
        Of a tensor; an empty one may stand for a rank that is not known, and is left out.
    """
    match = re.fullmatch(r"(tensor|seq|optional|map)\((.*)\)", dtype)
    if match is None:
        return None
    kind, inside = match.groups()
    if kind == "tensor":
        elem_type = _ELEM_TYPES.get(inside)
        return None if elem_type is None else make_tensor_type_proto(elem_type, shape or None)
    if kind == "map":
        key, _, value = inside.partition(",")
        value_type = type_of(value, [])
        if key not in _ELEM_TYPES or value_type is None:
            return None
        return make_map_type_proto(_ELEM_TYPES[key], value_type)
    inner = type_of(inside, shape)
    make: Callable[[TypeProto], TypeProto] = (
        make_sequence_type_proto if kind == "seq" else make_optional_type_proto
    )
    return None if inner is None else make(inner)
