"""A model in parts: its graph, and its heavy tensors by reference until they are wanted.

Checking and inferring serialise what they look at, and weights are most of a model.
They look at a skeleton instead, where each heavy tensor is an input of its type.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
)
from onnx.external_data_helper import uses_external_data
from onnx.helper import make_node, make_tensor_value_info

from carbonedge.planning.borrowed import replace_borrowed
from carbonedge.planning.nested import (
    function_tensors,
    graph_names,
    graph_tensors,
    nested_graphs,
    node_tensors,
)

__all__ = ["Assembly", "assemble", "is_heavy"]

HEAVY_ELEMENTS = 1024
"""More than shape inference ever looks into."""

# Fields of the format and the wire types that stand before them (onnx.proto).
_MODEL_GRAPH = b"\x3a"
_MODEL_FUNCTION = b"\xca\x01"
_GRAPH_NODE = b"\x0a"
_GRAPH_INITIALIZER = b"\x2a"
_LENGTH_BYTES = 5


def is_heavy(tensor: TensorProto) -> bool:
    """Whether copying a tensor costs more than a look at it."""
    elements: int = math.prod(tensor.dims)
    return elements > HEAVY_ELEMENTS


@dataclass(frozen=True, slots=True, eq=False)
class Assembly:
    """A model and what it refers to.

    Parameters
    ----------
    light
        The model without its heavy tensors, nested graphs excepted, and local functions.
    functions
        That its vertices call, and those call.
    constants
        Vertices that hold one heavy tensor each; they stand before the light ones.
    weights
        Heavy initializers.
    """

    light: ModelProto
    functions: tuple[FunctionProto, ...]
    constants: tuple[NodeProto, ...]
    weights: tuple[TensorProto, ...]

    def build(self) -> ModelProto:
        """The whole model, with copies of what is referred to."""
        model = ModelProto()
        for node in self.constants:
            model.graph.node.add().CopyFrom(node)
        model.MergeFrom(self.light)
        for function in self.functions:
            model.functions.add().CopyFrom(function)
        for tensor in self.weights:
            model.graph.initializer.add().CopyFrom(tensor)
        return model

    def write(self, path: Path) -> None:
        """The file that saving the built model would write, one tensor at a time."""
        rest = ModelProto()
        _copy_fields(self.light, rest, leave_out=("graph",))
        with path.open("wb") as file:
            file.write(rest.SerializeToString())
            for function in self.functions:
                _write_field(file, _MODEL_FUNCTION, function)
            file.write(_MODEL_GRAPH)
            file.write(bytes(_LENGTH_BYTES))
            start = file.tell()
            for node in self.constants:
                _write_field(file, _GRAPH_NODE, node)
            file.write(self.light.graph.SerializeToString())
            for tensor in self.weights:
                _write_field(file, _GRAPH_INITIALIZER, tensor)
            length = file.tell() - start
            file.seek(start - _LENGTH_BYTES)
            file.write(_padded_varint(length))

    def tensors(self) -> Iterator[TensorProto]:
        """Every tensor, those of nested graphs included."""
        yield from self.weights
        for node in self.constants:
            yield from node_tensors(node)
        for function in self.functions:
            yield from function_tensors(function)
        yield from graph_tensors(self.light.graph)

    def with_own_references(self) -> Assembly:
        """The same, but that what refers to external data may be changed."""
        light = ModelProto()
        light.CopyFrom(self.light)
        functions = [_own(function, *function_tensors(function)) for function in self.functions]
        constants = [_own(node, *node_tensors(node)) for node in self.constants]
        weights = [_own(weight, weight) for weight in self.weights]
        return Assembly(light, tuple(functions), tuple(constants), tuple(weights))

    def skeleton(self) -> ModelProto:
        """A model of the same types whose heavy tensors are inputs, or without values where
        they cannot be.
        """
        model = ModelProto()
        _copy_fields(self.light, model, leave_out=("training_info", "metadata_props"))
        graph = model.graph
        del graph.quantization_annotation[:]
        for tensor in self.weights:
            graph.input.append(_info(tensor.name, tensor))
        for node in self.constants:
            graph.input.append(_info(node.output[0], node.attribute[0].t))
        _lighten_sparse(graph)
        fresh = _fresh_names(graph)
        for node in graph.node:
            for nested in nested_graphs(node):
                graph.input.extend(_lighten(nested, fresh))
        for tensor in graph_tensors(graph):
            if uses_external_data(tensor):
                _hollow(tensor)
        for function in self.functions:
            copy = model.functions.add()
            copy.CopyFrom(function)
            for tensor in filter(is_heavy, function_tensors(copy)):
                _hollow(tensor)
        replace_borrowed(model)
        return model


def assemble(
    whole: ModelProto,
    nodes: Iterable[NodeProto],
    initializers: Iterable[TensorProto],
    sparse_initializers: Iterable[SparseTensorProto],
    inputs: Iterable[ValueInfoProto],
    outputs: Iterable[ValueInfoProto],
) -> Assembly:
    """A model of some of a whole's vertices, with all that is said of the whole."""
    light = ModelProto()
    _copy_fields(whole, light, leave_out=("graph", "functions", "training_info"))
    graph = light.graph
    _copy_fields(whole.graph, graph, leave_out=_CONTENTS)
    graph.name = graph.name or "graph"
    constants, weights = [], []
    nodes = list(nodes)
    for node in nodes:
        if _is_heavy_constant(node):
            constants.append(node)
        else:
            graph.node.add().CopyFrom(node)
    for tensor in initializers:
        if is_heavy(tensor):
            weights.append(tensor)
        else:
            graph.initializer.add().CopyFrom(tensor)
    for sparse in sparse_initializers:
        graph.sparse_initializer.add().CopyFrom(sparse)
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    functions = _called(nodes, whole.functions)
    return Assembly(light, functions, tuple(constants), tuple(weights))


_CONTENTS = (
    "node",
    "initializer",
    "sparse_initializer",
    "input",
    "output",
    "value_info",
    "quantization_annotation",
)


def _copy_fields(
    source: ModelProto | GraphProto, target: ModelProto | GraphProto, *, leave_out: Iterable[str]
) -> None:
    """Whatever this version of the format has, but for the fields left out."""
    for field, value in source.ListFields():
        if field.name in leave_out:
            continue
        if isinstance(value, (int, str, bytes)):
            setattr(target, field.name, value)
        elif hasattr(value, "CopyFrom"):
            getattr(target, field.name).CopyFrom(value)
        else:
            getattr(target, field.name).extend(value)


def _called(
    nodes: Iterable[NodeProto], functions: Sequence[FunctionProto]
) -> tuple[FunctionProto, ...]:
    """Those of a model's local functions that vertices call, or that these call in turn."""
    bodies: dict[tuple[str, str], list[NodeProto]] = defaultdict(list)
    for function in functions:
        bodies[function.domain, function.name] += function.node
    called, open_nodes = set(), [*nodes] if functions else []
    while open_nodes:
        node = open_nodes.pop()
        for nested in nested_graphs(node):
            open_nodes += nested.node
        name = (node.domain, node.op_type)
        if name in bodies and name not in called:
            called.add(name)
            open_nodes += bodies[name]
    return tuple(f for f in functions if (f.domain, f.name) in called)


def _hollow(tensor: TensorProto) -> None:
    """Leave nothing of a tensor but its type."""
    hollow = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    hollow.data_location = TensorProto.EXTERNAL
    # ONNX's checker looks for no file of such a name.
    hollow.external_data.add(key="location", value="#")
    tensor.CopyFrom(hollow)


def _fresh_names(graph: GraphProto) -> Iterator[str]:
    taken = set(graph_names(graph))
    return (name for k in itertools.count() if (name := f"carbonedge/{k}") not in taken)


_Message = TypeVar("_Message", FunctionProto, NodeProto, TensorProto)


def _own(message: _Message, *tensors: TensorProto) -> _Message:
    """A copy, where no data is copied with it."""
    if not any(map(uses_external_data, tensors)):
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _is_heavy_constant(node: NodeProto) -> bool:
    return (
        node.op_type == "Constant"
        and node.domain in ("", "ai.onnx")
        and len(node.attribute) == 1
        and node.attribute[0].type == AttributeProto.TENSOR
        and is_heavy(node.attribute[0].t)
    )


def _info(name: str, tensor: TensorProto) -> ValueInfoProto:
    return make_tensor_value_info(name, tensor.data_type, tuple(tensor.dims))


def _lighten_sparse(graph: GraphProto) -> None:
    for index in reversed(range(len(graph.sparse_initializer))):
        sparse = graph.sparse_initializer[index]
        if is_heavy(sparse.values):
            name, elem_type = sparse.values.name, sparse.values.data_type
            graph.input.append(make_tensor_value_info(name, elem_type, tuple(sparse.dims)))
            del graph.sparse_initializer[index]


def _lighten(graph: GraphProto, fresh: Iterator[str]) -> list[ValueInfoProto]:
    """Let a nested graph capture its heavy tensors; what it captures then."""
    captured = []
    own = {info.name for info in graph.input}
    for node in graph.node:
        if _is_heavy_constant(node):
            captured.append(_info(next(fresh), node.attribute[0].t))
            node.CopyFrom(make_node("Identity", [captured[-1].name], list(node.output)))
        for nested in nested_graphs(node):
            captured += _lighten(nested, fresh)
    for index in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[index]
        if is_heavy(tensor) and tensor.name not in own:
            captured.append(_info(next(fresh), tensor))
            graph.node.insert(0, make_node("Identity", [captured[-1].name], [tensor.name]))
            del graph.initializer[index]
    return captured


def _write_field(file: BinaryIO, tag: bytes, message: NodeProto | TensorProto) -> None:
    content = message.SerializeToString()
    file.write(tag)
    file.write(_padded_varint(len(content)))
    file.write(content)


def _padded_varint(number: int) -> bytes:
    """A number in protobuf's form, in as many bytes whatever its size."""
    last = _LENGTH_BYTES - 1
    return bytes(
        (number >> 7 * place & 0x7F) | (0x80 if place < last else 0)
        for place in range(_LENGTH_BYTES)
    )
