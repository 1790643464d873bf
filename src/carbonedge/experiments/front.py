"""What splitting buys: a model's front beside the plans that people make without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carbonedge.cluster import Cluster
from carbonedge.exceptions import InfeasibleError
from carbonedge.planning import ModelGraph, OperatorCosts, Plan, pareto, partition
from carbonedge.planning.formulation import formulate
from carbonedge.planning.infeasible import obstacle
from carbonedge.planning.problem import TIME_LIMIT_S
from carbonedge.planning.search import Limits

__all__ = ["Baseline", "Front", "compare_with_front"]

STRATEGIES = ("paper", "greedy")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A plan made without a search.

    Parameters
    ----------
    name
        The strategy, or the node that runs the model whole.
    whole
        Whether it is a node.
    plan
        ``None`` where it is none that can run.
    obstacle
        Why not.
    more_emissions
        As a share of those of the greenest plan of the front that is not slower; 0 on the
        front, ``None`` where there is no such plan or it emits nothing.
    """

    name: str
    whole: bool
    plan: Plan | None
    obstacle: str | None
    more_emissions: float | None


@dataclass(frozen=True, slots=True)
class Front:
    """The plans that none betters, by rising latency, and the baselines."""

    plans: tuple[Plan, ...]
    baselines: tuple[Baseline, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "front": [plan.to_dict() for plan in self.plans],
            "baselines": [
                {
                    "name": baseline.name,
                    "whole": baseline.whole,
                    "plan": baseline.plan.to_dict() if baseline.plan else None,
                    "obstacle": baseline.obstacle,
                    "more_emissions": baseline.more_emissions,
                }
                for baseline in self.baselines
            ],
        }


def compare_with_front(
    model: ModelGraph,
    cluster: Cluster,
    *,
    costs: OperatorCosts,
    slo_ms: float | None = None,
    max_stages: int | None = None,
    source: str | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> Front:
    """The front of latency and emissions, and beside it the strategies ``"paper"`` and
    ``"greedy"`` and the model whole on each node, also where these miss `slo_ms`.

    Parameters
    ----------
    model
        From `load_model`.
    cluster
        The nodes and links.
    costs
        From `operator_costs`.
    slo_ms, max_stages, source, time_limit_s
        Of the front; see `partition`.

    Raises
    ------
    InfeasibleError
        If no plan meets the limits.
    """
    plans = pareto(
        model,
        cluster,
        slo_ms=slo_ms,
        max_stages=max_stages,
        source=source,
        time_limit_s=time_limit_s,
        costs=costs,
    )
    baselines = []
    for strategy in STRATEGIES:
        try:
            plan = partition(
                model,
                cluster,
                strategy=strategy,
                max_stages=max_stages,
                source=source,
                costs=costs,
            )
            baselines.append(_baseline(plans, strategy, plan))
        except InfeasibleError as error:
            baselines.append(Baseline(strategy, False, None, str(error), None))
    formulation = formulate(model, cluster, costs, source=source)
    no_limits = Limits(None, None, time_limit_s)
    for index, node in enumerate(cluster.nodes):
        why = obstacle(formulation.problem, (), (index,), no_limits)
        if why is not None:
            baselines.append(Baseline(node.name, True, None, why, None))
            continue
        whole = formulation.plan(
            formulation.problem.evaluate((), (index,)), objective="emissions", strategy="whole"
        )
        baselines.append(_baseline(plans, node.name, whole, whole=True))
    return Front(tuple(plans), tuple(baselines))


def _baseline(front: list[Plan], name: str, plan: Plan, *, whole: bool = False) -> Baseline:
    # On the front a plan may differ from itself by a rounding.
    not_slower = [p.emissions_g for p in front if p.latency_ms <= plan.latency_ms * (1 + 1e-9)]
    more = None
    if not_slower and min(not_slower) > 0:
        more = max(0.0, plan.emissions_g / min(not_slower) - 1)
    return Baseline(name, whole, plan, None, more if more is None or more > 1e-9 else 0.0)
