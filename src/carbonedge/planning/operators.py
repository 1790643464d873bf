"""Operators: what a request makes the model compute, one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import NodeProto

from carbonedge.planning.arithmetic import Shape, paper_cost
from carbonedge.planning.constants import ConstantSizes
from carbonedge.planning.work import WorkCounter

__all__ = ["Operator", "operator"]


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
        Of the constants it reads, and of those that its attributes and bodies bring along,
        as they lie in a node's memory.
    stored_mb
        Of what these are made from, as it lies in a model's file: this is sent to a node.
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
    stored_mb: float
    activation_mb: float

    @property
    def memory_mb(self) -> float:
        """What it takes on a node, as if no buffer were used again."""
        return self.parameter_mb + self.activation_mb


def operator(
    node: NodeProto,
    reads: Sequence[str],
    constants: ConstantSizes,
    shapes: Mapping[str, Shape | None],
    sizes_mb: Mapping[str, float],
    work: WorkCounter,
) -> Operator:
    """An operator from its vertex.

    Parameters
    ----------
    node
        The vertex.
    reads
        What it reads, captured names included.
    constants
        All that is the same for every request.
    shapes, sizes_mb
        Of tensors, as far as known.
    work
        Of the model.
    """
    inputs = tuple(dict.fromkeys(reads))
    read_shapes = [shapes.get(name) for name in node.input]
    known = [shapes.get(name) for name in inputs if name in constants]
    parameters = sum(math.prod(shape) for shape in known if shape is not None)
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    return Operator(
        name=node.name,
        op_type=node.op_type,
        inputs=inputs,
        outputs=tuple(name for name in node.output if name),
        paper_cost=paper_cost(node.op_type, read_shapes, parameters, groups),
        macs=work.macs(node),
        parameter_mb=constants.held_mb(node, inputs),
        stored_mb=constants.stored_mb(node, inputs),
        activation_mb=sum(sizes_mb.get(name, 0.0) for name in node.output) + work.body_mb(node),
    )
