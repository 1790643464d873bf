"""What a model computes alike for every request."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from carbonedge.planning.nested import nested_graphs

__all__ = ["separate_constants"]

# Same inputs, other outputs: never part of what can be computed ahead or twice.
_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
# Of other domains nobody knows what an operator does besides.
_KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")

_Functions = dict[tuple[str, str], FunctionProto]


def separate_constants(
    model: ModelProto, read_by: Sequence[Sequence[str]], initializers: set[str]
) -> tuple[list[int], list[int]]:
    """Numbers of the vertices that depend on no input, and of all others.

    Parameters
    ----------
    model
        Its vertices in topological order.
    read_by
        Names that each vertex reads.
    initializers
        Names of tensors that are constant from the start.
    """
    functions = {(f.domain, f.name): f for f in model.functions}
    names = set(initializers)
    constants, varying = [], []
    for number, node in enumerate(model.graph.node):
        if names.issuperset(read_by[number]) and _repeats(node, functions):
            constants.append(number)
            names.update(node.output)
        else:
            varying.append(number)
    return constants, varying


def _repeats(node: NodeProto, functions: _Functions) -> bool:
    """Whether the same inputs always give the same outputs."""
    function = functions.get((node.domain, node.op_type))
    if function is not None:
        return all(_repeats(inner, functions) for inner in function.node)
    if node.domain not in _KNOWN_DOMAINS or node.op_type in _RANDOM or _is_training(node):
        return False
    return all(_graph_repeats(nested, functions) for nested in nested_graphs(node))


def _graph_repeats(graph: GraphProto, functions: _Functions) -> bool:
    return all(_repeats(node, functions) for node in graph.node)


def _is_training(node: NodeProto) -> bool:
    return node.op_type.endswith("Dropout") and len(node.input) > 2
