"""Cutting a model into stages, each a valid ONNX model of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto

from carbonedge.exceptions import ModelError
from carbonedge.planning.model import ModelGraph, reads

__all__ = ["StageModel", "split"]


@dataclass(frozen=True, slots=True, eq=False)
class StageModel:
    """One stage as a model.

    Parameters
    ----------
    start, stop
        Its operators, half-open.
    proto
        The model: reads what it needs of earlier tensors, puts out what later stages or
        the user need of it.
    inputs, outputs
        Names, in the order of the model's.
    """

    start: int
    stop: int
    proto: ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def split(model: ModelGraph, positions: Sequence[int]) -> list[StageModel]:
    """Cut a model at positions in its operator order.

    Chained over a dictionary of tensors by name, the stages give the whole model's
    outputs. Constants are copied into every stage that reads them.

    Parameters
    ----------
    model
        From `load_model`.
    positions
        Strictly rising, each of them one of ``model.cuts`` and neither first nor last.

    Returns
    -------
    list of StageModel
        One more than there are positions.

    Raises
    ------
    ValueError
        If the positions do not rise or one is not a cut.
    ModelError
        If a stage breaks ONNX's rules.
    """
    bounds = [0, *positions, len(model.operators)]
    _check_positions(model, bounds)
    return [_stage(model, start, stop) for start, stop in itertools.pairwise(bounds)]


def _check_positions(model: ModelGraph, bounds: Sequence[int]) -> None:
    known = {cut.position for cut in model.cuts}
    for before, position in itertools.pairwise(bounds):
        if position <= before and len(model.operators):
            raise ValueError(
                f"cut {position} follows {before}: give rising positions between 1 and "
                f"{len(model.operators) - 1}"
            )
        if position not in known:
            raise ValueError(
                f"the model cannot be cut at {position}: a tensor of unknown type crosses there"
            )


def _stage(model: ModelGraph, start: int, stop: int) -> StageModel:
    operators = model.operators[start:stop]
    last = stop == len(model.operators)
    produced = {name for operator in operators for name in operator.outputs}
    results = [output.name for output in model.outputs]
    constant_results = {name for node in model.constants for name in node.output}
    constant_results |= {value.name for value in model.proto.graph.initializer}

    read_later = {n for operator in model.operators[stop:] for n in operator.inputs}
    outputs = [name for operator in operators for name in operator.outputs if name in read_later]
    outputs += [name for name in results if name in produced and name not in outputs]
    if last:
        outputs += [name for name in results if name in constant_results]

    wanted = {name for operator in operators for name in operator.inputs} | set(outputs)
    constants = _preparing(model.constants, wanted)
    wanted |= {name for node in constants for name in reads(node)}
    inputs = [
        name
        for name in dict.fromkeys(n for operator in operators for n in operator.inputs)
        if name in model.tensors and name not in produced
    ]
    proto = _model(model, (*constants, *model.nodes[start:stop]), inputs, outputs, wanted)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError(f"operators {start} to {stop} do not stand alone: {reason}") from error
    return StageModel(start, stop, proto, tuple(inputs), tuple(outputs))


def _preparing(constants: Sequence[NodeProto], wanted: set[str]) -> list[NodeProto]:
    needed = set(wanted)
    kept = []
    for node in reversed(constants):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(reads(node))
    return kept[::-1]


def _model(
    model: ModelGraph,
    nodes: Iterable[NodeProto],
    inputs: Sequence[str],
    outputs: Sequence[str],
    wanted: set[str],
) -> ModelProto:
    whole = model.proto
    infos: dict[str, ValueInfoProto] = {
        info.name: info
        for info in (*whole.graph.value_info, *whole.graph.input, *whole.graph.output)
    }
    proto = ModelProto()
    proto.ir_version = whole.ir_version
    proto.producer_name = whole.producer_name
    proto.opset_import.extend(whole.opset_import)
    proto.functions.extend(whole.functions)
    proto.metadata_props.extend(whole.metadata_props)
    graph = proto.graph
    graph.name = whole.graph.name or "stage"
    graph.node.extend(nodes)
    graph.initializer.extend(v for v in whole.graph.initializer if v.name in wanted)
    graph.sparse_initializer.extend(
        v for v in whole.graph.sparse_initializer if v.values.name in wanted
    )
    graph.input.extend(infos[name] for name in inputs)
    graph.output.extend(infos[name] for name in outputs)
    return proto
