"""What it costs to leave a plan for another: parameters on the move and sessions to start."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonedge.carbon.emissions import stage_emissions_g
from carbonedge.planning.formulation import Formulation
from carbonedge.planning.plan import Plan
from carbonedge.planning.problem import PartitionProblem
from carbonedge.planning.search import Prices
from carbonedge.units import J_PER_KWH, MEGABITS_PER_MB, MS_PER_S

__all__ = ["Switching", "switching_from"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Switching:
    """Costs of leaving a plan, in the objective's unit.

    Parameters
    ----------
    moving
        To bring each operator's parameters to each node from where they are; shape [L, N],
        infinite where no links lead there.
    starting
        A session on each node; shape [N].
    stages
        Node, start and stop of the stages in force, in the problem's numbers.
    """

    moving: Floats
    starting: Floats
    stages: frozenset[tuple[int, int, int]]

    def cost(self, cuts: Sequence[int], nodes: Sequence[int]) -> float:
        """Of moving to a plan; stages that stay as they are cost nothing."""
        total = 0.0
        for node, start, stop in _stages(cuts, nodes, len(self.moving)):
            if (node, start, stop) not in self.stages:
                total += self.starting[node] + self.moving[start:stop, node].sum()
        return float(total)

    def opened(self) -> Floats:
        """Starting on nodes that have no stage in force: what any plan with them pays."""
        used = [node for node, _, _ in self.stages]
        opened = self.starting.copy()
        opened[used] = 0.0
        return opened


def switching_from(
    plan: Plan, formulation: Formulation, prices: Prices, session_start_ms: float
) -> Switching:
    """The costs of leaving a plan.

    Parameters
    ----------
    plan
        In force. Parameters on nodes that are no longer there come from outside, at no
        cost.
    formulation
        Of its model, on the cluster of now; its cuts include the plan's.
    prices
        Of a ms, a J and a g.
    session_start_ms
        At the node's full power.
    """
    problem, nodes = formulation.problem, formulation.cluster.nodes
    position = {cut.position: number for number, cut in enumerate(formulation.cuts)}
    index = {node.name: number for number, node in enumerate(nodes)}
    per_mb = _prices_per_mb(problem, prices)
    moving = np.zeros_like(problem.time_ms)
    stages = set()
    stored_mb = formulation.stored_mb()
    for stage in plan.stages:
        start, stop = position[stage.start], position[stage.stop]
        node = index.get(stage.node)
        if node is not None:
            stages.add((node, start, stop))
            held = stored_mb[start:stop, np.newaxis]
            # Nothing is to be moved of an operator without parameters, even where no way is.
            moving[start:stop] = np.where(held > 0, held, 1.0) * np.where(held > 0, per_mb[node], 0)
    starting = []
    for spec in nodes:
        energy_j = spec.power_w * session_start_ms / MS_PER_S
        grams = stage_emissions_g(spec, energy_j, session_start_ms)
        starting.append(np.dot(prices, (session_start_ms, energy_j, grams)))
    return Switching(moving, np.array(starting), frozenset(stages))


def _prices_per_mb(problem: PartitionProblem, prices: Prices) -> Floats:
    """Of a MB from node to node along the cheapest chain of links; shape [N, N]. A stream
    of parameters waits for bandwidths, not for latencies.
    """
    per_ms, per_j, per_g = prices
    intensity = problem.intensity_g_per_kwh
    mean = (intensity[:, np.newaxis] + intensity) / 2 / J_PER_KWH
    per_mb = per_ms * MEGABITS_PER_MB * MS_PER_S / problem.link_mbps
    per_mb = per_mb + (per_j + per_g * mean) * problem.link_j_per_mb
    per_mb[np.isinf(problem.link_latency_ms)] = np.inf
    np.fill_diagonal(per_mb, 0.0)
    for between in range(len(per_mb)):
        per_mb = np.minimum(per_mb, per_mb[:, [between]] + per_mb[between])
    return per_mb


def _stages(
    cuts: Sequence[int], nodes: Sequence[int], num_operators: int
) -> Iterator[tuple[int, int, int]]:
    bounds = itertools.pairwise([0, *cuts, num_operators])
    for node, (start, stop) in zip(nodes, bounds, strict=True):
        yield node, start, stop
