"""Whether a plan in force should give way to another one, now that things have changed."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from carbonedge._validation import non_negative, positive
from carbonedge.cluster import Cluster
from carbonedge.planning.costs import OperatorCosts
from carbonedge.planning.formulation import Formulation, formulate
from carbonedge.planning.infeasible import ROUNDING, obstacle
from carbonedge.planning.model import ModelGraph, load_model
from carbonedge.planning.plan import Plan
from carbonedge.planning.problem import TIME_LIMIT_S, PartitionProblem
from carbonedge.planning.profile import Profile
from carbonedge.planning.search import Limits, prices_of
from carbonedge.planning.solution import PartitionSolution
from carbonedge.planning.switching import Switching, switching_from
from carbonedge.units import J_PER_KWH, MS_PER_HOUR, MS_PER_S

__all__ = ["Replan", "replan"]

SESSION_START_MS = 500.0

Floats = NDArray[np.float64]

UNITS = {"latency": "ms", "energy": "J", "emissions": "g", "throughput": "ms"}


@dataclass(frozen=True, slots=True)
class Replan:
    """What to run from now on.

    Parameters
    ----------
    plan
        The one to run, with what it is predicted to cost now.
    moved
        Whether it is another one than was in force.
    saving
        By the move or, where none pays, by the best one turned down: what an inference
        costs less, times the inferences of the horizon; ``None`` where the plan in force
        cannot run any more.
    switching_cost
        Of the same move. Both are in ms, J or g as the objective is, or in what the
        weights count; for throughput an inference costs the ms until the next.
    why
        In a sentence.
    """

    plan: Plan
    moved: bool
    saving: float | None
    switching_cost: float
    why: str


def replan(
    plan: Plan,
    model: str | os.PathLike[str] | ModelProto | ModelGraph,
    cluster: Cluster,
    *,
    horizon_s: float,
    requests_per_s: float,
    session_start_ms: float = SESSION_START_MS,
    objective: str | None = None,
    weights: Mapping[str, float] | None = None,
    slo_ms: float | None = None,
    max_stages: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    costs: str | OperatorCosts = "measured",
    feed: Mapping[str, Any] | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    all_cuts: bool = False,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> Replan:
    """Move to another plan if that pays within a horizon, else stay.

    A stage that changes costs the start of a session on its node, and the way of the
    parameters that are on another node now: along the cheapest chain of links, each at the
    mean intensity of its ends. Where no links lead there it is no way to move, unless the
    plan in force cannot run any more: parameters then come from outside the cluster, which
    is not counted, as are those of a node that is gone.

    While nothing changes a plan moved to stays, and costs that go up and down by less than
    a move comes to cause none.

    Parameters
    ----------
    plan
        In force. Its source stays the source.
    model, cluster
        See `partition`.
    horizon_s
        For how long things are expected to stay as they are now.
    requests_per_s
        Expected until then.
    session_start_ms
        To load a stage on a node, which draws its power meanwhile.
    objective, weights
        See `partition`; those of the plan unless given.
    slo_ms, max_stages, time_limit_s, costs, feed, profile, all_cuts
        See `partition`.
    providers, sess_options
        See `partition`.

    Raises
    ------
    InfeasibleError
        If no plan meets the limits, or none is found in time.
    ValueError
        If an argument is out of its range, or the plan is not of this model.
    """
    if objective is None:
        objective, weights = plan.objective, plan.weights
    prices_of(objective, weights)
    limits = Limits(slo_ms, max_stages, time_limit_s)
    inferences = positive("horizon_s", horizon_s) * non_negative("requests_per_s", requests_per_s)
    session_start_ms = non_negative("session_start_ms", session_start_ms)
    graph = load_model(model)
    _check_cover(plan, graph)
    formulation = formulate(
        graph,
        cluster,
        costs,
        source=plan.source,
        # It may be cut where a fresh measurement would not.
        besides=plan.cuts,
        feed=feed,
        profile=profile,
        all_cuts=all_cuts,
        providers=providers,
        sess_options=sess_options,
    )
    moves = _Moves(formulation, objective, weights, inferences, session_start_ms, limits)

    switching = moves.switching(plan)
    cannot = _obstacle(plan, formulation, limits)
    if cannot is not None:
        switching = moves.switching(plan, from_outside=True)
        first = moves.best(switching)
        assert first is not None, "there is always the best plan"
        found = moves.settle(first)
        cost = switching.cost(found.cuts, found.nodes)
        why = f"the plan in force cannot run any more: {cannot}"
        return Replan(moves.named(found), True, None, cost, why)
    before = formulation.problem.evaluate(*_parts(plan, formulation))
    found = moves.settle(before)
    moved = found is not before
    other = found if moved else moves.best(switching, but=before)
    if other is None:
        return Replan(moves.named(before), False, 0.0, 0.0, "no other plan is better")
    saving = inferences * (moves.per_inference(before) - moves.per_inference(other))
    cost = switching.cost(other.cuts, other.nodes)
    return Replan(moves.named(found), moved, saving, cost, _why(objective, moved, saving, cost))


def _why(objective: str, moved: bool, saving: float, cost: float) -> str:
    unit = UNITS.get(objective, "by the weights")
    if moved:
        return f"moving costs {cost:.4g} {unit} and saves {saving:.4g} within the horizon"
    if math.isinf(cost):
        return "no links lead to where a better plan needs the parameters"
    return f"moving would cost {cost:.4g} {unit} and save {saving:.4g} within the horizon"


class _Moves:
    """Plans to move to, and what moving comes to."""

    def __init__(
        self,
        formulation: Formulation,
        objective: str,
        weights: Mapping[str, float] | None,
        inferences: float,
        session_start_ms: float,
        limits: Limits,
    ) -> None:
        self._formulation = formulation
        self._objective = objective
        self._weights = weights
        prices = prices_of(objective, weights)
        self._prices = None if objective == "throughput" else prices
        self._inferences = inferences
        self._session_start_ms = session_start_ms
        self._limits = limits
        # The best where moving is free is so wherever one comes from.
        self._goal = self._solve(formulation.problem, objective, weights)

    def per_inference(self, solution: PartitionSolution) -> float:
        if self._prices is None:
            return MS_PER_S / solution.throughput_rps
        measures = (solution.latency_ms, solution.energy_j, solution.emissions_g)
        return float(np.dot(self._prices, measures))

    def named(self, solution: PartitionSolution) -> Plan:
        goal, value = self.per_inference(self._goal), self.per_inference(solution)
        optimal, gap = self._goal.optimal, self._goal.gap
        if value > goal * (1 + ROUNDING):
            optimal, gap = False, 1 - goal * (1 - gap) / value
        rated = dataclasses.replace(solution, optimal=optimal, gap=gap)
        return self._formulation.plan(rated, objective=self._objective, weights=self._weights)

    def switching(self, plan: Plan, *, from_outside: bool = False) -> Switching:
        prices = self._prices or (1.0, 0.0, 0.0)
        found = switching_from(plan, self._formulation, prices, self._session_start_ms)
        if not from_outside:
            return found
        reachable = np.where(np.isinf(found.moving), 0.0, found.moving)
        return dataclasses.replace(found, moving=reachable)

    def settle(self, start: PartitionSolution) -> PartitionSolution:
        """Move for as long as that pays. As no way round costs less than the straight one,
        the last plan pays as one move from the first, and from it none pays.
        """
        while True:
            switching = self.switching(self.named(start))
            best = min(self._candidates(switching), key=lambda s: self._total(switching, s))
            stay = self._inferences * self.per_inference(start)
            if not self._total(switching, best) < stay * (1 - ROUNDING):
                return start
            start = best

    def best(
        self, switching: Switching, *, but: PartitionSolution | None = None
    ) -> PartitionSolution | None:
        """To run and to move to for the horizon, but for one plan."""
        others = [
            found
            for found in self._candidates(switching)
            if but is None or (found.cuts, found.nodes) != (but.cuts, but.nodes)
        ]
        return min(others, key=lambda s: self._total(switching, s), default=None)

    def _total(self, switching: Switching, solution: PartitionSolution) -> float:
        run = self._inferences * self.per_inference(solution)
        return run + switching.cost(solution.cuts, solution.nodes)

    def _candidates(self, switching: Switching) -> list[PartitionSolution]:
        """The best plan, and the best one when each operator also pays its way there."""
        if self._prices is None or self._inferences == 0:
            return [self._goal]
        problem, paying = self._formulation.problem, self._paying(switching)
        weights = {"latency": self._inferences * self._prices[0], "energy": 1.0}
        found = self._solve(paying, "weighted", weights)
        return [self._goal, problem.evaluate(found.cuts, found.nodes)]

    def _paying(self, switching: Switching) -> PartitionProblem:
        """The problem with all but time, and with moving, as if it were energy."""
        assert self._prices is not None, "only sums can be added to"
        problem = self._formulation.problem
        _, per_j, per_g = self._prices
        grid = problem.intensity_g_per_kwh * problem.pue / J_PER_KWH
        embodied = problem.embodied_g_per_hour / MS_PER_HOUR

        def priced(time_ms: Floats, energy_j: Floats) -> Floats:
            grams = energy_j * grid + time_ms * embodied
            return self._inferences * (per_j * energy_j + per_g * grams)

        running = priced(problem.time_ms, problem.energy_j)
        possible = np.isfinite(switching.moving)
        # Of ways that are none, any cost above all others tells the search.
        never = 1.0 + 10 * (running.sum() + switching.moving[possible].sum())
        intensity = problem.intensity_g_per_kwh
        mean = (intensity[:, np.newaxis] + intensity) / 2 / J_PER_KWH
        return dataclasses.replace(
            problem,
            energy_j=running + np.where(possible, switching.moving, never),
            stage_overhead_j=priced(problem.stage_overhead_ms, problem.stage_overhead_j)
            + switching.opened(),
            link_j_per_mb=self._inferences * (per_j + per_g * mean) * problem.link_j_per_mb,
        )

    def _solve(
        self, problem: PartitionProblem, objective: str, weights: Mapping[str, float] | None
    ) -> PartitionSolution:
        return problem.solve(
            objective,
            weights=weights,
            slo_ms=None if math.isinf(self._limits.slo_ms) else self._limits.slo_ms,
            max_stages=self._limits.max_stages,
            time_limit_s=self._limits.time_limit_s,
        )


def _check_cover(plan: Plan, graph: ModelGraph) -> None:
    bounds = {0, *plan.cuts, plan.stages[-1].stop}
    known = {cut.position for cut in graph.cuts}
    if not bounds <= known or max(bounds) != len(graph.operators):
        raise ValueError(
            f"the plan in force does not cut this model: its stages end at "
            f"{', '.join(str(stage.stop) for stage in plan.stages)} and the model has "
            f"{len(graph.operators)} operators; give the plan of this model"
        )


def _parts(plan: Plan, formulation: Formulation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    position = {cut.position: number for number, cut in enumerate(formulation.cuts)}
    nodes = tuple(formulation.cluster.index(stage.node) for stage in plan.stages)
    return tuple(position[cut] for cut in plan.cuts), nodes


def _obstacle(plan: Plan, formulation: Formulation, limits: Limits) -> str | None:
    there = {node.name for node in formulation.cluster.nodes}
    for stage in plan.stages:
        if stage.node not in there:
            return f"node {stage.node!r} is gone"
    return obstacle(formulation.problem, *_parts(plan, formulation), limits)
