"""What nodes turn out to take, against what was planned with."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Cluster
from carbonedge.planning import OperatorCosts, Plan
from carbonedge.runtime.ray.worker import Report

__all__ = ["Observed", "View"]

SMOOTHING = 0.5
"""Weight of the newest report: it is a mean over many runs."""
MOST_LOAD = 0.95
"""Of others: a node whose every cycle is taken still gets its turn."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class View:
    """A cluster as it is now.

    Parameters
    ----------
    cluster
        Of the nodes that answer, with their intensities, and the memory they turned out to
        have.
    costs
        Of operators on these nodes.
    factors
        How much longer each takes than was planned with, by name.
    """

    cluster: Cluster
    costs: OperatorCosts
    factors: Mapping[str, float]

    def holds(self, plan: Plan) -> bool:
        """Whether all nodes of a plan are among these, and have the memory."""
        memory_mb = {node.name: node.memory_mb for node in self.cluster.nodes}
        return all(stage.memory_mb <= memory_mb.get(stage.node, -1.0) for stage in plan.stages)

    def drift(self, other: View) -> float:
        """By which share any figure of a node differs most; infinite for other nodes."""
        if self.factors.keys() != other.factors.keys():
            return float("inf")
        return max(
            abs(now - then) / max(then, 1e-12)
            for mine, its in zip(self.cluster.nodes, other.cluster.nodes, strict=True)
            for now, then in (
                (self.factors[mine.name], other.factors[mine.name]),
                (mine.known_intensity(), its.known_intensity()),
            )
        )


class Observed:
    """Learns from reports.

    Parameters
    ----------
    cluster, costs
        What was planned with.
    scaled
        Whether reported times are to be divided by the nodes' speed.
    """

    def __init__(self, cluster: Cluster, costs: OperatorCosts, *, scaled: bool) -> None:
        self._cluster = cluster
        self._costs = costs
        self._scaled = scaled
        self._factors = dict.fromkeys((node.name for node in cluster.nodes), 1.0)
        self._loads = dict.fromkeys(self._factors, 0.0)
        self._memory_mb = {node.name: node.memory_mb for node in cluster.nodes}

    def hear(self, name: str, report: Report, *, alone: bool) -> None:
        """Learn from a report.

        Parameters
        ----------
        name
            The node's.
        report
            The latest.
        alone
            Whether no stage runs on the node's machine: its load is then that of others.
        """
        index = self._cluster.index(name)
        speed = self._cluster.nodes[index].speed if self._scaled else 1.0
        for (start, stop), stage_ms in report.stage_ms.items():
            planned_ms = self._costs.time_ms[start:stop, index].sum()
            planned_ms += self._costs.overhead_ms[index]
            if planned_ms > 0:
                newest = stage_ms / speed / float(planned_ms)
                self._factors[name] += SMOOTHING * (newest - self._factors[name])
        self._loads[name] = report.load if alone else 0.0

    def lacks(self, name: str, memory_mb: float) -> None:
        """A stage of this size did not fit the node."""
        self._memory_mb[name] = min(self._memory_mb[name], memory_mb * (1 - 1e-6))

    def view(self, names: Collection[str], intensities: Mapping[str, float]) -> View:
        """The cluster of some of its nodes as they are now."""
        kept = [k for k, node in enumerate(self._cluster.nodes) if node.name in names]
        nodes = [
            dataclasses.replace(
                node,
                intensity_g_per_kwh=intensities[node.name],
                memory_mb=self._memory_mb[node.name],
            )
            for node in (self._cluster.nodes[k] for k in kept)
        ]
        factors = {node.name: self._factor(node.name) for node in nodes}
        links = [one for one in self._cluster.links if {one.source, one.target} <= factors.keys()]
        return View(
            Cluster(nodes, links),
            _scaled_by(self._costs, kept, np.array(list(factors.values()))),
            factors,
        )

    def _factor(self, name: str) -> float:
        return self._factors[name] / (1 - min(self._loads[name], MOST_LOAD))


def _scaled_by(
    costs: OperatorCosts, kept: Sequence[int], factors: NDArray[np.float64]
) -> OperatorCosts:
    return dataclasses.replace(
        costs,
        time_ms=costs.time_ms[:, kept] * factors,
        overhead_ms=costs.overhead_ms[kept] * factors,
    )
