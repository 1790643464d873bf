"""Cutting a model into stages, each a valid ONNX model of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from onnx import ModelProto, NodeProto

from carbonedge.planning.assembly import Assembly, assemble
from carbonedge.planning.boxing import box_info, boxes, can_box, carrier, unboxes
from carbonedge.planning.element_types import can_cross
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.nested import graph_names, reads
from carbonedge.planning.reading import check
from carbonedge.planning.tensor import Tensor

__all__ = ["StageModel", "split"]


@dataclass(frozen=True, eq=False)
class StageModel:
    """One stage as a model.

    Parameters
    ----------
    start, stop
        Its operators, half-open.
    inputs, outputs
        Names: what it reads of earlier tensors, and what later stages or the user need
        of it. What crosses in a box has the name of the box; see `boxing`.
    assembly
        The model in parts.
    folder
        Of the external data; ``None`` where there is none.
    """

    start: int
    stop: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    assembly: Assembly
    folder: Path | None

    @cached_property
    def proto(self) -> ModelProto:
        """The model, its weights copied when it is first asked for."""
        return self.assembly.build()


def split(model: ModelGraph, positions: Sequence[int]) -> list[StageModel]:
    """Cut a model at positions in its operator order.

    Chained over a dictionary of tensors by name, which starts as the request, the
    stages give the whole model's outputs. Constants go to every stage that reads them.

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
    _check_positions(model, positions)
    bounds = [0, *positions, len(model.operators)]
    parts = _Parts(model)
    stages = []
    for (start, stop), ends in zip(itertools.pairwise(bounds), _ends(model, bounds), strict=True):
        stage = parts.stage(start, stop, ends)
        check(f"the stage of operators {start} to {stop}", stage.assembly.skeleton())
        stages.append(stage)
    return stages


def _check_positions(model: ModelGraph, positions: Sequence[int]) -> None:
    count = len(model.operators)
    if positions and count < 2:
        raise ValueError(f"the model has {count} operators for a request: there is nowhere to cut")
    known = {cut.position for cut in model.cuts}
    before = None
    for position in positions:
        if not 0 < position < count:
            raise ValueError(
                f"a cut at {position} has no operators on both sides: the model has {count}, so "
                f"give positions between 1 and {count - 1}"
            )
        if before is not None and position <= before:
            how = "is given twice" if position == before else f"follows {before}"
            raise ValueError(f"cut {position} {how}: give each position once, in rising order")
        if position not in known:
            raise ValueError(f"the model cannot be cut at {position}: {_obstacle(model, position)}")
        before = position


def _obstacle(model: ModelGraph, position: int) -> str:
    """The first of the tensors that cannot cross there, and why."""
    earlier = {tensor.name for tensor in model.inputs}
    earlier.update(name for operator in model.operators[:position] for name in operator.outputs)
    later = {name for operator in model.operators[position:] for name in operator.inputs}
    crosses = earlier & later
    crossing = (tensor for name, tensor in model.tensors.items() if name in crosses)
    return next(filter(None, (_why_not(model, tensor) for tensor in crossing)))


def _why_not(model: ModelGraph, tensor: Tensor) -> str | None:
    if not tensor.dtype:
        return f"tensor {tensor.name!r} of unknown type crosses there"
    if not can_cross(tensor.dtype):
        return f"{tensor.name!r} crosses there, and ONNX Runtime hands over no {tensor.dtype}"
    if carrier(tensor) != tensor.name and not can_box(model.proto):
        return f"tensor {tensor.name!r} of unknown rank crosses there, which takes opset 11"
    return None


@dataclass(frozen=True, slots=True)
class _Ends:
    """Names that a stage reads of what came before, that later ones read of it, and that
    the user gets of it.
    """

    reads: list[str] = field(default_factory=list)
    passes: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


def _ends(model: ModelGraph, bounds: Sequence[int]) -> list[_Ends]:
    """In one pass over the operators."""
    ends = [_Ends() for _ in bounds[1:]]
    made_by: dict[str, int] = {}
    passed: set[str] = set()
    for stage, (start, stop) in enumerate(itertools.pairwise(bounds)):
        seen: set[str] = set()
        for operator in model.operators[start:stop]:
            for name in operator.inputs:
                if name in model.tensors and made_by.get(name) != stage and name not in seen:
                    seen.add(name)
                    ends[stage].reads.append(name)
            made_by.update(dict.fromkeys(operator.outputs, stage))
        passed |= seen
    for name, stage in made_by.items():
        if name in passed:
            ends[stage].passes.append(name)
    for name in dict.fromkeys(output.name for output in model.outputs):
        if name in made_by:
            ends[made_by[name]].results.append(name)
        elif name not in model.tensors:
            # What is the same for every request comes out of the last.
            ends[-1].results.append(name)
    return ends


class _Parts:
    """What stages of a model are made of, by name."""

    def __init__(self, model: ModelGraph) -> None:
        graph = model.proto.graph
        self._model = model
        self._initializers = {value.name: value for value in graph.initializer}
        self._sparse = {value.values.name: value for value in graph.sparse_initializer}
        self._prepared_by = {
            name: number
            for number, node in enumerate(model.constants)
            for name in node.output
            if name
        }
        self._stated = {info.name: info for info in graph.value_info}
        self._results = {info.name: info for info in graph.output}
        self._annotations = {note.tensor_name: note for note in graph.quantization_annotation}
        self._taken = frozenset(graph_names(graph))

    def stage(self, start: int, stop: int, ends: _Ends) -> StageModel:
        model, taken = self._model, self._taken
        reads_, passes = self._tensors(ends.reads), self._tensors(ends.passes)
        inputs = {carrier(t, taken): box_info(t, model.infos[t.name], taken) for t in reads_}
        # A result that is passed on as well is declared as it is to later stages.
        outputs = {name: self._results[name] for name in ends.results}
        outputs |= {carrier(t, taken): box_info(t, model.infos[t.name], taken) for t in passes}

        wanted = {name for operator in model.operators[start:stop] for name in operator.inputs}
        wanted.update(ends.results)
        nodes = (*self._preparing(wanted), *model.nodes[start:stop])
        inner = dict.fromkeys(name for node in nodes for name in node.output)
        known = sorted({*inner, *wanted})
        assembly = assemble(
            model.proto,
            (*unboxes(reads_, taken), *nodes, *boxes(passes, taken)),
            _present(self._initializers, known),
            _present(self._sparse, known),
            inputs.values(),
            outputs.values(),
        )
        graph = assembly.light.graph
        graph.value_info.extend(
            self._stated[name] for name in inner if name in self._stated and name not in outputs
        )
        graph.quantization_annotation.extend(_present(self._annotations, known))
        return StageModel(start, stop, tuple(inputs), tuple(outputs), assembly, model.folder)

    def _tensors(self, names: Iterable[str]) -> list[Tensor]:
        return [self._model.tensors[name] for name in names]

    def _preparing(self, wanted: set[str]) -> list[NodeProto]:
        """The vertices that make the constants among some names, which are extended by
        what these read.
        """
        numbers: set[int] = set()
        open_names = list(wanted)
        while open_names:
            number = self._prepared_by.get(open_names.pop())
            if number is not None and number not in numbers:
                numbers.add(number)
                names = reads(self._model.constants[number])
                wanted.update(names)
                open_names += names
        return [self._model.constants[number] for number in sorted(numbers)]


_Value = TypeVar("_Value")


def _present(values: Mapping[str, _Value], names: Iterable[str]) -> list[_Value]:
    return [values[name] for name in names if name in values]
