"""How much each component of a score counts, and the modes that name such choices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from carbonedge._validation import non_negative

__all__ = ["MODES", "SCORINGS", "Weights", "resolve_mode", "resolve_scoring"]

SCORINGS = ("paper", "normalized", "constrained")
"""How components become a score, in the order of the core's ``Scoring``."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts in a choice of node; only the proportions matter.

    Parameters
    ----------
    resource
        Share of CPU and memory left free.
    load
        CPU not in use.
    performance
        Latency.
    balance
        Tasks running already.
    carbon
        Emissions of the task.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or all are 0.
    """

    resource: float
    load: float
    performance: float
    balance: float
    carbon: float

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            weight = non_negative(f"weight {field.name!r}", getattr(self, field.name))
            object.__setattr__(self, field.name, weight)
        if sum(self) == 0:
            raise ValueError("the weights sum to 0: make at least one greater")

    def __iter__(self) -> Iterator[float]:
        return iter((self.resource, self.load, self.performance, self.balance, self.carbon))


MODES: Mapping[str, Weights] = MappingProxyType(
    {
        "performance": Weights(0.25, 0.25, 0.30, 0.15, 0.05),
        "balanced": Weights(0.20, 0.20, 0.15, 0.15, 0.30),
        "green": Weights(0.15, 0.15, 0.10, 0.10, 0.50),
    }
)
"""The weights of the CarbonEdge paper (arXiv 2603.27420)."""


def resolve_mode(mode: str | Weights) -> Weights:
    """The weights that a mode names.

    Raises
    ------
    ValueError
        If there is no such mode.
    """
    if isinstance(mode, Weights):
        return mode
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not known: choose one of {', '.join(MODES)}")
    return MODES[mode]


def resolve_scoring(scoring: str) -> int:
    """The core's number of a scoring.

    Raises
    ------
    ValueError
        If there is no such scoring.
    """
    if scoring not in SCORINGS:
        raise ValueError(f"scoring {scoring!r} is not known: choose one of {', '.join(SCORINGS)}")
    return SCORINGS.index(scoring)
