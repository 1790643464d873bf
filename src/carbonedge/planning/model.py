"""An ONNX model as the planner sees it: operators in a row and the cuts between them."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from carbonedge.planning.arithmetic import Shape
from carbonedge.planning.assembly import assemble
from carbonedge.planning.boxing import can_box
from carbonedge.planning.constants import ConstantSizes, separate_constants
from carbonedge.planning.cuts import Crossings, Cut, crossings, cuts_at
from carbonedge.planning.external import check_external
from carbonedge.planning.inference import declare_outputs, infer
from carbonedge.planning.nested import function_tensors, graph_tensors, reads
from carbonedge.planning.operators import Operator, operator
from carbonedge.planning.order import Links, file_order, small_order
from carbonedge.planning.reading import check, read
from carbonedge.planning.tensor import Tensor, known_shape, size_mb, tensor
from carbonedge.planning.work import WorkCounter

__all__ = ["Cut", "ModelGraph", "Operator", "Tensor", "load_model"]

FIRST_IR_WITH_PRIVATE_INITIALIZERS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ModelGraph:
    """A model's operators in a topological order with small boundaries, without those that only prepare
    constants and those that no output needs.

    Parameters
    ----------
    proto
        The model, checked; external data stays outside.
    folder
        Of the external data; ``None`` where there is none.
    nodes
        The ONNX vertex of each operator.
    constants
        The vertices that only prepare constants.
    operators
        What runs for a request.
    cuts
        Positions 0 to ``len(operators)``, but for inner ones where a tensor crosses whose
        type is not known, or which ONNX Runtime does not hand out or take in.
    inputs, outputs
        What a request brings and gets.
    tensors
        By name, all that are not constant.
    infos
        By name, types as ONNX states them, where they are known.
    name
        Of its file, without the ending, else of its graph.
    """

    proto: ModelProto
    folder: Path | None
    nodes: tuple[NodeProto, ...]
    constants: tuple[NodeProto, ...]
    operators: tuple[Operator, ...]
    cuts: tuple[Cut, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: Mapping[str, Tensor]
    infos: Mapping[str, ValueInfoProto]
    name: str = "model"

    @property
    def parameter_mb(self) -> float:
        """Of all constants, each once per operator that reads it."""
        return sum(operator.parameter_mb for operator in self.operators)

    @property
    def memory_mb(self) -> float:
        """What the whole model takes on a node, as if no buffer were used again."""
        return sum(operator.memory_mb for operator in self.operators)

    def summary(self) -> str:
        """One line on size and work."""
        work = sum(operator.macs for operator in self.operators)
        return (
            f"{self.proto.graph.name or 'model'}: {len(self.operators)} operators, "
            f"{len(self.cuts)} cuts, {self.parameter_mb:.1f} MB of parameters, "
            f"{work / 1e6:.0f} million multiply-accumulates"
        )


def load_model(model: str | os.PathLike[str] | ModelProto | ModelGraph) -> ModelGraph:
    """Read a model and find its operators and cuts.

    Parameters
    ----------
    model
        An ONNX file, a model already loaded, or a graph, which is returned as it is.

    Returns
    -------
    ModelGraph
        Dynamic dimensions count as 1 wherever a size is asked for.

    Raises
    ------
    ModelError
        If the file is missing, is not ONNX, is cut short, or breaks ONNX's rules.
    """
    if isinstance(model, ModelGraph):
        return model
    where, proto, folder = read(model)
    graph = _graph(where, proto, folder)
    own = proto.graph.name or graph.name
    return dataclasses.replace(
        graph, name=own if isinstance(model, ModelProto) else Path(model).stem
    )


def _graph(name: str, proto: ModelProto, folder: Path | None) -> ModelGraph:
    graph = proto.graph
    tensors_held = itertools.chain(graph_tensors(graph), *map(function_tensors, proto.functions))
    external = check_external(tensors_held, folder)
    _sort_nodes(proto)
    _name_nodes(graph.node)
    read_by = [tuple(dict.fromkeys(reads(node))) for node in graph.node]
    _tidy_initializers(proto, {name for names in read_by for name in names})
    skeleton = assemble(
        proto, graph.node, graph.initializer, graph.sparse_initializer, graph.input, graph.output
    ).skeleton()
    folder = folder if external else None
    declare_outputs(skeleton, proto, folder)
    check(name, skeleton)

    initializers = {value.name for value in graph.initializer}
    initializers |= {sparse.values.name for sparse in graph.sparse_initializer}
    constants, varying = separate_constants(proto, read_by, initializers)
    varying = _needed(proto, read_by, varying)
    written = [name for number in varying for name in graph.node[number].output if name]
    # Initializers and heavy constants are known for themselves.
    heavy = {info.name: tensor(info) for info in skeleton.graph.input}
    prepared = {name for number in constants for name in graph.node[number].output if name}
    read = {name for number in varying for name in read_by[number]}
    wanted = [*written, *sorted(read & prepared - heavy.keys())]
    infos = infer(skeleton, proto, folder, wanted)
    infos |= {info.name: info for info in graph.input}
    tensors = {name: tensor(info) for name, info in infos.items()}

    constant_names = prepared | initializers
    links = {
        number: Links(
            tuple(name for name in read_by[number] if name not in constant_names),
            tuple(name for name in graph.node[number].output if name),
        )
        for number in varying
    }
    shapes, sizes_mb = _shapes_and_sizes(graph, tensors | heavy)
    order = [varying[k] for k in small_order(list(links.values()), sizes_mb)]

    nodes = tuple(graph.node[number] for number in order)
    work = WorkCounter(skeleton, infos)
    held = ConstantSizes(proto, constants, read_by, sizes_mb)
    operators = tuple(
        operator(graph.node[number], read_by[number], held, shapes, sizes_mb, work)
        for number in order
    )
    kept = {name: tensors.get(name) or Tensor(name, "", None, 0.0) for name in written}
    inputs = tuple(tensors[info.name] for info in graph.input)
    outputs = tuple(tensor(info) for info in graph.output)
    crossing = crossings(
        [links[number] for number in order],
        inputs,
        [info.name for info in graph.output],
        [[kept[name] for name in op.outputs] for op in operators],
    )
    return ModelGraph(
        proto=proto,
        folder=folder,
        nodes=nodes,
        constants=tuple(graph.node[number] for number in constants),
        operators=operators,
        cuts=_cuts(crossing, boxes=can_box(proto)),
        inputs=inputs,
        outputs=outputs,
        tensors={tensor.name: tensor for tensor in inputs} | kept,
        infos=infos,
    )


def _shapes_and_sizes(
    graph: GraphProto, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Shape | None], dict[str, float]]:
    """Of all tensors, constants included, as far as known."""
    shapes = {name: known_shape(tensor.shape) for name, tensor in tensors.items()}
    sizes_mb = {name: tensor.mb for name, tensor in tensors.items()}
    for sparse in graph.sparse_initializer:
        values = sparse.values
        shapes[values.name] = tuple(sparse.dims)
        sizes_mb[values.name] = size_mb(tuple(sparse.dims), values.data_type)
    for value in graph.initializer:
        shapes[value.name] = tuple(value.dims)
        sizes_mb[value.name] = size_mb(tuple(value.dims), value.data_type)
    return shapes, sizes_mb


def _sort_nodes(proto: ModelProto) -> None:
    """Put vertices in topological order where a file does not, as ONNX Runtime permits."""
    nodes = proto.graph.node
    links = [Links(tuple(set(reads(node))), tuple(n for n in node.output if n)) for node in nodes]
    order = file_order(links)
    if order is not None and order != list(range(len(nodes))):
        moved = [NodeProto() for _ in order]
        for copy, number in zip(moved, order, strict=True):
            copy.CopyFrom(nodes[number])
        del nodes[:]
        nodes.extend(moved)


def _tidy_initializers(proto: ModelProto, read: set[str]) -> None:
    """Drop initializers that nothing reads, and take them out of the inputs, where IR 3
    demands them: ONNX Runtime would not fold what a request might set.
    """
    graph = proto.graph
    wanted = read | {output.name for output in graph.output}
    own = {value.name for value in graph.initializer}
    own |= {sparse.values.name for sparse in graph.sparse_initializer}
    for index in reversed(range(len(graph.initializer))):
        # One by one: to write a shorter list would copy the weights.
        if graph.initializer[index].name not in wanted:
            del graph.initializer[index]
    inputs = [info for info in graph.input if info.name not in own]
    if len(inputs) < len(graph.input):
        del graph.input[:]
        graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, FIRST_IR_WITH_PRIVATE_INITIALIZERS)


def _name_nodes(nodes: Sequence[NodeProto]) -> None:
    """Give every vertex a name of its own, so that measurements can be told apart."""
    seen: set[str] = set()
    for number, node in enumerate(nodes):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
            while node.name in seen:
                node.name += "_"
        seen.add(node.name)


def _needed(
    proto: ModelProto, read_by: Sequence[Sequence[str]], numbers: Sequence[int]
) -> list[int]:
    """Those of some vertices that an output needs."""
    wanted = {output.name for output in proto.graph.output}
    needed = []
    for number in reversed(numbers):
        if wanted.intersection(proto.graph.node[number].output):
            needed.append(number)
            wanted.update(read_by[number])
    return needed[::-1]


def _cuts(crossing: Crossings, *, boxes: bool) -> tuple[Cut, ...]:
    ends = (0, crossing.positions)
    obstacles = crossing.obstacles(boxes=boxes)
    positions = range(crossing.positions + 1)
    return cuts_at([p for p in positions if p in ends or not obstacles[p]], crossing)
