"""Why there is no plan: which limit stands in the way, and by how much."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from carbonedge.exceptions import InfeasibleError
from carbonedge.planning.search import Limits, best_plan
from carbonedge.planning.solution import PartitionSolution

if TYPE_CHECKING:
    from carbonedge.planning.problem import PartitionProblem

__all__ = ["ROUNDING", "infeasible", "obstacle"]

ROUNDING = 1e-9
"""By so large a share a sum may be off that was taken in another order."""

_LATENCY = (1.0, 0.0, 0.0)
_NEAR = 1e-6
"""Memories that differ by no larger share need not be told apart."""


def infeasible(problem: PartitionProblem, limits: Limits, *, proven: bool) -> InfeasibleError:
    """The error for a problem without a plan, or whose search found none in time.

    Limits are lifted one after another, the cheapest to lift first, until there is a plan.
    This takes at most about the time limit once more.
    """
    of_memory = _memory_of_an_operator(problem) or _memory_of_all(problem)
    if of_memory is not None:
        return InfeasibleError(of_memory)
    if not proven:
        return InfeasibleError(
            f"no plan was found in {limits.time_limit_s:g} s, nor that there is none: raise "
            "time_limit_s, or loosen slo_ms, max_stages or memory"
        )
    again = Limits(None, None, limits.time_limit_s)
    whys: tuple[Callable[[PartitionProblem, Limits, Limits], str | None], ...] = (
        _latency,
        _stages,
        _links,
        _memory_of_a_node,
    )
    for why in whys:
        message = why(problem, limits, again)
        if message is not None:
            return InfeasibleError(message)
    return InfeasibleError(
        f"no plan meets the limits, and {limits.time_limit_s:g} s were too short to say why: "
        "raise time_limit_s"
    )


def obstacle(
    problem: PartitionProblem, cuts: Sequence[int], nodes: Sequence[int], limits: Limits
) -> str | None:
    """Which limit a plan of one's own breaks; ``None`` where it breaks none."""
    if len(nodes) > limits.max_stages:
        return f"it has {len(nodes)} stages and max_stages={limits.max_stages}"
    names = problem.node_names
    bounds = [0, *cuts, len(problem.memory_mb)]
    for (start, stop), node in zip(itertools.pairwise(bounds), nodes, strict=True):
        needed, there = float(problem.memory_mb[start:stop].sum()), problem.node_memory_mb[node]
        if needed > there * (1 + ROUNDING):
            return f"its stage on node {names[node]!r} needs {_mb(needed)} of {_mb(there)}"
    for hop in itertools.pairwise(_path(problem, nodes)):
        why = _missing_hop(problem, *hop)
        if why is not None:
            return why
    latency_ms = problem.evaluate(cuts, nodes).latency_ms
    if latency_ms > limits.slo_ms:
        return f"it takes {latency_ms:.4g} ms and slo_ms={limits.slo_ms:g}"
    return None


def _path(problem: PartitionProblem, nodes: Sequence[int]) -> tuple[int, ...]:
    around = () if problem.source is None else (problem.source,)
    return (*around, *nodes, *around)


def _missing_hop(problem: PartitionProblem, source: int, target: int) -> str | None:
    if source == target or np.isfinite(problem.link_latency_ms[source, target]):
        return None
    names = problem.node_names
    return f"there is no link from {names[source]!r} to {names[target]!r}"


def _memory_of_an_operator(problem: PartitionProblem) -> str | None:
    largest = int(np.argmax(problem.memory_mb))
    needed = float(problem.memory_mb[largest])
    node = int(np.argmax(problem.node_memory_mb))
    there = float(problem.node_memory_mb[node])
    if needed <= there:
        return None
    return (
        f"operator {problem.operator_names[largest]!r} needs {_mb(needed)} and the largest node, "
        f"{problem.node_names[node]!r}, has {_mb(there)}: give a node "
        f"{_enough(needed - there)} more memory"
    )


def _memory_of_all(problem: PartitionProblem) -> str | None:
    needed, there = float(problem.memory_mb.sum()), float(problem.node_memory_mb.sum())
    if needed <= there * (1 + _NEAR):
        return None
    return (
        f"the model needs {_mb(needed)} and the nodes have {_mb(there)} together: add "
        f"{_enough(needed - there)} of memory, or nodes"
    )


def _latency(problem: PartitionProblem, limits: Limits, again: Limits) -> str | None:
    fastest = _any_plan(problem, again, limits.max_stages)
    if fastest is None:
        return None
    of_any = _any_plan(problem, again)
    more = ""
    if of_any is not None and of_any.latency_ms <= limits.slo_ms:
        more = (
            f"; with {len(of_any.nodes)} stages instead of max_stages={limits.max_stages} it "
            f"would take {of_any.latency_ms:.4g} ms"
        )
    known = "" if fastest.optimal else " found"
    return (
        f"no plan meets slo_ms={limits.slo_ms:g}: the fastest{known} takes "
        f"{fastest.latency_ms:.4g} ms, {fastest.latency_ms - limits.slo_ms:.3g} ms more{more}"
    )


def _stages(problem: PartitionProblem, limits: Limits, again: Limits) -> str | None:
    num_nodes = len(problem.node_memory_mb)
    if limits.max_stages >= num_nodes or _any_plan(problem, again) is None:
        return None
    for stages in range(limits.max_stages + 1, num_nodes + 1):
        if _any_plan(problem, again, stages) is not None:
            return (
                f"no plan has max_stages={limits.max_stages} or fewer: the model needs at least "
                f"{stages} stages, for {_why_no_fewer(problem, stages)}"
            )
    return None


def _why_no_fewer(problem: PartitionProblem, stages: int) -> str:
    needed = float(problem.memory_mb.sum())
    fewer = stages - 1
    there = float(np.sort(problem.node_memory_mb)[-fewer:].sum())
    if needed > there:
        largest = "the largest node has" if fewer == 1 else f"the {fewer} largest nodes have"
        return f"it takes {_mb(needed)} and {largest} {_mb(there)}"
    # One node needs no links but those of a source.
    return (
        "no node with links from and to the source holds it"
        if fewer == 1
        else f"no {fewer} linked nodes hold it in turn"
    )


def _links(problem: PartitionProblem, limits: Limits, again: Limits) -> str | None:
    """Whether more links would do: the fewest, by a search in which each costs 1."""
    missing = np.isinf(problem.link_latency_ms)
    linked = dataclasses.replace(
        problem,
        time_ms=np.zeros_like(problem.time_ms),
        stage_overhead_ms=np.zeros_like(problem.stage_overhead_ms),
        link_latency_ms=missing.astype(np.float64),
        link_mbps=np.full_like(problem.link_mbps, np.inf),
    )
    found = _any_plan(linked, again, limits.max_stages)
    if found is None:
        return None
    whys = [_missing_hop(problem, *hop) for hop in itertools.pairwise(_path(problem, found.nodes))]
    named = dict.fromkeys(why for why in whys if why is not None)
    source = (
        ""
        if problem.source is None
        else f" and back to the source {problem.node_names[problem.source]!r}"
    )
    return (
        f"no linked nodes hold the model in turn{source}: "
        f"{', '.join(named).replace(', there is', ' and')}; add "
        f"{'this link' if len(named) == 1 else 'these links'}, or memory"
    )


def _memory_of_a_node(problem: PartitionProblem, limits: Limits, again: Limits) -> str | None:
    """The least memory that, added to one node, makes a plan."""
    best: tuple[float, int] | None = None
    for node in range(len(problem.node_memory_mb)):
        low = float(problem.node_memory_mb[node])
        # With as much as that a node holds the whole model.
        high = low + (best[0] if best else float(problem.memory_mb.sum()))
        if best is not None:
            high -= _NEAR * best[0]
        needed = _least_memory_mb(problem, limits, again, node, low, high)
        if needed is not None:
            best = (needed - low, node)
    if best is None:
        return None
    more_mb, node = best
    there = float(problem.node_memory_mb[node])
    return (
        f"no way to cut the model fits the nodes, in order and a stage on each: node "
        f"{problem.node_names[node]!r} has {_mb(there)} and the smallest stage that would help "
        f"needs {_enough(there + more_mb)}; give it {_enough(more_mb)} more, the least that is "
        "enough"
    )


def _least_memory_mb(
    problem: PartitionProblem, limits: Limits, again: Limits, node: int, low: float, high: float
) -> float | None:
    """Between a memory that is too little and one that may be enough."""
    found = _with_memory(problem, limits, again, node, high)
    if found is None:
        return None
    high = found
    while high - low > _NEAR * high:
        middle = (low + high) / 2
        found = _with_memory(problem, limits, again, node, middle)
        if found is None:
            low = middle
        else:
            # No stage needs what lies between its own memory and the middle.
            high = found
    return high


def _with_memory(
    problem: PartitionProblem, limits: Limits, again: Limits, node: int, memory_mb: float
) -> float | None:
    """What a plan takes of a node's memory if it has as much as given."""
    memories = problem.node_memory_mb.copy()
    memories[node] = memory_mb
    changed = dataclasses.replace(problem, node_memory_mb=memories)
    plan = _any_plan(changed, again, limits.max_stages)
    if plan is None:
        return None
    bounds = [0, *plan.cuts, len(problem.memory_mb)]
    # A plan without the node would have been there before.
    stage = plan.nodes.index(node)
    return float(problem.memory_mb[bounds[stage] : bounds[stage + 1]].sum())


def _any_plan(
    problem: PartitionProblem, again: Limits, max_stages: int | None = None
) -> PartitionSolution | None:
    """The fastest plan of so many stages, if one is found in time."""
    left_s = again.left_s()
    if left_s == 0:
        return None
    found = best_plan(problem, _LATENCY, Limits(None, max_stages, left_s))
    return found.plans[0] if found.plans else None


def _mb(value: float) -> str:
    return f"{value:.5g} MB"


def _enough(value: float) -> str:
    """Rounded up, so that what is said to be enough is."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 4)
    return _mb(math.ceil(value / unit - _NEAR) * unit)
