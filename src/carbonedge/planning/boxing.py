"""How a tensor of unknown rank crosses a cut: in a sequence, as its only item.

ONNX wants the rank of every input and output that is a plain tensor, and of none
within a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto
from onnx.helper import make_node, make_sequence_type_proto, make_tensor, make_value_info

from carbonedge.planning.tensor import Tensor

__all__ = ["box_info", "boxes", "can_box", "carrier", "unboxes"]

FIRST_OPSET_WITH_SEQUENCES = 11
_FIRST = "carbonedge/first"


def can_box(model: ModelProto) -> bool:
    """Whether a model's version of ONNX knows sequences."""
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    return any(version >= FIRST_OPSET_WITH_SEQUENCES for version in versions)


def carrier(tensor: Tensor) -> str:
    """The name under which a tensor crosses."""
    boxed = tensor.shape is None and tensor.dtype.startswith("tensor")
    return f"{tensor.name}/boxed" if boxed else tensor.name


def boxes(tensors: Iterable[Tensor]) -> Iterator[NodeProto]:
    """Vertices that pack those tensors that need it."""
    for tensor in tensors:
        box = carrier(tensor)
        if box != tensor.name:
            yield make_node("SequenceConstruct", [tensor.name], [box], name=box)


def unboxes(tensors: Iterable[Tensor]) -> Iterator[NodeProto]:
    """Vertices that unpack them again."""
    needed = [tensor for tensor in tensors if carrier(tensor) != tensor.name]
    if needed:
        index = make_tensor("", TensorProto.INT64, (), [0])
        yield make_node("Constant", [], [_FIRST], name=_FIRST, value=index)
    for tensor in needed:
        box = carrier(tensor)
        yield make_node("SequenceAt", [box, _FIRST], [tensor.name], name=f"{tensor.name}/unboxed")


def box_info(tensor: Tensor, info: ValueInfoProto) -> ValueInfoProto:
    """What is declared where a tensor crosses."""
    box = carrier(tensor)
    if box == tensor.name:
        return info
    inner = TypeProto()
    inner.tensor_type.elem_type = info.type.tensor_type.elem_type
    return make_value_info(box, make_sequence_type_proto(inner))
