"""What tells one model from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from carbonedge.planning.model import ModelGraph

__all__ = ["fingerprint"]


def fingerprint(model: ModelGraph) -> str:
    """128 bits of the SHA-256 of what a model computes, weights included, in hexadecimal.

    What people and tools note beside that (documentation, inferred shapes, metadata)
    does not count. Of weights kept in files of their own, the file's name and the place
    in it count, not the content.
    """
    digest = hashlib.sha256()
    for part in _parts(model):
        # Lengths keep one part's end from passing for the next one's start.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:32]


def _parts(model: ModelGraph) -> Iterator[bytes]:
    proto = model.proto
    for opset in proto.opset_import:
        yield f"{opset.domain} {opset.version}".encode()
    for function in proto.functions:
        yield function.SerializeToString(deterministic=True)
    for value in proto.graph.input:
        yield value.type.SerializeToString(deterministic=True)
    yield from _graph_parts(proto.graph)


def _graph_parts(graph: GraphProto) -> Iterator[bytes]:
    # The types of all but the model's inputs are inferred, by one version or another.
    yield "\0".join(value.name for value in graph.input).encode()
    yield "\0".join(value.name for value in graph.output).encode()
    for node in graph.node:
        yield from _node_parts(node)
    for tensor in graph.initializer:
        yield from _tensor_parts(tensor)
    for sparse in graph.sparse_initializer:
        yield str(list(sparse.dims)).encode()
        yield from _tensor_parts(sparse.values)
        yield from _tensor_parts(sparse.indices)


def _node_parts(node: NodeProto) -> Iterator[bytes]:
    yield "\0".join((node.domain, node.op_type, *node.input, "", *node.output)).encode()
    for attribute in node.attribute:
        yield attribute.name.encode()
        if attribute.type == AttributeProto.GRAPH:
            yield from _graph_parts(attribute.g)
        elif attribute.type == AttributeProto.TENSOR:
            yield from _tensor_parts(attribute.t)
        else:
            yield attribute.SerializeToString(deterministic=True)


def _tensor_parts(tensor: TensorProto) -> Iterator[bytes]:
    yield f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode()
    # Most weights are raw, and large: no copy of the whole message for those.
    if tensor.HasField("raw_data"):
        yield tensor.raw_data
    else:
        yield tensor.SerializeToString(deterministic=True)
