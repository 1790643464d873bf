"""Operators of ONNX Runtime's optimiser in ONNX's own domain, where onnx does not know them."""

from __future__ import annotations

from onnx import GraphProto, ModelProto, NodeProto
from onnx.helper import make_node

from carbonedge.planning.nested import nested_graphs

__all__ = ["replace_borrowed"]

# The version of ONNX that has them, if any.
_KNOWN_FROM = {"LayerNormalization": 17.0, "SimplifiedLayerNormalization": float("inf")}


def replace_borrowed(model: ModelProto) -> None:
    """Put in their place what gives the same types, so that onnx can check and infer."""
    versions = {opset.domain: opset.version for opset in model.opset_import}
    _replace(model.graph, versions.get("", versions.get("ai.onnx", 0)))


def _replace(graph: GraphProto, version: int) -> None:
    for node in graph.node:
        if _is_borrowed(node, version):
            node.CopyFrom(make_node("Identity", node.input[:1], node.output[:1], name=node.name))
        for nested in nested_graphs(node):
            _replace(nested, version)


def _is_borrowed(node: NodeProto, version: int) -> bool:
    return (
        node.domain in ("", "ai.onnx")
        and version < _KNOWN_FROM.get(node.op_type, 0)
        and not any(node.output[1:])
    )
