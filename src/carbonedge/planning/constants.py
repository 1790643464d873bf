"""What a model computes alike for every request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from carbonedge.planning.nested import nested_graphs
from carbonedge.planning.tensor import size_mb
from carbonedge.units import BYTES_PER_MB

__all__ = ["ConstantSizes", "separate_constants"]

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

LONG_LIST = 64
"""More numbers than say how an operator works: they are what it works with."""

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


class ConstantSizes:
    """What the constants of a model take, in MB of 10^6 bytes.

    Parameters
    ----------
    model
        Its vertices in topological order.
    numbers
        Of the vertices that prepare constants.
    read_by
        Names that each vertex reads.
    sizes_mb
        Of tensors, as far as known.
    """

    __slots__ = ("_functions", "_maker", "_nodes", "_read_by", "_sizes_mb", "_stored_mb")

    def __init__(
        self,
        model: ModelProto,
        numbers: Sequence[int],
        read_by: Sequence[Sequence[str]],
        sizes_mb: Mapping[str, float],
    ) -> None:
        graph = model.graph
        self._functions = {(f.domain, f.name): f for f in model.functions}
        self._nodes = graph.node
        self._read_by = read_by
        self._sizes_mb = sizes_mb
        self._maker = {name: n for n in numbers for name in graph.node[n].output if name}
        self._stored_mb = {value.name: _tensor_mb(value) for value in graph.initializer}
        for sparse in graph.sparse_initializer:
            values = sparse.values
            self._stored_mb[values.name] = _tensor_mb(values) + _tensor_mb(sparse.indices)

    def __contains__(self, name: object) -> bool:
        return name in self._stored_mb or name in self._maker

    def held_mb(self, node: NodeProto, reads: Sequence[str]) -> float:
        """Memory of the constants that a vertex reads, as it reads them, and brings along."""
        return self._brought_mb(node) + sum(map(self._read_mb, self._among(reads)))

    def stored_mb(self, node: NodeProto, reads: Sequence[str]) -> float:
        """Size in a file of what these constants are made of, and of what it brings along."""
        total = self._brought_mb(node)
        seen: set[str | int] = set()
        open_names = self._among(reads)
        while open_names:
            name = open_names.pop()
            maker = self._maker.get(name)
            if (name if maker is None else maker) in seen:
                continue
            if maker is None:
                seen.add(name)
                total += self._stored_mb[name]
            else:
                seen.add(maker)
                total += self._brought_mb(self._nodes[maker])
                open_names += self._among(self._read_by[maker])
        return total

    def _among(self, names: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name in self]

    def _read_mb(self, name: str) -> float:
        size_mb = self._sizes_mb.get(name, 0.0)
        maker = self._maker.get(name)
        if maker is None or self._nodes[maker].op_type != "DequantizeLinear":
            # What ONNX Runtime makes of constants when it loads stands in their place.
            return size_mb
        return size_mb + sum(map(self._read_mb, self._among(self._read_by[maker])))

    def _brought_mb(self, node: NodeProto) -> float:
        """Its attributes, weights of nested graphs, and constants of the function it calls."""
        total = sum(map(_attribute_mb, node.attribute))
        for graph in nested_graphs(node):
            total += sum(map(_tensor_mb, _initializers(graph)))
            total += sum(map(self._brought_mb, graph.node))
        function = self._functions.get((node.domain, node.op_type))
        if function is not None:
            total += sum(map(self._brought_mb, function.node))
        return total


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices


def _attribute_mb(attribute: AttributeProto) -> float:
    """Of its tensors, and of lists as long as those of a forest's trees."""
    if attribute.type == AttributeProto.TENSOR:
        return _tensor_mb(attribute.t)
    if attribute.type == AttributeProto.SPARSE_TENSOR:
        sparse = attribute.sparse_tensor
        return _tensor_mb(sparse.values) + _tensor_mb(sparse.indices)
    if len(attribute.floats) + len(attribute.ints) + len(attribute.strings) > LONG_LIST:
        listed = 4 * len(attribute.floats) + 8 * len(attribute.ints)
        return (listed + sum(map(len, attribute.strings))) / BYTES_PER_MB
    return sum(map(_tensor_mb, attribute.tensors))


def _tensor_mb(tensor: TensorProto) -> float:
    return size_mb(tuple(tensor.dims), tensor.data_type)


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
