"""An ONNX model as the planner sees it: operators in a row and the cuts between them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from carbonedge.exceptions import ModelError
from carbonedge.planning.arithmetic import Shape, paper_cost
from carbonedge.planning.work import WorkCounter
from carbonedge.units import BYTES_PER_MB

__all__ = ["Cut", "ModelGraph", "Operator", "Tensor", "load_model", "reads", "tensor_of"]

FIRST_IR_WITH_PRIVATE_INITIALIZERS = 4

# Same inputs, other outputs: never part of what can be computed ahead or twice.
_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that enters, leaves or crosses a cut.

    Parameters
    ----------
    name
        In the model.
    dtype
        As ONNX Runtime prints it, such as ``"tensor(float)"``; empty when unknown.
    shape
        Sizes; a name or ``None`` where one is dynamic; ``None`` when the rank is unknown.
    mb
        Size in MB of 10^6 bytes, dynamic sizes taken as 1.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    mb: float


@dataclass(frozen=True, slots=True)
class Operator:
    """One ONNX vertex that computes something from a request.

    Parameters
    ----------
    name, op_type
        The name is unique in the model.
    inputs, outputs
        Names of tensors; captured ones of nested graphs stand among the inputs.
    paper_cost
        Eq. 5 of AMP4EC, no unit.
    macs
        Multiply-accumulates, those of its bodies included.
    parameter_mb
        Of the constants it reads.
    activation_mb
        Of what it puts out, and its bodies within, dynamic sizes taken as 1.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    paper_cost: int
    macs: int
    parameter_mb: float
    activation_mb: float

    @property
    def memory_mb(self) -> float:
        """What it takes on a node, as if no buffer were used again."""
        return self.parameter_mb + self.activation_mb


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where the model can be split.

    Parameters
    ----------
    position
        Operators before it.
    tensors
        What must cross it: the boundary tensors.
    """

    position: int
    tensors: tuple[Tensor, ...]

    @property
    def mb(self) -> float:
        """Size of what crosses, in MB of 10^6 bytes."""
        return sum(tensor.mb for tensor in self.tensors)


@dataclass(frozen=True, slots=True, eq=False)
class ModelGraph:
    """A model's operators in topological order, without those that only prepare
    constants and those that no output needs.

    Parameters
    ----------
    proto
        The model, checked, with shapes inferred.
    nodes
        The ONNX vertex of each operator.
    constants
        The vertices that only prepare constants.
    operators
        What runs for a request.
    cuts
        Every position, 0 to ``len(operators)``; inner ones whose boundary tensors all
        have a type and a rank.
    inputs, outputs
        What a request brings and gets.
    tensors
        By name, all that are not constant.
    """

    proto: ModelProto
    nodes: tuple[NodeProto, ...]
    constants: tuple[NodeProto, ...]
    operators: tuple[Operator, ...]
    cuts: tuple[Cut, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: Mapping[str, Tensor]

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
    name, proto = _read(model)
    _check(name, proto)
    return _graph(proto)


def _read(model: str | os.PathLike[str] | ModelProto) -> tuple[str, ModelProto]:
    if isinstance(model, ModelProto):
        copy = ModelProto()
        copy.CopyFrom(model)
        return "the model", copy
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"a model is {type(model).__name__}: give a path or an onnx.ModelProto")
    path = Path(model)
    try:
        return str(path), onnx.load(path)
    except OSError as error:
        raise ModelError(f"cannot read model file {str(path)!r}: {error.strerror}") from error
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{str(path)!r} cannot be read whole: {_first_line(error)}") from error
    except Exception as error:
        # onnx lets protobuf's own error through, whose type depends on its build.
        raise ModelError(
            f"{str(path)!r} is not an ONNX model or is cut short: export or copy it again"
        ) from error


def _check(name: str, proto: ModelProto) -> None:
    if not proto.graph.output:
        raise ModelError(f"{name} has no outputs: it is not an ONNX model or is cut short")
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{name} is not a valid ONNX model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def reads(node: NodeProto) -> list[str]:
    """Names a vertex reads, those its nested graphs capture from outside included."""
    names = [name for name in node.input if name]
    for nested in _nested_graphs(node):
        names += _captures(nested)
    return names


def _nested_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _captures(graph: GraphProto) -> list[str]:
    own = {value.name for value in graph.input} | {value.name for value in graph.initializer}
    own |= {value.values.name for value in graph.sparse_initializer}
    captured = []
    for node in graph.node:
        captured += [name for name in reads(node) if name not in own]
        own.update(node.output)
    captured += [output.name for output in graph.output if output.name not in own]
    return captured


def _graph(proto: ModelProto) -> ModelGraph:
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    graph = proto.graph
    _name_nodes(graph.node)
    _tidy_initializers(proto)
    initializers = {value.name: value for value in graph.initializer}
    initializers |= {value.values.name: value.values for value in graph.sparse_initializer}
    constant_names, constants, varying = _separate_constants(graph, set(initializers))
    nodes = _needed(varying, {output.name for output in graph.output})

    infos: dict[str, ValueInfoProto] = {
        info.name: info for info in (*graph.value_info, *graph.input, *graph.output)
    }
    tensors = {info.name: tensor_of(info) for info in infos.values()}
    shapes = {name: _shape(tensor.shape) for name, tensor in tensors.items()}
    shapes |= {name: tuple(value.dims) for name, value in initializers.items()}
    sizes = {name: tensor.mb for name, tensor in tensors.items()}
    sizes |= {name: _mb(shapes[name], value.data_type) for name, value in initializers.items()}

    work = WorkCounter(proto)
    operators = tuple(_operator(node, constant_names, shapes, sizes, work) for node in nodes)
    inputs = tuple(tensors[i.name] for i in graph.input)
    for operator in operators:
        for name in operator.outputs:
            tensors.setdefault(name, Tensor(name, "", None, 0.0))
    varying_tensors = {n: tensor for n, tensor in tensors.items() if n not in constant_names}
    return ModelGraph(
        proto=proto,
        nodes=tuple(nodes),
        constants=tuple(constants),
        operators=operators,
        cuts=_cuts(operators, inputs, varying_tensors),
        inputs=inputs,
        outputs=tuple(tensors[output.name] for output in graph.output),
        tensors=varying_tensors,
    )


def _tidy_initializers(proto: ModelProto) -> None:
    """Drop initializers that nothing reads, and take them out of the inputs, where IR 3
    demands them: ONNX Runtime would not fold what a request might set.
    """
    graph = proto.graph
    wanted = {name for node in graph.node for name in reads(node)}
    wanted |= {output.name for output in graph.output}
    own = {value.name for value in graph.initializer}
    for field, kept in (
        (graph.initializer, [v for v in graph.initializer if v.name in wanted]),
        (graph.input, [i for i in graph.input if i.name not in own]),
    ):
        if len(kept) < len(field):
            del field[:]
            field.extend(kept)
    proto.ir_version = max(proto.ir_version, FIRST_IR_WITH_PRIVATE_INITIALIZERS)


def _name_nodes(nodes: Iterable[NodeProto]) -> None:
    """Give every vertex a name of its own, so that measurements can be told apart."""
    seen: set[str] = set()
    for number, node in enumerate(nodes):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
            while node.name in seen:
                node.name += "_"
        seen.add(node.name)


def _separate_constants(
    graph: GraphProto, initializers: set[str]
) -> tuple[set[str], list[NodeProto], list[NodeProto]]:
    names = set(initializers)
    constants, varying = [], []
    for node in graph.node:
        if node.op_type not in _RANDOM and names.issuperset(reads(node)):
            constants.append(node)
            names.update(node.output)
        else:
            varying.append(node)
    return names, constants, varying


def _needed(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    wanted = set(outputs)
    needed = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            needed.append(node)
            wanted.update(reads(node))
    return needed[::-1]


def tensor_of(info: ValueInfoProto) -> Tensor:
    """A tensor as it was declared or inferred."""
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type" or not info.type.tensor_type.elem_type:
        return Tensor(info.name, "", None, 0.0)
    declared = info.type.tensor_type
    shape = (
        tuple(_size(dimension) for dimension in declared.shape.dim)
        if declared.HasField("shape")
        else None
    )
    return Tensor(
        info.name,
        _ort_dtype(declared.elem_type),
        shape,
        _mb(_shape(shape), declared.elem_type),
    )


def _size(dimension: Any) -> int | str | None:
    kind = dimension.WhichOneof("value")
    size = None if kind is None else getattr(dimension, kind)
    # Some exporters write -1 where they mean a dynamic size.
    return None if isinstance(size, int) and size < 0 else size


def _ort_dtype(elem_type: int) -> str:
    # ONNX Runtime spells three of ONNX's types out.
    spelled = {"FLOAT": "float", "DOUBLE": "double", "FLOAT16": "float16"}
    name = TensorProto.DataType.Name(elem_type)
    return f"tensor({spelled.get(name, name.lower())})"


def _shape(shape: tuple[int | str | None, ...] | None) -> Shape | None:
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) and size > 0 else 1 for size in shape)


def _mb(shape: Shape | None, elem_type: int) -> float:
    if shape is None or elem_type == TensorProto.STRING:
        return 0.0
    itemsize = onnx.helper.tensor_dtype_to_np_dtype(elem_type).itemsize
    return math.prod(shape) * itemsize / BYTES_PER_MB


def _operator(
    node: NodeProto,
    constant_names: set[str],
    shapes: Mapping[str, Shape | None],
    sizes: Mapping[str, float],
    work: WorkCounter,
) -> Operator:
    inputs = tuple(dict.fromkeys(reads(node)))
    read_shapes = [shapes.get(name) for name in node.input]
    constants = [name for name in inputs if name in constant_names]
    known = [shapes.get(name) for name in constants]
    parameters = sum(math.prod(shape) for shape in known if shape is not None)
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    return Operator(
        name=node.name,
        op_type=node.op_type,
        inputs=inputs,
        outputs=tuple(name for name in node.output if name),
        paper_cost=paper_cost(node.op_type, read_shapes, parameters, groups),
        macs=work.macs(node),
        parameter_mb=sum(sizes.get(name, 0.0) for name in constants) + _nested_mb(node),
        activation_mb=sum(sizes.get(name, 0.0) for name in node.output) + work.body_mb(node),
    )


def _nested_mb(node: NodeProto) -> float:
    """Size of the constants that nested graphs bring along."""
    total = 0.0
    for graph in _nested_graphs(node):
        tensors = [*graph.initializer, *(value.values for value in graph.sparse_initializer)]
        for inner in graph.node:
            tensors += [a.t for a in inner.attribute if a.type == AttributeProto.TENSOR]
            total += _nested_mb(inner)
        total += sum(_mb(tuple(tensor.dims), tensor.data_type) for tensor in tensors)
    return total


def _cuts(
    operators: tuple[Operator, ...], inputs: tuple[Tensor, ...], tensors: Mapping[str, Tensor]
) -> tuple[Cut, ...]:
    last_read: dict[str, int] = {}
    for position, operator in enumerate(operators):
        last_read.update(dict.fromkeys(operator.inputs, position))
    alive = [tensor for tensor in inputs if tensor.name in last_read]
    cuts = []
    for position in range(len(operators) + 1):
        if position > 0:
            alive += [tensors[name] for name in operators[position - 1].outputs]
        alive = [tensor for tensor in alive if last_read.get(tensor.name, -1) >= position]
        at_an_end = position in (0, len(operators))
        if at_an_end or all(t.dtype and t.shape is not None for t in alive):
            cuts.append(Cut(position, tuple(alive)))
    return tuple(cuts)
