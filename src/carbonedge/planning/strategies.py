"""Ways to a plan other than the exact search: the baselines it is held against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from carbonedge._validation import slots
from carbonedge.exceptions import InfeasibleError
from carbonedge.planning.infeasible import ROUNDING, obstacle
from carbonedge.planning.problem import PartitionProblem
from carbonedge.planning.search import Limits, prices_of
from carbonedge.planning.solution import PartitionSolution

__all__ = ["STRATEGIES", "greedy_parts", "held_to", "proportional_parts"]

STRATEGIES = ("exact", "paper", "greedy")

Parts = tuple[tuple[int, ...], tuple[int, ...]]
"""Cuts, and the node of each part by index."""


def proportional_parts(
    problem: PartitionProblem,
    work: ArrayLike,
    capability: ArrayLike,
    *,
    max_stages: int | None = None,
) -> Parts:
    """Contiguous parts whose work is in proportion to the capability of their nodes.

    This is the paper's partitioner. Nodes take their parts in the order they stand in;
    where there are more than operators or `max_stages`, the most capable stay. Time,
    energy, memory and links are not looked at.

    Parameters
    ----------
    problem
        Gives the number of operators and of nodes.
    work
        Of each operator, shape [L].
    capability
        Of each node, shape [N], above 0.
    max_stages
        There are no more parts.
    """
    work, capability = np.asarray(work, dtype=float), np.asarray(capability, dtype=float)
    num_operators, num_nodes = problem.time_ms.shape
    count = min(num_operators, num_nodes)
    if max_stages is not None:
        count = min(count, slots("max_stages", max_stages))
    nodes = np.sort(np.argsort(-capability, kind="stable")[:count])
    done = np.concatenate([[0.0], np.cumsum(work)])
    shares = np.cumsum(capability[nodes]) / capability[nodes].sum()
    cuts: list[int] = []
    for part, share in enumerate(shares[:-1]):
        # Each part has an operator at least.
        low, high = (cuts[-1] if cuts else 0) + 1, num_operators - (count - 1 - part)
        nearest = np.argmin(np.abs(done[low : high + 1] - share * done[-1]))
        cuts.append(low + int(nearest))
    return tuple(cuts), tuple(int(node) for node in nodes)


def greedy_parts(
    problem: PartitionProblem,
    objective: str,
    *,
    weights: Mapping[str, float] | None = None,
    max_stages: int | None = None,
) -> Parts:
    """Operator by operator, each where it costs least when all before it stay where they are.

    An operator stays on the node of the one before or opens a stage on a linked node that
    is free, and pays for its time there, for opening and for the link.

    Parameters
    ----------
    problem
        What is planned.
    objective, weights
        What counts; see `PartitionProblem.solve`.
    max_stages
        No stage is opened beyond it.

    Raises
    ------
    InfeasibleError
        If an operator fits neither where the one before is nor on a free node.
    """
    prices = None if objective == "throughput" else prices_of(objective, weights)
    num_operators, num_nodes = problem.time_ms.shape
    most = num_nodes if max_stages is None else slots("max_stages", max_stages)
    starts: list[int] = []
    nodes: list[int] = []
    slowest_ms = 0.0
    for operator in range(num_operators):
        options = nodes[-1:] + [
            node for node in range(num_nodes) if node not in nodes and len(nodes) < most
        ]
        costs = {
            node: _next_cost(problem, prices, slowest_ms, starts, nodes, operator, node)
            for node in options
        }
        node = min(costs, key=costs.__getitem__, default=None)
        if node is None or math.isinf(costs[node][0]):
            raise InfeasibleError(_stuck(problem, starts, nodes, operator, most))
        if not nodes or node != nodes[-1]:
            slowest_ms = max(slowest_ms, _closed_ms(problem, starts, nodes, operator, node))
            starts.append(operator)
            nodes.append(node)
    return tuple(starts[1:]), tuple(nodes)


def held_to(
    problem: PartitionProblem, parts: Parts, limits: Limits, strategy: str
) -> PartitionSolution:
    """What the parts of a strategy come to.

    Raises
    ------
    InfeasibleError
        If they break a limit; the message says which.
    """
    why = obstacle(problem, *parts, limits)
    if why is not None:
        raise InfeasibleError(
            f"strategy {strategy!r} finds no plan: {why}; use strategy='exact', or loosen the limit"
        )
    return problem.evaluate(*parts)


def _next_cost(
    problem: PartitionProblem,
    prices: tuple[float, float, float] | None,
    slowest_ms: float,
    starts: Sequence[int],
    nodes: Sequence[int],
    operator: int,
    node: int,
) -> tuple[float, float]:
    """What the operator adds on a node, and the time it adds for ties."""
    stays = bool(nodes) and node == nodes[-1]
    start = starts[-1] if stays else operator
    needed = problem.memory_mb[start : operator + 1].sum()
    if needed > problem.node_memory_mb[node] * (1 + ROUNDING):
        return math.inf, math.inf
    stage = np.array(problem.stage_cost(start, operator + 1, node))
    ways = [] if stays else _way_in(problem, nodes, operator, node)
    if operator == len(problem.memory_mb) - 1 and problem.source is not None:
        ways.append(problem.transfer_cost(operator + 1, node, problem.source))
    added = stage + np.array([(0.0, 0.0, 0.0), *ways]).sum(axis=0)
    if prices is None:
        closed_ms = 0.0 if stays else _closed_ms(problem, starts, nodes, operator, node)
        slowest = max(slowest_ms, closed_ms, stage[0], *(way[0] for way in ways))
        return float(slowest), float(added[0])
    if stays:
        added -= problem.stage_cost(start, operator, node)
    # Where no link is, all prices make it endless, also one of 0 for the time.
    cost = float(np.dot(prices, added)) if np.isfinite(added).all() else math.inf
    return cost, float(added[0])


def _way_in(
    problem: PartitionProblem, nodes: Sequence[int], operator: int, node: int
) -> list[tuple[float, float, float]]:
    before = nodes[-1] if nodes else problem.source
    return [] if before is None else [problem.transfer_cost(operator, before, node)]


def _closed_ms(
    problem: PartitionProblem,
    starts: Sequence[int],
    nodes: Sequence[int],
    operator: int,
    node: int,
) -> float:
    """The slower of the stage that ends before an operator and of the way onwards."""
    way_ms = max((way[0] for way in _way_in(problem, nodes, operator, node)), default=0.0)
    stage_ms = problem.stage_cost(starts[-1], operator, nodes[-1])[0] if nodes else 0.0
    return max(stage_ms, way_ms)


def _stuck(
    problem: PartitionProblem,
    starts: Sequence[int],
    nodes: Sequence[int],
    operator: int,
    most: int,
) -> str:
    name = problem.operator_names[operator]
    said = f"strategy 'greedy' finds no plan: operator {name!r}"
    if nodes:
        needed = problem.memory_mb[starts[-1] : operator + 1].sum()
        there = problem.node_memory_mb[nodes[-1]]
        said += (
            f" would take node {problem.node_names[nodes[-1]]!r} to {needed:.5g} MB of "
            f"{there:.5g} MB"
        )
    else:
        said += f" of {problem.memory_mb[operator]:.5g} MB fits no node linked to the source"
    if len(nodes) >= most:
        return f"{said} and max_stages={most} is reached; use strategy='exact'"
    return f"{said} and no free node that is linked holds it; use strategy='exact'"
