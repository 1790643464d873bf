"""A model on a cluster as a partition problem, and from its solution back to names."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from carbonedge.carbon.emissions import stage_emissions_g, transfer_emissions_g
from carbonedge.cluster import Cluster
from carbonedge.planning.costs import Measuring, OperatorCosts, given_costs
from carbonedge.planning.cuts import Cut, returning
from carbonedge.planning.model import ModelGraph, load_model
from carbonedge.planning.plan import Plan, Stage, Transfer
from carbonedge.planning.problem import PartitionProblem
from carbonedge.planning.solution import PartitionSolution
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = ["Formulation", "formulate", "partition_problem"]


@dataclass(frozen=True, slots=True, eq=False)
class Formulation:
    """What a problem stands for.

    Parameters
    ----------
    model, cluster, costs
        What it was made from.
    cuts
        The model's that may be used, both ends included: what lies between two counts as
        one operator of the problem. Where there is a source, outputs cross all cuts after
        the one they are made before, to return to it from the last stage.
    problem
        Its nodes are the cluster's, in order.
    source
        The node where inputs arise and outputs return, if that is counted.
    """

    model: ModelGraph
    cluster: Cluster
    costs: OperatorCosts
    cuts: tuple[Cut, ...]
    problem: PartitionProblem
    source: str | None

    def plan(
        self,
        solution: PartitionSolution,
        *,
        objective: str,
        weights: Mapping[str, float] | None = None,
        strategy: str = "exact",
    ) -> Plan:
        """A solution of the problem in the names of the model and the cluster."""
        bounds = [0, *solution.cuts, len(self.cuts) - 1]
        stages = tuple(
            self._stage(index, start, stop)
            for index, start, stop in zip(solution.nodes, bounds[:-1], bounds[1:], strict=True)
        )
        names = [stage.node for stage in stages]
        return Plan(
            stages=stages,
            transfers=tuple(
                self._transfer(self.cuts[cut], before, after)
                for cut, before, after in zip(solution.cuts, names[:-1], names[1:], strict=True)
            ),
            latency_ms=solution.latency_ms,
            energy_j=solution.energy_j,
            emissions_g=solution.emissions_g,
            throughput_rps=solution.throughput_rps,
            optimal=solution.optimal,
            gap=solution.gap,
            objective=objective,
            costs=self.costs.source,
            weights=None if weights is None else dict(weights),
            strategy=strategy,
            source=self.source,
            inputs=self._from_source(self.cuts[0], self.source, names[0]),
            outputs=self._from_source(self.cuts[-1], names[-1], self.source),
            parting=self._parting([stage.start for stage in stages[1:]]),
        )

    def _parting(self, cuts: Sequence[int]) -> tuple[int, ...] | None:
        parting = self.costs.parting
        if parting is None:
            return None if cuts else ()
        # Replanning may keep a cut that these costs leave out, for it parts something.
        return tuple(cut for cut in cuts if cut in parting or cut not in self.costs.positions)

    def paper_costs(self) -> NDArray[np.float64]:
        """Eq. 5 of each operator of the problem, shape [L]."""
        return self._summed([operator.paper_cost for operator in self.model.operators])

    def stored_mb(self) -> NDArray[np.float64]:
        """What has to be sent of each operator of the problem, shape [L]."""
        return self._summed([operator.stored_mb for operator in self.model.operators])

    def _summed(self, values: Sequence[float]) -> NDArray[np.float64]:
        starts = [cut.position for cut in self.cuts[:-1]]
        return np.add.reduceat(np.array(values, dtype=np.float64), starts)

    def _stage(self, index: int, start: int, stop: int) -> Stage:
        node, problem = self.cluster.nodes[index], self.problem
        time_ms = float(problem.time_ms[start:stop, index].sum() + problem.stage_overhead_ms[index])
        energy_j = node.power_w * time_ms / MS_PER_S
        return Stage(
            node.name,
            self.cuts[start].position,
            self.cuts[stop].position,
            time_ms,
            energy_j,
            stage_emissions_g(node, energy_j, time_ms),
            float(problem.memory_mb[start:stop].sum()),
        )

    def _from_source(self, cut: Cut, start: str | None, end: str | None) -> Transfer | None:
        if start is None or end is None or start == end:
            return None
        return self._transfer(cut, start, end)

    def _transfer(self, cut: Cut, source: str, target: str) -> Transfer:
        link = self.cluster.link(source, target)
        assert link is not None, "plans use links only"
        energy_j = cut.mb * link.energy_j_per_mb
        start, end = (self.cluster.nodes[self.cluster.index(name)] for name in (source, target))
        return Transfer(
            source=source,
            target=target,
            tensors=tuple(tensor.name for tensor in cut.tensors),
            mb=cut.mb,
            time_ms=link.latency_ms + cut.mb * MEGABITS_PER_MB / link.bandwidth_mbps * MS_PER_S,
            energy_j=energy_j,
            emissions_g=transfer_emissions_g(start, end, energy_j),
        )


def formulate(
    model: str | os.PathLike[str] | ModelProto | ModelGraph,
    cluster: Cluster,
    costs: str | OperatorCosts = "measured",
    *,
    source: str | None = None,
    besides: Collection[int] = (),
    **measuring: Unpack[Measuring],
) -> Formulation:
    """The problem of cutting a model for a cluster.

    Parameters
    ----------
    besides
        Positions that may be cut beside those that costs leave.

    For the others see `partition`.

    Raises
    ------
    ClusterError
        If the source is not a node.
    IntensityUnavailableError
        If a node has no carbon intensity.
    """
    if source is not None:
        cluster.index(source)
    for node in cluster.nodes:
        node.known_intensity()
    graph, costs = given_costs(costs, load_model(model), cluster.nodes, **measuring)
    positions = costs.positions.union(besides)
    crossed = graph.cuts if source is None else returning(graph.cuts)
    cuts = tuple(cut for cut in crossed if cut.position in positions)
    problem = _problem(graph, cluster, costs, cuts, source)
    return Formulation(graph, cluster, costs, cuts, problem, source)


def partition_problem(
    model: ModelGraph, cluster: Cluster, costs: OperatorCosts, *, source: str | None = None
) -> PartitionProblem:
    """The problem that `partition` solves, each stretch between usable cuts as one operator.

    Raises
    ------
    ClusterError
        If the source is not a node.
    IntensityUnavailableError
        If a node has no carbon intensity.
    """
    return formulate(model, cluster, costs, source=source).problem


def _problem(
    model: ModelGraph,
    cluster: Cluster,
    costs: OperatorCosts,
    cuts: Sequence[Cut],
    source: str | None,
) -> PartitionProblem:
    nodes = cluster.nodes
    starts = [cut.position for cut in cuts[:-1]]
    time_ms = np.add.reduceat(costs.time_ms, starts, axis=0)
    memory_mb = np.array([operator.memory_mb for operator in model.operators])
    power_w = np.array([node.power_w for node in nodes])
    latency_ms, mbps, j_per_mb = _links(cluster)
    return PartitionProblem(
        time_ms,
        time_ms * power_w / MS_PER_S,
        np.add.reduceat(memory_mb, starts),
        np.array([cut.mb for cut in cuts]),
        node_memory_mb=np.array([node.memory_mb for node in nodes]),
        intensity_g_per_kwh=np.array([node.known_intensity() for node in nodes]),
        link_latency_ms=latency_ms,
        link_mbps=mbps,
        link_j_per_mb=j_per_mb,
        stage_overhead_ms=costs.overhead_ms,
        stage_overhead_j=costs.overhead_ms * power_w / MS_PER_S,
        pue=np.array([node.pue for node in nodes]),
        embodied_g_per_hour=np.array([node.embodied_g_per_hour for node in nodes]),
        source=None if source is None else cluster.index(source),
        node_names=tuple(node.name for node in nodes),
        operator_names=_names(model, cuts),
    )


def _links(cluster: Cluster) -> tuple[NDArray[np.float64], ...]:
    shape = (len(cluster.nodes), len(cluster.nodes))
    latency_ms, mbps, j_per_mb = np.full(shape, math.inf), np.full(shape, math.inf), np.zeros(shape)
    for a, source in enumerate(cluster.nodes):
        for b, target in enumerate(cluster.nodes):
            link = cluster.link(source.name, target.name)
            if link is not None:
                latency_ms[a, b] = link.latency_ms
                mbps[a, b] = link.bandwidth_mbps
                j_per_mb[a, b] = link.energy_j_per_mb
    return latency_ms, mbps, j_per_mb


def _names(model: ModelGraph, cuts: Sequence[Cut]) -> tuple[str, ...]:
    names = []
    for before, after in itertools.pairwise(cuts):
        first = model.operators[before.position].name
        last = model.operators[after.position - 1].name
        names.append(first if first == last else f"{first} to {last}")
    return tuple(names)
