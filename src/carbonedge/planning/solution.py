"""A plan of a partition problem, in positions and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from carbonedge.units import MS_PER_S

__all__ = ["PartitionSolution", "throughput_rps"]


@dataclass(frozen=True, slots=True)
class PartitionSolution:
    """A plan of a problem.

    Parameters
    ----------
    cuts
        Positions between the stages, one fewer than there are stages.
    nodes
        Of each stage, by index.
    latency_ms, energy_j, emissions_g
        Of one inference, transfers in.
    throughput_rps
        Inferences per second with every stage busy: the slowest stage or transfer's.
    optimal
        Whether no plan is better, proven.
    gap
        How much better a plan may be, as a share of the objective; of a front in all
        objectives at once. 0 when optimal, 1 when nothing is known.
    """

    cuts: tuple[int, ...]
    nodes: tuple[int, ...]
    latency_ms: float
    energy_j: float
    emissions_g: float
    throughput_rps: float
    optimal: bool
    gap: float


def throughput_rps(slowest_ms: float) -> float:
    """Inferences per second through parts of which the slowest takes this."""
    return MS_PER_S / slowest_ms if slowest_ms > 0 else math.inf
