"""From a model and a cluster to a plan."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from carbonedge.carbon.emissions import stage_emissions_g, transfer_emissions_g
from carbonedge.cluster import Cluster
from carbonedge.planning.costs import OperatorCosts, operator_costs
from carbonedge.planning.model import Cut, ModelGraph, load_model
from carbonedge.planning.plan import Plan, Stage, Transfer
from carbonedge.planning.problem import PartitionProblem
from carbonedge.planning.profile import Profile
from carbonedge.planning.sized import sized
from carbonedge.planning.solution import PartitionSolution
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = ["partition", "partition_for_mode", "partition_problem"]


def partition(
    model: str | os.PathLike[str] | ModelProto | ModelGraph,
    cluster: Cluster,
    *,
    objective: str = "emissions",
    slo_ms: float | None = None,
    max_stages: int | None = None,
    costs: str | OperatorCosts = "measured",
    feed: Mapping[str, Any] | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    all_cuts: bool = False,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> Plan:
    """The best way to run a model on a cluster, as one stage or several.

    Operators must stay in topological order, each node hosts at most one stage, and a
    stage's parameters and outputs must fit its node's memory, as if no buffer were
    reused.

    Parameters
    ----------
    model
        An ONNX file, a model, or a graph from `load_model`.
    cluster
        The nodes and links.
    objective
        ``"latency"``, ``"energy"``, ``"emissions"`` or ``"throughput"``.
    slo_ms
        The latency of one inference may not be above this.
    max_stages
        The plan may not have more.
    costs
        ``"measured"`` here, ``"macs"``, ``"paper"``, or costs from `operator_costs`.
    feed
        Inputs whose sizes the plan is for, and to measure with.
    profile, all_cuts
        See `operator_costs`, which has them in it when it made `costs`.
    providers, sess_options
        ONNX Runtime's, for measuring.

    Raises
    ------
    ModelError
        If the model cannot be read or run.
    InfeasibleError
        If no plan meets the limits; the message says what stands in the way.
    IntensityUnavailableError
        If a node has no carbon intensity.
    ValueError
        If an argument is out of its range.
    """
    graph = load_model(model)
    if feed is not None:
        graph = sized(graph, feed)
    for node in cluster.nodes:
        node.known_intensity()
    if isinstance(costs, str):
        costs = operator_costs(
            graph,
            cluster.nodes,
            costs,
            feed=feed,
            profile=profile,
            all_cuts=all_cuts,
            providers=providers,
            sess_options=sess_options,
        )
    elif profile is not None or all_cuts:
        raise ValueError("costs are given: pass profile and all_cuts to operator_costs instead")
    problem = partition_problem(graph, cluster, costs)
    cuts = _usable_cuts(graph, costs)
    solution = problem.solve(objective, slo_ms=slo_ms, max_stages=max_stages)
    return _plan(cluster, problem, solution, cuts, objective, costs.source)


def partition_for_mode(
    model: ModelGraph,
    cluster: Cluster,
    mode: str,
    *,
    slo_ms: float | None = None,
    costs: str | OperatorCosts = "measured",
) -> Plan:
    """The plan that suits a mode.

    ``"performance"`` is the fastest plan and ``"green"`` the one with the least
    emissions. ``"balanced"`` lies between: the least emissions within half the way
    from the latency of the first to that of the second.

    Raises
    ------
    ValueError
        If the mode is not one of these three; otherwise see `partition`.
    """
    modes = ("performance", "balanced", "green")
    if mode not in modes:
        raise ValueError(f"mode {mode!r} is not known: choose one of {', '.join(modes)}")
    if isinstance(costs, str):
        costs = operator_costs(model, cluster.nodes, costs)
    if mode == "performance":
        return partition(model, cluster, objective="latency", slo_ms=slo_ms, costs=costs)
    greenest = partition(model, cluster, slo_ms=slo_ms, costs=costs)
    if mode == "green":
        return greenest
    fastest = partition(model, cluster, objective="latency", costs=costs)
    middle_ms = (fastest.latency_ms + greenest.latency_ms) / 2
    return partition(model, cluster, slo_ms=middle_ms, costs=costs)


def _usable_cuts(model: ModelGraph, costs: OperatorCosts) -> list[Cut]:
    return [cut for cut in model.cuts if cut.position in costs.positions]


def partition_problem(
    model: ModelGraph, cluster: Cluster, costs: OperatorCosts
) -> PartitionProblem:
    """The problem that `partition` solves, each stretch between usable cuts as one operator.

    Raises
    ------
    IntensityUnavailableError
        If a node has no carbon intensity.
    """
    cuts = _usable_cuts(model, costs)
    nodes = cluster.nodes
    starts = [cut.position for cut in cuts[:-1]]
    time_ms = np.add.reduceat(costs.time_ms, starts, axis=0)
    memory_mb = np.array([operator.memory_mb for operator in model.operators])
    power_w = np.array([node.power_w for node in nodes])
    latency_ms = np.full((len(nodes), len(nodes)), math.inf)
    mbps = np.full_like(latency_ms, math.inf)
    j_per_mb = np.zeros_like(latency_ms)
    for a, source in enumerate(nodes):
        for b, target in enumerate(nodes):
            link = cluster.link(source.name, target.name)
            if link is not None:
                latency_ms[a, b] = link.latency_ms
                mbps[a, b] = link.bandwidth_mbps
                j_per_mb[a, b] = link.energy_j_per_mb
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
    )


def _plan(
    cluster: Cluster,
    problem: PartitionProblem,
    solution: PartitionSolution,
    cuts: Sequence[Cut],
    objective: str,
    source: str,
) -> Plan:
    bounds = [0, *solution.cuts, len(cuts) - 1]
    stages = []
    for index, start, stop in zip(solution.nodes, bounds[:-1], bounds[1:], strict=True):
        node = cluster.nodes[index]
        time_ms = float(problem.time_ms[start:stop, index].sum() + problem.stage_overhead_ms[index])
        energy_j = node.power_w * time_ms / MS_PER_S
        stages.append(
            Stage(
                node.name,
                cuts[start].position,
                cuts[stop].position,
                time_ms,
                energy_j,
                stage_emissions_g(node, energy_j, time_ms),
            )
        )
    transfers = [
        _transfer(cluster, cuts[cut], before.node, after.node)
        for cut, before, after in zip(solution.cuts, stages[:-1], stages[1:], strict=True)
    ]
    return Plan(
        stages=tuple(stages),
        transfers=tuple(transfers),
        latency_ms=solution.latency_ms,
        energy_j=solution.energy_j,
        emissions_g=solution.emissions_g,
        throughput_rps=solution.throughput_rps,
        optimal=solution.optimal,
        gap=solution.gap,
        objective=objective,
        costs=source,
    )


def _transfer(cluster: Cluster, cut: Cut, source: str, target: str) -> Transfer:
    link = cluster.link(source, target)
    assert link is not None, "the search uses links only"
    energy_j = cut.mb * link.energy_j_per_mb
    ends = (cluster.nodes[cluster.index(source)], cluster.nodes[cluster.index(target)])
    return Transfer(
        source=source,
        target=target,
        tensors=tuple(tensor.name for tensor in cut.tensors),
        mb=cut.mb,
        time_ms=link.latency_ms + cut.mb * MEGABITS_PER_MB / link.bandwidth_mbps * MS_PER_S,
        energy_j=energy_j,
        emissions_g=transfer_emissions_g(*ends, energy_j),
    )
