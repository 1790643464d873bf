"""Which plans are put up: one, one for each node, or those of the front."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from carbonedge._validation import target
from carbonedge.cluster import Cluster
from carbonedge.planning import ModelGraph, OperatorCosts, Plan, pareto, partition_for_mode
from carbonedge.planning.infeasible import ROUNDING
from carbonedge.planning.whole import whole_plans
from carbonedge.scheduling.weights import resolve_mode, resolve_scoring

__all__ = ["Placement", "plans_for"]

PLACEMENTS = ("partitioned", "replicated", "auto")
MOST_PLANS = 8
"""Of a front that are put up: more differ by less than requests do."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What is put up where, and how one of several plans is chosen for a request.

    Parameters
    ----------
    kind
        ``"partitioned"`` for the plan that suits the mode, ``"replicated"`` for the whole
        model on each node that it fits, ``"auto"`` for plans of the latency-emissions front
        from end to end, as far as they fit together.
    mode
        See `partition_for_mode` and `Scheduler`.
    scoring
        The scheduler's; `None` for ``"constrained"`` where there is an `slo_ms`, else
        ``"normalized"``.
    slo_ms
        The latency that the one plan may not exceed, or that requests tolerate unless they
        say so themselves.

    Raises
    ------
    ValueError
        If one is not known, or out of its range.
    """

    kind: str = "partitioned"
    mode: str = "green"
    scoring: str | None = None
    slo_ms: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in PLACEMENTS:
            raise ValueError(
                f"placement {self.kind!r} is not known: choose one of {', '.join(PLACEMENTS)}"
            )
        resolve_mode(self.mode)
        scoring = self.scoring or ("normalized" if self.slo_ms is None else "constrained")
        resolve_scoring(scoring)
        object.__setattr__(self, "scoring", scoring)
        if self.slo_ms is not None:
            target("slo_ms", self.slo_ms)

    @property
    def chooses(self) -> bool:
        """Whether there are several plans to choose among."""
        return self.kind != "partitioned"


def plans_for(
    placement: Placement,
    model: ModelGraph,
    cluster: Cluster,
    *,
    costs: OperatorCosts,
) -> list[Plan]:
    """The plans to put up.

    Parameters
    ----------
    placement
        Of which kind.
    model, cluster, costs
        See `partition`.

    Raises
    ------
    InfeasibleError
        If there is none.
    """
    if placement.kind == "partitioned":
        mode, slo_ms = placement.mode, placement.slo_ms
        return [partition_for_mode(model, cluster, mode, slo_ms=slo_ms, costs=costs)]
    if placement.kind == "replicated":
        return whole_plans(model, cluster, costs=costs)
    front = pareto(model, cluster, costs=costs)
    held: dict[str, dict[tuple[int, int], float]] = {}
    memory_mb = {node.name: node.memory_mb * (1 + ROUNDING) for node in cluster.nodes}
    chosen: list[Plan] = []
    for plan in _spread(front):
        stages = {stage.node: dict(held.get(stage.node, {})) for stage in plan.stages}
        for stage in plan.stages:
            stages[stage.node][stage.start, stage.stop] = stage.memory_mb
        if all(sum(its.values()) <= memory_mb[name] for name, its in stages.items()):
            held |= stages
            chosen.append(plan)
        if len(chosen) == MOST_PLANS:
            break
    return sorted(chosen, key=lambda plan: plan.latency_ms)


def _spread(front: Sequence[Plan]) -> Iterator[Plan]:
    """Both ends, then always one in the middle of the widest gap in latency."""
    taken = [0, len(front) - 1] if len(front) > 1 else [0]
    yield from (front[index] for index in reversed(taken))
    while True:
        gaps = [
            (front[right].latency_ms - front[left].latency_ms, left, right)
            for left, right in itertools.pairwise(taken)
            if right - left > 1
        ]
        if not gaps:
            return
        _, left, right = max(gaps)
        middle_ms = (front[left].latency_ms + front[right].latency_ms) / 2
        between = range(left + 1, right)
        found = min(between, key=lambda index: abs(front[index].latency_ms - middle_ms))
        taken = sorted([*taken, found])
        yield front[found]
