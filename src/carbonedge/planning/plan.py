"""A plan: which operators run where, and what that is predicted to cost."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["Plan", "Stage", "Transfer"]

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """Operators ``[start, stop)`` on one node, with what one inference costs there."""

    node: str
    start: int
    stop: int
    time_ms: float
    energy_j: float
    emissions_g: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """Boundary tensors on their way from one stage to the next."""

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
        What the plan has the least of (the most, for throughput).
    costs
        Where the operators' times come from.
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
        """Read a plan back.

        Raises
        ------
        ValueError
            If the text is no plan, or of another version.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"this is not JSON ({error}): give what Plan.to_json wrote") from error
        version = document.get("version") if isinstance(document, Mapping) else None
        if version != FORMAT_VERSION:
            raise ValueError(
                f"this plan is of version {version!r}: this carbonedge reads {FORMAT_VERSION}"
            )
        try:
            rest = {name: value for name, value in document.items() if name != "version"}
            rest["stages"] = tuple(Stage(**stage) for stage in rest["stages"])
            rest["transfers"] = tuple(
                Transfer(**{**transfer, "tensors": tuple(transfer["tensors"])})
                for transfer in rest["transfers"]
            )
            return cls(**rest)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"this plan lacks or has too much ({error}): write it again"
            ) from error
