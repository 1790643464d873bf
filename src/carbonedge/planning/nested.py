"""What a vertex holds beyond its inputs: nested graphs, what they capture, and tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto

__all__ = [
    "function_tensors",
    "graph_names",
    "graph_tensors",
    "nested_graphs",
    "node_tensors",
    "reads",
]


def nested_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs among a vertex's attributes, such as a Loop's body."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def reads(node: NodeProto) -> list[str]:
    """Names a vertex reads, those its nested graphs capture from outside included."""
    names = [name for name in node.input if name]
    for nested in nested_graphs(node):
        names += _captures(nested)
    return names


def _captures(graph: GraphProto) -> list[str]:
    own = {value.name for value in graph.input} | {value.name for value in graph.initializer}
    own |= {value.values.name for value in graph.sparse_initializer}
    captured = []
    for node in graph.node:
        captured += [name for name in reads(node) if name not in own]
        own.update(node.output)
    captured += [output.name for output in graph.output if output.name not in own]
    return captured


def graph_names(graph: GraphProto) -> Iterator[str]:
    """Every name a graph gives a tensor, those of nested graphs included; some more than once."""
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        yield from (value.name for value in values)
    yield from (value.values.name for value in graph.sparse_initializer)
    for node in graph.node:
        yield from node.output
        for nested in nested_graphs(node):
            yield from graph_names(nested)


def graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor a graph holds: weights and attributes, those of nested graphs included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        yield from node_tensors(node)


def function_tensors(function: FunctionProto) -> Iterator[TensorProto]:
    """Every tensor a local function holds, defaults of its attributes included."""
    yield from _attribute_tensors(function.attribute_proto)
    for node in function.node:
        yield from node_tensors(node)


def node_tensors(node: NodeProto) -> Iterator[TensorProto]:
    """Every tensor a vertex holds, those of its nested graphs included."""
    yield from _attribute_tensors(node.attribute)


def _attribute_tensors(attributes: Iterable[AttributeProto]) -> Iterator[TensorProto]:
    for attribute in attributes:
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        elif attribute.type == AttributeProto.TENSORS:
            yield from attribute.tensors
        elif attribute.type == AttributeProto.SPARSE_TENSOR:
            yield attribute.sparse_tensor.values
            yield attribute.sparse_tensor.indices
        elif attribute.type == AttributeProto.GRAPH:
            yield from graph_tensors(attribute.g)
        elif attribute.type == AttributeProto.GRAPHS:
            for nested in attribute.graphs:
                yield from graph_tensors(nested)
