"""What nodes turn out to take, against what was planned with."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Cluster
from carbonedge.planning import OperatorCosts, Plan
from carbonedge.planning.infeasible import ROUNDING
from carbonedge.runtime.ray.worker import Report

__all__ = ["Observed", "View"]

REPORTS = 5
"""Of which the median counts: a slow first run of a new session, or a moment's disturbance, does
not."""
FEWEST = 3
"""Reports before a node's own count."""
FORGET_S = 600.0
"""A node where nothing has run for so long may be as fast again as it was."""
SMOOTHING = 0.5
"""Weight of the newest load."""
LEAST_MB = 1e-6
MOST_LOAD = 0.75
"""Of others: a node whose every cycle is taken still gives a stage its turn."""


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
        memory_mb = {node.name: node.memory_mb * (1 + ROUNDING) for node in self.cluster.nodes}
        return all(stage.memory_mb <= memory_mb.get(stage.node, -1.0) for stage in plan.stages)

    def drift(self, other: View) -> float:
        """By which share any figure of a node differs most; infinite where one has come, while
        no plan gets better by one that has gone.
        """
        if not self.factors.keys() <= other.factors.keys():
            return float("inf")
        others = {node.name: node for node in other.cluster.nodes}
        return max(
            abs(now - then) / max(then, 1e-12)
            for node in self.cluster.nodes
            for now, then in (
                (self.factors[node.name], other.factors[node.name]),
                (node.known_intensity(), others[node.name].known_intensity()),
            )
        )


class Observed:
    """Learns from reports.

    Where stages run, their times tell how much longer a node takes than was planned with; that
    holds its load too. What all nodes are off by is an error of the plan's costs, not theirs:
    it is expected of those where nothing has run, so that they seem no better. Where
    no stage runs any more, a node takes as much longer as the others' load there does not
    explain, and then what that load is now makes it.

    Parameters
    ----------
    cluster, costs
        What was planned with.
    scaled
        Whether reported times are to be divided by the nodes' speed.
    clock
        Seconds that pass.
    """

    def __init__(
        self,
        cluster: Cluster,
        costs: OperatorCosts,
        *,
        scaled: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._costs = costs
        self._scaled = scaled
        self._clock = clock
        self._nodes = {node.name: _Heard() for node in cluster.nodes}

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
        heard = self._nodes[name]
        index = self._cluster.index(name)
        speed = self._cluster.nodes[index].speed if self._scaled else 1.0
        planned_ms = sum(
            float(self._costs.time_ms[start:stop, index].sum() + self._costs.overhead_ms[index])
            for start, stop in report.stage_ms
        )
        if planned_ms > 0:
            heard.factors.append(sum(report.stage_ms.values()) / speed / planned_ms)
            heard.ran_s = self._clock()
            if len(heard.factors) >= FEWEST:
                heard.least = min(heard.least, statistics.median_low(heard.factors))
        # The first report after a stage has gone, or a worker has started, still tells of it.
        heard.alone = heard.alone + 1 if alone else 0
        if heard.alone == 2:
            heard.load = report.load
            self._explain(heard)
        elif heard.alone:
            heard.load += SMOOTHING * (report.load - heard.load)
        if report.memory_free_mb > heard.lacked_mb:
            heard.lacked_mb = float("inf")

    def lacks(self, name: str, memory_mb: float, *, lasting: bool = False) -> None:
        """A node has no more than this, until it says that more is free, or for good."""
        heard = self._nodes[name]
        if lasting:
            heard.outgrown_mb = min(heard.outgrown_mb, memory_mb)
        heard.lacked_mb = min(heard.lacked_mb, memory_mb)

    def view(self, names: Collection[str], intensities: Mapping[str, float]) -> View:
        """The cluster of some of its nodes as they are now."""
        kept = [k for k, node in enumerate(self._cluster.nodes) if node.name in names]
        nodes = [
            dataclasses.replace(
                node,
                intensity_g_per_kwh=intensities[node.name],
                memory_mb=min(node.memory_mb, self._nodes[node.name].has_mb),
            )
            for node in (self._cluster.nodes[k] for k in kept)
        ]
        factors = {node.name: self._factor(self._nodes[node.name]) for node in nodes}
        links = [one for one in self._cluster.links if {one.source, one.target} <= factors.keys()]
        return View(
            Cluster(nodes, links),
            _scaled_by(self._costs, kept, np.array(list(factors.values()))),
            factors,
        )

    def _explain(self, heard: _Heard) -> None:
        """Take off what the load of others made a node take longer, but no more than it did."""
        usual, left = self._usual(), 1 - min(heard.load, MOST_LOAD)
        own = [max(factor * left, min(factor, usual)) for factor in heard.factors]
        heard.factors.clear()
        heard.factors.extend(own)

    def _factor(self, heard: _Heard) -> float:
        known = len(heard.factors) >= FEWEST and self._clock() - heard.ran_s < FORGET_S
        factor = statistics.median_low(heard.factors) if known else self._usual()
        return factor / (1 - min(heard.load, MOST_LOAD)) if heard.alone > 1 else factor

    def _usual(self) -> float:
        """What nodes are off by at their best."""
        least = [heard.least for heard in self._nodes.values() if heard.least < float("inf")]
        return statistics.median_low(least) if least else 1.0


@dataclasses.dataclass(slots=True)
class _Heard:
    """What is known of a node: how much longer than planned its last runs took, and runs at
    best, when the last was, for how many reports no stage has been there, the load that others
    make, and the memory that a stage did not find, now and for good.
    """

    factors: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=REPORTS))
    least: float = float("inf")
    ran_s: float = 0.0
    alone: int = 0
    load: float = 0.0
    lacked_mb: float = float("inf")
    outgrown_mb: float = float("inf")

    @property
    def has_mb(self) -> float:
        """Less than what a stage did not find, and more than none."""
        return max(LEAST_MB, min(self.lacked_mb, self.outgrown_mb) * (1 - 1e-6))


def _scaled_by(
    costs: OperatorCosts, kept: Sequence[int], factors: NDArray[np.float64]
) -> OperatorCosts:
    return dataclasses.replace(
        costs,
        time_ms=costs.time_ms[:, kept] * factors,
        overhead_ms=costs.overhead_ms[kept] * factors,
    )
