"""How a tensor of unknown rank crosses a cut: in a sequence, as its only item.

ONNX wants the rank of every input and output that is a plain tensor, and of none
within a sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from onnx import ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto
from onnx.helper import make_node, make_sequence_type_proto, make_tensor, make_value_info

from carbonedge.planning.tensor import Tensor

__all__ = ["box_info", "boxes", "can_box", "carrier", "unboxes"]

FIRST_OPSET_WITH_SEQUENCES = 11


def can_box(model: ModelProto) -> bool:
    """Whether a model's version of ONNX knows sequences."""
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    return any(version >= FIRST_OPSET_WITH_SEQUENCES for version in versions)


def carrier(tensor: Tensor, taken: Collection[str] = ()) -> str:
    """The name under which a tensor crosses: its own, or a box's that none has yet."""
    boxed = tensor.shape is None and tensor.dtype.startswith("tensor")
    return _fresh(f"{tensor.name}/boxed", taken) if boxed else tensor.name


def boxes(tensors: Iterable[Tensor], taken: Collection[str]) -> Iterator[NodeProto]:
    """Vertices that pack those tensors that need it."""
    for tensor in tensors:
        box = carrier(tensor, taken)
        if box != tensor.name:
            yield make_node("SequenceConstruct", [tensor.name], [box], name=box)


def unboxes(tensors: Iterable[Tensor], taken: Collection[str]) -> Iterator[NodeProto]:
    """Vertices that unpack them again."""
    carried = [(tensor.name, carrier(tensor, taken)) for tensor in tensors]
    needed = [(name, box) for name, box in carried if box != name]
    if needed:
        first = _fresh("carbonedge/first", taken)
        index = make_tensor("", TensorProto.INT64, (), [0])
        yield make_node("Constant", [], [first], name=first, value=index)
    for name, box in needed:
        yield make_node("SequenceAt", [box, first], [name], name=f"{name}/unboxed")


def box_info(tensor: Tensor, info: ValueInfoProto, taken: Collection[str]) -> ValueInfoProto:
    """What is declared where a tensor crosses."""
    box = carrier(tensor, taken)
    if box == tensor.name:
        return info
    inner = TypeProto()
    inner.tensor_type.elem_type = info.type.tensor_type.elem_type
    return make_value_info(box, make_sequence_type_proto(inner))


def _fresh(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name
