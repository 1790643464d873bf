"""A plan: which operators run where, and what that is predicted to cost."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
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
        Between them, one fewer.
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

    @property
    def cuts(self) -> tuple[int, ...]:
        """Positions between the stages."""
        return tuple(stage.start for stage in self.stages[1:])

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, with the version of this form."""
        return {"version": FORMAT_VERSION, **dataclasses.asdict(self)}

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
        rest = read_document(text, "this plan", READABLE_VERSIONS, remedy)
        try:
            rest["stages"] = tuple(Stage(**stage) for stage in rest["stages"])
            rest["transfers"] = tuple(map(_transfer, rest["transfers"]))
            for way in ("inputs", "outputs"):
                if rest.get(way) is not None:
                    rest[way] = _transfer(rest[way])
            return cls(**rest)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"this plan lacks or has too much ({error}): write it again"
            ) from error


def _transfer(document: Mapping[str, Any]) -> Transfer:
    return Transfer(**{**document, "tensors": tuple(document["tensors"])})
