"""What tells one model from another."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto
from onnx.external_data_helper import uses_external_data

from carbonedge.planning.model import ModelGraph

__all__ = ["fingerprint"]

_Part = bytes | memoryview


def fingerprint(model: ModelGraph) -> str:
    """128 bits of the SHA-256 of what a model computes, weights included, in hexadecimal.

    What people and tools note beside that (documentation, inferred shapes, metadata)
    does not count, nor whether weights lie in files of their own. Those are read.
    """
    digest = hashlib.sha256()
    for part in _parts(model):
        # Lengths keep one part's end from passing for the next one's start.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:32]


def _parts(model: ModelGraph) -> Iterator[_Part]:
    proto = model.proto
    for opset in proto.opset_import:
        yield f"{opset.domain} {opset.version}".encode()
    for function in proto.functions:
        yield function.SerializeToString(deterministic=True)
    for value in proto.graph.input:
        yield value.type.SerializeToString(deterministic=True)
    yield from _graph_parts(proto.graph, model.folder)


def _graph_parts(graph: GraphProto, folder: Path | None) -> Iterator[_Part]:
    # The types of all but the model's inputs are inferred, by one version or another.
    yield "\0".join(value.name for value in graph.input).encode()
    yield "\0".join(value.name for value in graph.output).encode()
    for node in graph.node:
        yield from _node_parts(node, folder)
    for tensor in graph.initializer:
        yield from _tensor_parts(tensor, folder)
    for sparse in graph.sparse_initializer:
        yield str(list(sparse.dims)).encode()
        yield from _tensor_parts(sparse.values, folder)
        yield from _tensor_parts(sparse.indices, folder)


def _node_parts(node: NodeProto, folder: Path | None) -> Iterator[_Part]:
    yield "\0".join((node.domain, node.op_type, *node.input, "", *node.output)).encode()
    for attribute in node.attribute:
        yield attribute.name.encode()
        if attribute.type == AttributeProto.GRAPH:
            yield from _graph_parts(attribute.g, folder)
        elif attribute.type == AttributeProto.TENSOR:
            yield from _tensor_parts(attribute.t, folder)
        else:
            yield attribute.SerializeToString(deterministic=True)


def _tensor_parts(tensor: TensorProto, folder: Path | None) -> Iterator[_Part]:
    yield f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode()
    # Most weights are raw, and large: no copy of the whole message for those.
    if tensor.HasField("raw_data"):
        yield tensor.raw_data
    elif folder is not None and uses_external_data(tensor):
        yield from _from_file(tensor, folder)
    else:
        yield tensor.SerializeToString(deterministic=True)


def _from_file(tensor: TensorProto, folder: Path) -> Iterator[memoryview]:
    """The bytes that a tensor has in a file; that they are there was seen when it was loaded."""
    stated = {entry.key: entry.value for entry in tensor.external_data}
    path = folder / stated["location"]
    start = int(stated.get("offset", 0))
    stop = start + int(stated["length"]) if "length" in stated else None
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as whole,
        whole[start:stop] as part,
    ):
        yield part
