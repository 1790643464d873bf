"""A plan: which operators run where, and what that is predicted to cost."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from carbonedge.planning.document import read_document

__all__ = ["Plan", "Stage", "Transfer"]

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)


@dataclass(frozen=True, slots=True)
class Stage:
    """Operators ``[start, stop)`` on one node, with what one inference costs there and the
    memory they take; 0 where it was not counted.
    """

    node: str
    start: int
    stop: int
    time_ms: float
    energy_j: float
    emissions_g: float
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """Tensors on their way from one node to another."""

    source: str
    target: str
    tensors: tuple[str, ...]
    mb: float
    time_ms: float
    energy_j: float
    emissions_g: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages with their nodes, and predictions for one inference.

    Parameters
    ----------
    stages
        In the order they run.
    transfers
        Between them, one fewer; none where they are not counted.
    latency_ms, energy_j, emissions_g
        Of one inference, transfers in.
    throughput_rps
        Inferences per second with every stage busy.
    optimal
        Whether no plan is better for the objective within the limits, proven.
    gap
        How far below the best plan may lie, as a share; 0 when optimal.
    objective
        What the plan has the least of (the most, for throughput); several with commas
        for a plan of a front.
    costs
        Where the operators' times come from.
    weights
        Of the objective ``"weighted"``.
    strategy
        Which found it: ``"exact"``, or a baseline.
    source
        The node where inputs arise and outputs return; ``None`` where their way is not
        counted.
    inputs, outputs
        Their way from and to the source; ``None`` where there is none, or it is no way.
    parting
        Cuts that part what ONNX Runtime fuses, so that the stages beside them take longer
        than is said here; ``None`` where nobody looked.

    Raises
    ------
    ValueError
        If stages do not follow one another, or return to a node, or transfers lead
        elsewhere.
    """

    stages: tuple[Stage, ...]
    transfers: tuple[Transfer, ...]
    latency_ms: float
    energy_j: float
    emissions_g: float
    throughput_rps: float
    optimal: bool
    gap: float
    objective: str
    costs: str
    weights: Mapping[str, float] | None = None
    strategy: str = "exact"
    source: str | None = None
    inputs: Transfer | None = None
    outputs: Transfer | None = None
    parting: tuple[int, ...] | None = ()

    def __post_init__(self) -> None:
        _check_stages(self.stages)
        _check_transfers(self.stages, self.transfers)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Positions between the stages."""
        return tuple(stage.start for stage in self.stages[1:])

    @property
    def identity(self) -> str:
        """Twelve digits that stand for which operators run on which nodes."""
        runs = [(stage.node, stage.start, stage.stop) for stage in self.stages]
        return hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, with the version of this form and how joules and grams
        came about.
        """
        return {"version": FORMAT_VERSION, "method": "modelled", **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """The plan as JSON, read back by `from_json`."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a plan back, of this version or the one before.

        Raises
        ------
        ValueError
            If the text is no plan, or of another version.
        """
        remedy = "give what Plan.to_json wrote"
        return read_document(text, cls, "this plan", READABLE_VERSIONS, remedy)


def _check_stages(stages: Sequence[Stage]) -> None:
    if not stages:
        raise ValueError("the plan has no stages: give at least one")
    reached, seen = 0, [stages[0].node]
    for number, stage in enumerate(stages):
        if stage.start != reached or stage.stop <= stage.start:
            raise ValueError(
                f"stage {number} of the plan runs operators {stage.start} to {stage.stop} after "
                f"{reached}: stages must follow one another from 0, each with an operator or more"
            )
        reached = stage.stop
        if stage.node != seen[-1]:
            if stage.node in seen:
                raise ValueError(
                    f"stage {number} of the plan returns to node {stage.node!r}: a node hosts one "
                    "stage"
                )
            seen.append(stage.node)


def _check_transfers(stages: Sequence[Stage], transfers: Sequence[Transfer]) -> None:
    hops = [(before.node, after.node) for before, after in itertools.pairwise(stages)]
    for number, (transfer, hop) in enumerate(zip(transfers, hops, strict=False)):
        if (transfer.source, transfer.target) != hop:
            raise ValueError(
                f"transfer {number} of the plan leads from {transfer.source!r} to "
                f"{transfer.target!r}, and its stages from {hop[0]!r} to {hop[1]!r}: make them agree"
            )
    if transfers and len(transfers) != len(hops):
        raise ValueError(
            f"the plan has {len(stages)} stages and {len(transfers)} transfers: give one fewer, "
            "or none"
        )
