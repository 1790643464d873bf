"""The whole model on one node, for each that it fits."""

from __future__ import annotations

from carbonedge.cluster import Cluster
from carbonedge.exceptions import InfeasibleError
from carbonedge.planning.costs import OperatorCosts
from carbonedge.planning.formulation import formulate
from carbonedge.planning.infeasible import obstacle
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.plan import Plan
from carbonedge.planning.problem import TIME_LIMIT_S
from carbonedge.planning.search import Limits

__all__ = ["whole_plans"]


def whole_plans(model: ModelGraph, cluster: Cluster, *, costs: str | OperatorCosts) -> list[Plan]:
    """A plan of one stage for each node that has the memory, in the cluster's order.

    Raises
    ------
    InfeasibleError
        If no node has it; the message says what each lacks.
    """
    formulation = formulate(model, cluster, costs)
    limits = Limits(None, None, TIME_LIMIT_S)
    plans, refused = [], []
    for index, node in enumerate(cluster.nodes):
        cannot = obstacle(formulation.problem, (), (index,), limits)
        if cannot is None:
            found = formulation.problem.evaluate((), (index,))
            plans.append(formulation.plan(found, objective="latency", strategy="whole"))
        else:
            refused.append(f"{node.name}: {cannot}")
    if not plans:
        raise InfeasibleError(f"no node can take the whole model ({'; '.join(refused)})")
    return plans
