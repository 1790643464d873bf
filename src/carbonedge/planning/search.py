"""From a partition problem to its plans, by the core."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from carbonedge._backend import backend
from carbonedge._validation import non_negative, slots, target
from carbonedge.planning.kinds import Kinds, find_kinds, without_bettered
from carbonedge.planning.solution import PartitionSolution, throughput_rps
from carbonedge.units import J_PER_KWH, MS_PER_HOUR, MS_PER_S

if TYPE_CHECKING:
    from carbonedge.planning.problem import PartitionProblem

__all__ = [
    "OBJECTIVES",
    "Found",
    "Limits",
    "Prices",
    "best_plan",
    "front",
    "front_prices",
    "front_with_throughput",
    "most_throughput",
    "prices_of",
]

SUMS = ("latency", "energy", "emissions")
"""Measures that a plan's parts add up to, in ms, J and g."""
OBJECTIVES = (*SUMS, "weighted", "throughput")

Prices = tuple[float, float, float]
"""What a ms, a J and a g count."""

_NO_LIMIT = 2**31 - 1
# A target is often some plan's own latency, summed in another order.
_ROUNDING_SLACK = 1 + 1e-9
# Figures that differ by less differ by rounding only.
_TIE = 1e-12


class Limits:
    """What a plan and the search for it may not exceed, checked.

    Parameters
    ----------
    slo_ms, max_stages, time_limit_s
        See `PartitionProblem.solve`. The time runs from here.
    """

    __slots__ = ("_until", "max_part_ms", "max_stages", "slo_ms", "time_limit_s")

    def __init__(
        self,
        slo_ms: float | None,
        max_stages: int | None,
        time_limit_s: float,
        max_part_ms: float = math.inf,
    ) -> None:
        self.slo_ms = math.inf if slo_ms is None else target("slo_ms", slo_ms) * _ROUNDING_SLACK
        self.max_stages = _NO_LIMIT if max_stages is None else slots("max_stages", max_stages)
        self.time_limit_s = target("time_limit_s", time_limit_s)
        self.max_part_ms = max_part_ms
        self._until = time.perf_counter() + self.time_limit_s

    def left_s(self) -> float:
        """Of the time limit."""
        return max(0.0, self._until - time.perf_counter())

    def with_part_ms(self, max_part_ms: float) -> Limits:
        """The same for what time is left, with no stage and no transfer longer."""
        limits = Limits(None, self.max_stages, self.time_limit_s, max_part_ms)
        limits.slo_ms = self.slo_ms
        limits._until = self._until
        return limits


@dataclass(frozen=True, slots=True)
class Found:
    """Plans, and whether there is nothing better, proven."""

    plans: list[PartitionSolution]
    proven: bool


def prices_of(objective: str, weights: Mapping[str, float] | None) -> Prices:
    """What an objective counts; nothing for throughput, which is no sum.

    Raises
    ------
    ValueError
        If there is no such objective, or the weights do not go with it.
    """
    if objective not in OBJECTIVES:
        raise ValueError(
            f"objective {objective!r} is not known: choose one of {', '.join(OBJECTIVES)}"
        )
    if (objective == "weighted") != (weights is not None):
        raise ValueError("weights and the objective 'weighted' go together: give both or neither")
    if objective == "throughput":
        return 0.0, 0.0, 0.0
    if weights is None:
        weights = {objective: 1.0}
    unknown = sorted(set(weights) - set(SUMS))
    if unknown:
        raise ValueError(f"weights name {unknown[0]!r}: choose from {', '.join(SUMS)}")
    latency, energy, emissions = (
        non_negative(f"the weight of {name}", weights.get(name, 0.0)) for name in SUMS
    )
    if latency + energy + emissions == 0:
        raise ValueError("all weights are 0: one at least must be above 0")
    return latency, energy, emissions


def front_prices(objectives: Sequence[str], weights: Mapping[str, float] | None) -> Prices:
    """What the objective that a front sets against latency counts.

    Raises
    ------
    ValueError
        If there is no front of these objectives, or the weights do not go with them.
    """
    seconds = OBJECTIVES[1:4]
    if tuple(objectives) not in {
        ("latency", second, *third) for second in seconds for third in ((), ("throughput",))
    }:
        raise ValueError(
            f"there is no front of {', '.join(objectives)}: give latency, one of "
            f"{', '.join(seconds)}, and throughput if wanted"
        )
    return prices_of(objectives[1], weights)


def best_plan(problem: PartitionProblem, prices: Prices, limits: Limits) -> Found:
    """The plan with the least sum of what it comes to at its prices."""
    return _search(problem, "least", prices, limits)


def most_throughput(problem: PartitionProblem, limits: Limits) -> Found:
    """The plan whose slowest part is quickest."""
    return _search(problem, "throughput", (0.0, 0.0, 0.0), limits)


def front(problem: PartitionProblem, prices: Prices, limits: Limits) -> Found:
    """Every plan that none betters in latency or the sum without losing in the other."""
    return _search(problem, "front", prices, limits)


def front_with_throughput(
    problem: PartitionProblem, prices: Prices, limits: Limits, epsilon: float, first: Found
) -> Found:
    """The same with throughput as a third objective, up to a share `epsilon` of it.

    Parameters
    ----------
    first
        The front without throughput.
    """
    # What has no more throughput than the least found is matched by some plan found in
    # the rest too: the next front may demand more throughput of all its plans.
    plans = list(first.plans)
    newest, proven = first.plans, first.proven
    while newest:
        least_rps = min(plan.throughput_rps for plan in newest)
        if math.isinf(least_rps):
            break
        quicker_ms = MS_PER_S / least_rps / max(1 + epsilon, 1 + _TIE)
        found = front(problem, prices, limits.with_part_ms(quicker_ms))
        newest, proven = found.plans, proven and found.proven
        plans += newest
    exact = proven and epsilon == 0
    gap = epsilon / (1 + epsilon) if proven else 1.0
    return Found(
        [dataclasses.replace(plan, optimal=exact, gap=gap) for plan in _unbettered(plans, prices)],
        proven,
    )


def _unbettered(plans: Sequence[PartitionSolution], prices: Prices) -> list[PartitionSolution]:
    per_ms, per_j, per_g = prices
    values = np.array(
        [
            (
                plan.latency_ms,
                per_ms * plan.latency_ms + per_j * plan.energy_j + per_g * plan.emissions_g,
                1 / plan.throughput_rps,
            )
            for plan in plans
        ]
    )
    kept = [
        index
        for index, own in enumerate(values)
        if not np.any(
            np.all(values <= own * (1 + _TIE), axis=1)
            & (np.any(values * (1 + _TIE) < own, axis=1) | (np.arange(len(values)) < index))
        )
    ]
    return sorted((plans[index] for index in kept), key=lambda plan: plan.latency_ms)


def _search(problem: PartitionProblem, search: str, prices: Prices, limits: Limits) -> Found:
    kinds = _kinds(problem, limits)
    first = kinds.first
    intensity = problem.intensity_g_per_kwh[first]
    proven, gap, plans = backend().solve_partition(
        problem.time_ms[:, first],
        problem.energy_j[:, first],
        problem.memory_mb,
        problem.cut_mb,
        kinds.count,
        kinds.least(problem.node_memory_mb),
        intensity * problem.pue[first] / J_PER_KWH,
        problem.embodied_g_per_hour[first] / MS_PER_HOUR,
        kinds.between(problem.link_latency_ms),
        kinds.between(problem.link_mbps),
        kinds.between(problem.link_j_per_mb),
        (intensity[:, np.newaxis] + intensity) / 2 / J_PER_KWH,
        problem.stage_overhead_ms[first],
        problem.stage_overhead_j[first],
        -1 if problem.source is None else first.index(problem.source),
        search,
        prices,
        limits.slo_ms,
        limits.max_stages,
        limits.max_part_ms,
        limits.left_s(),
    )
    solutions = [_solution(problem, kinds, plan, proven, gap) for plan in plans]
    return Found(sorted(solutions, key=lambda plan: plan.latency_ms), proven)


def _kinds(problem: PartitionProblem, limits: Limits) -> Kinds:
    # Each number is the better the less it is, which is what bettering goes by.
    of_nodes = np.column_stack(
        [
            problem.time_ms.T,
            problem.energy_j.T,
            -problem.node_memory_mb,
            problem.intensity_g_per_kwh,
            problem.stage_overhead_ms,
            problem.stage_overhead_j,
            problem.pue,
            problem.embodied_g_per_hour,
        ]
    )
    of_links = (problem.link_latency_ms, 1 / problem.link_mbps, problem.link_j_per_mb)
    kinds = find_kinds(of_nodes, of_links, problem.source)
    most_stages = min(limits.max_stages, len(problem.memory_mb))
    half_s = limits.left_s() / 2
    return without_bettered(
        kinds, of_nodes, of_links, problem.source, most_stages, lambda: limits.left_s() < half_s
    )


def _solution(
    problem: PartitionProblem, kinds: Kinds, plan: Any, proven: bool, gap: float
) -> PartitionSolution:
    stops, of_kinds, latency_ms, energy_j, emissions_g, slowest_ms = plan
    members = [iter(nodes) for nodes in kinds.members]
    cuts = tuple(int(stop) for stop in stops[:-1])
    nodes = tuple(next(members[kind]) for kind in of_kinds)
    if len(set(of_kinds.tolist())) < len(nodes):
        # The second of a kind may differ from the first by rounding, and counts as it is.
        own = problem.evaluate(cuts, nodes)
        return dataclasses.replace(own, optimal=proven, gap=gap)
    return PartitionSolution(
        cuts=cuts,
        nodes=nodes,
        latency_ms=latency_ms,
        energy_j=energy_j,
        emissions_g=emissions_g,
        throughput_rps=throughput_rps(slowest_ms),
        optimal=proven,
        gap=gap,
    )
