"""From a model and a cluster to a plan."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from onnx import ModelProto

from carbonedge.cluster import Cluster
from carbonedge.planning.costs import OperatorCosts, given_costs
from carbonedge.planning.formulation import Formulation, formulate
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.plan import Plan
from carbonedge.planning.problem import TIME_LIMIT_S
from carbonedge.planning.profile import Profile
from carbonedge.planning.search import Limits, prices_of
from carbonedge.planning.solution import PartitionSolution
from carbonedge.planning.strategies import (
    STRATEGIES,
    greedy_parts,
    held_to,
    proportional_parts,
)

__all__ = ["objective_for_mode", "partition", "partition_for_mode"]


def partition(
    model: str | os.PathLike[str] | ModelProto | ModelGraph,
    cluster: Cluster,
    *,
    objective: str = "emissions",
    weights: Mapping[str, float] | None = None,
    slo_ms: float | None = None,
    max_stages: int | None = None,
    source: str | None = None,
    strategy: str = "exact",
    time_limit_s: float = TIME_LIMIT_S,
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
        ``"latency"``, ``"energy"``, ``"emissions"``, ``"weighted"`` or ``"throughput"``.
    weights
        For ``"weighted"``: what a ms of ``"latency"``, a J of ``"energy"`` and a g of
        ``"emissions"`` count; 0 where left out.
    slo_ms
        The latency of one inference may not be above this.
    max_stages
        The plan may not have more.
    source
        The node where inputs arise and outputs return, so that their way counts; it need
        not host a stage. All of it goes along the stages: an input that is read late and
        an output that is made early cross every cut between. An input that goes straight
        to an output stays where it is, and what is the same for every request is not sent.
    strategy
        ``"exact"`` for the best plan; as baselines ``"paper"``, contiguous parts in the
        order of the cluster's nodes, whose costs by Eq. 5 are in proportion to the nodes'
        cpu_cores, whatever the objective, and ``"greedy"``, operator by operator to where
        it costs least.
    time_limit_s
        After this the exact search returns the best plan so far, with its gap.
    costs
        ``"measured"`` here, ``"macs"``, ``"paper"``, or costs from `operator_costs`.
    feed
        Inputs whose sizes the plan is for, and to measure with; made up when left out, with
        sizes that the model runs on where it leaves them open.
    profile, all_cuts
        See `operator_costs`, which has them in it when it made `costs`.
    providers, sess_options
        ONNX Runtime's, for measuring.

    Raises
    ------
    ModelError
        If the model cannot be read or run.
    InfeasibleError
        If no plan meets the limits, or the strategy's does not; the message says what
        stands in the way, and by how much.
    ClusterError
        If the source is not a node.
    IntensityUnavailableError
        If a node has no carbon intensity.
    ValueError
        If an argument is out of its range.
    """
    if strategy not in STRATEGIES:
        raise ValueError(
            f"strategy {strategy!r} is not known: choose one of {', '.join(STRATEGIES)}"
        )
    # Before anything is measured.
    prices_of(objective, weights)
    limits = Limits(slo_ms, max_stages, time_limit_s)
    formulation = formulate(
        model,
        cluster,
        costs,
        source=source,
        feed=feed,
        profile=profile,
        all_cuts=all_cuts,
        providers=providers,
        sess_options=sess_options,
    )
    if strategy == "exact":
        solution = formulation.problem.solve(
            objective,
            weights=weights,
            slo_ms=slo_ms,
            max_stages=max_stages,
            time_limit_s=time_limit_s,
        )
    else:
        solution = _baseline(formulation, strategy, objective, weights, max_stages, limits)
    return formulation.plan(solution, objective=objective, weights=weights, strategy=strategy)


class _Shared(TypedDict, total=False):
    """What the plans that a mode is told by have in common."""

    max_stages: int | None
    source: str | None
    time_limit_s: float
    costs: str | OperatorCosts


def partition_for_mode(
    model: ModelGraph,
    cluster: Cluster,
    mode: str,
    *,
    slo_ms: float | None = None,
    max_stages: int | None = None,
    source: str | None = None,
    time_limit_s: float = TIME_LIMIT_S,
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
    model, costs = given_costs(costs, model, cluster.nodes)
    shared = _Shared(max_stages=max_stages, source=source, time_limit_s=time_limit_s, costs=costs)
    objective, slo_ms = objective_for_mode(model, cluster, mode, slo_ms=slo_ms, **shared)
    return partition(model, cluster, objective=objective, slo_ms=slo_ms, **shared)


def objective_for_mode(
    model: ModelGraph,
    cluster: Cluster,
    mode: str,
    *,
    slo_ms: float | None = None,
    **shared: Unpack[_Shared],
) -> tuple[str, float | None]:
    """What `partition_for_mode` plans for: the objective, and the latency it may not exceed.

    Raises
    ------
    ValueError
        If the mode is not one of the three; otherwise see `partition`.
    """
    modes = ("performance", "balanced", "green")
    if mode not in modes:
        raise ValueError(f"mode {mode!r} is not known: choose one of {', '.join(modes)}")
    if mode == "performance":
        return "latency", slo_ms
    if mode == "green":
        return "emissions", slo_ms
    greenest = partition(model, cluster, objective="emissions", slo_ms=slo_ms, **shared)
    fastest = partition(model, cluster, objective="latency", **shared)
    return "emissions", (fastest.latency_ms + greenest.latency_ms) / 2


def _baseline(
    formulation: Formulation,
    strategy: str,
    objective: str,
    weights: Mapping[str, float] | None,
    max_stages: int | None,
    limits: Limits,
) -> PartitionSolution:
    problem = formulation.problem
    if strategy == "greedy":
        parts = greedy_parts(problem, objective, weights=weights, max_stages=max_stages)
    else:
        capability = [node.cpu_cores for node in formulation.cluster.nodes]
        parts = proportional_parts(
            problem, formulation.paper_costs(), capability, max_stages=max_stages
        )
    return held_to(problem, parts, limits, strategy)
