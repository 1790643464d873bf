"""What a vertex holds beyond its inputs: nested graphs, what they capture, and tensors."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

__all__ = ["graph_tensors", "nested_graphs", "node_tensors", "reads"]


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


def graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor a graph holds: weights and attributes, those of nested graphs included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        yield from node_tensors(node)


def node_tensors(node: NodeProto) -> Iterator[TensorProto]:
    """Every tensor a vertex holds, those of its nested graphs included."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        elif attribute.type == AttributeProto.TENSORS:
            yield from attribute.tensors
        elif attribute.type == AttributeProto.SPARSE_TENSOR:
            yield attribute.sparse_tensor.values
            yield attribute.sparse_tensor.indices
    for nested in nested_graphs(node):
        yield from graph_tensors(nested)
