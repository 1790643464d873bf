"""From a model and a cluster to every plan worth choosing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto

from carbonedge._validation import fraction
from carbonedge.cluster import Cluster
from carbonedge.planning.costs import OperatorCosts
from carbonedge.planning.formulation import formulate
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.plan import Plan
from carbonedge.planning.problem import TIME_LIMIT_S
from carbonedge.planning.profile import Profile
from carbonedge.planning.search import Limits, front_prices

__all__ = ["pareto"]


def pareto(
    model: str | os.PathLike[str] | ModelProto | ModelGraph,
    cluster: Cluster,
    *,
    objectives: Sequence[str] = ("latency", "emissions"),
    weights: Mapping[str, float] | None = None,
    epsilon: float = 0.0,
    slo_ms: float | None = None,
    max_stages: int | None = None,
    source: str | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    costs: str | OperatorCosts = "measured",
    feed: Mapping[str, Any] | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    all_cuts: bool = False,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> list[Plan]:
    """Every plan that no other one betters in one objective and matches in the rest.

    Parameters
    ----------
    model, cluster
        See `partition`.
    objectives
        ``"latency"``, then one of ``"energy"``, ``"emissions"`` and ``"weighted"``, and
        then, if at all, ``"throughput"``.
    weights
        See `partition`.
    epsilon
        With throughput: for each plan left out one stays that is as good but for this
        share of the throughput. 0 for every plan, which only small models can bear.
    slo_ms, max_stages, source, time_limit_s, costs, feed, profile, all_cuts
        See `partition`.
    providers, sess_options
        See `partition`.

    Returns
    -------
    list of Plan
        By rising latency.

    Raises
    ------
    InfeasibleError
        If no plan meets the limits; the message says what stands in the way.
    ValueError
        If an argument is out of its range; for the rest see `partition`.
    """
    # Before anything is measured.
    front_prices(objectives, weights)
    fraction("epsilon", epsilon)
    Limits(slo_ms, max_stages, time_limit_s)
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
    solutions = formulation.problem.pareto(
        objectives,
        weights=weights,
        epsilon=epsilon,
        slo_ms=slo_ms,
        max_stages=max_stages,
        time_limit_s=time_limit_s,
    )
    name = ", ".join(objectives)
    return [formulation.plan(plan, objective=name, weights=weights) for plan in solutions]
