"""What operators do and hold, the bodies they carry out included."""

from __future__ import annotations

import logging
import math
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.inliner
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from carbonedge.planning import arithmetic
from carbonedge.planning.arithmetic import Shape
from carbonedge.planning.nested import nested_graphs
from carbonedge.planning.tensor import size_mb

__all__ = ["WorkCounter"]

_CAPTURED = "carbonedge/"

_logger = logging.getLogger(__name__)

SMALL_CONSTANT = 64
"""Elements of a constant that says how often or into which shape."""


MOST_TRIPS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Body:
    graph: GraphProto
    known: MutableMapping[str, _Known]
    repeats: int


@dataclass(frozen=True, slots=True)
class _Known:
    """Of a tensor: ``None`` where the shape is not known, 0 where the type is not."""

    shape: Shape | None
    elem_type: int
    constant: TensorProto | None = None

    @property
    def mb(self) -> float:
        return size_mb(self.shape, self.elem_type)


class WorkCounter:
    """Counts for the operators of one model.

    Of an ``If`` the branch with the most counts; the body of a ``Loop`` counts once a
    trip where their number is a constant, else once; that of a ``Scan`` once a step. A
    call of one of the model's own functions counts as the function's body.

    Parameters
    ----------
    skeleton
        The model without heavy tensors.
    infos
        Types and shapes as far as known; sizes that are not count as 1.
    """

    __slots__ = ("_functions", "_known", "_skeleton", "_with_bodies")

    def __init__(self, skeleton: ModelProto, infos: Mapping[str, ValueInfoProto]) -> None:
        self._skeleton = skeleton
        self._functions = {(f.domain, f.name) for f in skeleton.functions}
        self._known: MutableMapping[str, _Known] = _known(skeleton.graph) | {
            info.name: _of_type(info.type.tensor_type)
            for info in infos.values()
            if info.type.WhichOneof("value") == "tensor_type"
        }
        self._with_bodies = _with_bodies(skeleton)

    def macs(self, node: NodeProto) -> int:
        """Multiply-accumulates of one vertex of the model's graph."""
        return self._macs(self._with_bodies.get(node.name, node), self._known)

    def body_mb(self, node: NodeProto) -> float:
        """Size of what the bodies of a vertex put out within, in MB of 10^6 bytes.

        One trip's, for the next uses the same memory. Constants within are no part of it.
        """
        return self._body_mb(self._with_bodies.get(node.name, node), self._known)

    def _macs(self, node: NodeProto, known: MutableMapping[str, _Known]) -> int:
        bodies = [
            body.repeats * sum(self._macs(inner, body.known) for inner in body.graph.node)
            for body in self._bodies(node, known)
        ]
        if bodies:
            return max(bodies)
        return arithmetic.macs(
            node.domain,
            node.op_type,
            [known[name].shape if name in known else None for name in node.input],
            [known[name].shape if name in known else None for name in node.output],
            _attributes(node),
        )

    def _body_mb(self, node: NodeProto, known: MutableMapping[str, _Known]) -> float:
        return max(
            (
                sum(
                    sum(body.known[name].mb for name in inner.output if name in body.known)
                    + self._body_mb(inner, body.known)
                    for inner in body.graph.node
                    if not _is_constant(inner)
                )
                for body in self._bodies(node, known)
            ),
            default=0.0,
        )

    def _bodies(self, node: NodeProto, known: MutableMapping[str, _Known]) -> Iterator[_Body]:
        if (node.domain, node.op_type) in self._functions:
            graph = self._called(node, known)
            yield _Body(graph, _known(graph), 1)
        repeats = _repeats(node, known)
        for graph in nested_graphs(node):
            yield _Body(graph, ChainMap(_known(graph), known), repeats)

    def _called(self, node: NodeProto, known: Mapping[str, _Known]) -> GraphProto:
        """The body of a function as a graph, with the shapes it has for this call."""
        call = ModelProto()
        call.ir_version = self._skeleton.ir_version
        call.opset_import.extend(self._skeleton.opset_import)
        call.functions.extend(self._skeleton.functions)
        call.graph.name = node.op_type
        call.graph.node.append(node)
        for name in dict.fromkeys(name for name in node.input if name in known):
            tensor = known[name]
            if tensor.constant is not None:
                call.graph.initializer.append(tensor.constant)
            else:
                info = onnx.helper.make_tensor_value_info(name, tensor.elem_type, tensor.shape)
                call.graph.input.append(info)
        call.graph.output.extend(ValueInfoProto(name=name) for name in node.output if name)
        inlined = onnx.inliner.inline_local_functions(call)
        return onnx.shape_inference.infer_shapes(inlined, data_prop=True).graph


def _known(graph: GraphProto) -> dict[str, _Known]:
    known = {}
    for info in (*graph.value_info, *graph.input, *graph.output):
        if info.type.WhichOneof("value") == "tensor_type":
            known[info.name] = _of_type(info.type.tensor_type)
    for value in graph.initializer:
        known[value.name] = _of_constant(value)
    for sparse in graph.sparse_initializer:
        name = sparse.values.name
        known[name] = _Known(tuple(sparse.dims), sparse.values.data_type)
    for node in graph.node:
        if _is_standard(node, "Constant") and node.attribute[0].name == "value":
            known[node.output[0]] = _of_constant(node.attribute[0].t)
    return known


def _with_bodies(skeleton: ModelProto) -> dict[str, NodeProto]:
    """The vertices that have bodies, by name, with the shapes inferred within."""
    if not any(True for node in skeleton.graph.node for _ in nested_graphs(node)):
        return {}
    try:
        skeleton = onnx.shape_inference.infer_shapes(skeleton, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        _logger.info("onnx cannot infer the shapes within bodies: %s", error)
    return {
        node.name: node for node in skeleton.graph.node if any(True for _ in nested_graphs(node))
    }


def _of_type(declared: onnx.TypeProto.Tensor) -> _Known:
    shape = None
    if declared.HasField("shape"):
        sizes = (d.dim_value for d in declared.shape.dim)
        shape = tuple(size if size > 0 else 1 for size in sizes)
    return _Known(shape, declared.elem_type)


def _of_constant(value: TensorProto) -> _Known:
    shape = tuple(value.dims)
    here = value.data_location != TensorProto.EXTERNAL and math.prod(shape) <= SMALL_CONSTANT
    return _Known(shape, value.data_type, value if here else None)


def _repeats(node: NodeProto, known: Mapping[str, _Known]) -> int:
    if _is_standard(node, "Loop"):
        trips = known.get(node.input[0])
        if trips is not None and trips.constant is not None:
            count = int(onnx.numpy_helper.to_array(trips.constant).item())
            # Exporters write the largest number there is for a loop that its condition ends.
            return max(count, 0) if count < MOST_TRIPS else 1
    if _is_standard(node, "Scan"):
        attributes = _attributes(node)
        scanned = attributes["num_scan_inputs"]
        axis = (attributes.get("scan_input_axes") or [0])[0]
        first = known.get(node.input[len(node.input) - scanned])
        if first is not None and first.shape:
            return int(first.shape[axis])
    return 1


def _is_constant(node: NodeProto) -> bool:
    # The skeleton has heavy ones captured from outside.
    captured = node.op_type == "Identity" and node.input[0].startswith(_CAPTURED)
    return captured or _is_standard(node, "Constant")


def _is_standard(node: NodeProto, op_type: str) -> bool:
    # Local functions and custom domains may bear the names of ONNX's own operators.
    return node.op_type == op_type and node.domain in ("", "ai.onnx")


def _attributes(node: NodeProto) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type not in (AttributeProto.GRAPH, AttributeProto.TENSOR):
            value = onnx.helper.get_attribute_value(attribute)
            values[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return values
