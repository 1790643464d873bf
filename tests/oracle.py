"""Slow and plain answers to what the kernels are asked, written from the definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from carbonedge import Node, PartitionProblem, Task, Weights

MAX_LOAD = 0.8
LEAST_SPREAD = 1e-200


def _quanta(value: float, per_unit: float) -> int:
    return round(value * per_unit)


Held = tuple[int, int]
"""Billionths of a core and bytes that tasks hold on a node."""
NOTHING = (0, 0)


def free(node: Node, held: Held = NOTHING) -> Held:
    """Billionths of a core and bytes."""
    cpu = _quanta(node.cpu_cores * (1 - node.load), 1e9)
    return cpu - held[0], _quanta(node.memory_mb, 1e6) - held[1]


def needs(task: Task) -> Held:
    """Billionths of a core and bytes."""
    return _quanta(task.cpu_cores, 1e9), _quanta(task.memory_mb, 1e6)


def passes(node: Node, task: Task, held: Held = NOTHING) -> bool:
    """The filters of Algorithm 1, in whole billionths of a core and bytes."""
    free_cpu, free_memory = free(node, held)
    cpu, memory = needs(task)
    return node.load <= MAX_LOAD and free_cpu >= cpu and free_memory >= memory


def latency_ms(node: Node) -> float:
    queue = node.running_tasks / node.parallelism
    return node.network_latency_ms + node.avg_time_ms * (1 + queue)


def emissions_g(node: Node) -> float:
    energy_j = node.power_w * node.avg_time_ms / 1000
    operational = energy_j * node.known_intensity() * node.pue / 3.6e6
    return operational + node.embodied_g_per_hour * node.avg_time_ms / 3.6e6


def paper_score(node: Node, task: Task, weights: Weights) -> float:
    def filled(available: float, needed: float) -> float:
        return min(1.0, available / needed) if needed else 1.0

    cpu = filled(node.cpu_cores * (1 - node.load), task.cpu_cores)
    milligrams = node.known_intensity() * (node.power_w * node.avg_time_ms / 3_600_000)
    components = (
        # Where a node has all but a rounding of what is needed, it has what is needed.
        round((cpu + filled(node.memory_mb, task.memory_mb)) / 2, 8),
        1 - node.load,
        1 / (1 + node.avg_time_ms / 1000),
        1 / (1 + 2 * node.running_tasks),
        1 / (1 + milligrams),
    )
    return math.fsum(w * c for w, c in zip(weights, components, strict=True))


def traits(
    nodes: Sequence[Node], task: Task, held: Sequence[Held] | None = None
) -> dict[int, tuple[float, ...]]:
    """What scaled components are made of, by index, over the nodes that pass."""
    held = held or [NOTHING] * len(nodes)
    return {
        index: (
            (node.cpu_cores * (1 - node.load) - cpu / 1e9 - task.cpu_cores) / node.cpu_cores / 2
            + (node.memory_mb - memory / 1e6 - task.memory_mb) / node.memory_mb / 2,
            1 - node.load,
            -latency_ms(node),
            1 / (1 + 2 * node.running_tasks),
            -emissions_g(node),
        )
        for index, (node, (cpu, memory)) in enumerate(zip(nodes, held, strict=True))
        if passes(node, task, (cpu, memory))
    }


def spreads_are_clear(values: Iterable[tuple[float, ...]]) -> bool:
    """Whether no trait differs by little more than a rounding, which is scaled up to
    anything. A share left free is a difference of what may be as large as 1.
    """
    for trait, column in enumerate(zip(*values, strict=True)):
        largest = 1.0 if trait == 0 else max(map(abs, column))
        if 0 < max(column) - min(column) < 1e-6 * largest:
            return False
    return True


def scaled_scores(
    nodes: Sequence[Node], task: Task, weights: Weights, held: Sequence[Held] | None = None
) -> dict[int, float]:
    """By index, over the nodes that pass."""
    values = traits(nodes, task, held)
    scores = dict.fromkeys(values, 0.0)
    for component, weight in enumerate(weights):
        column = [value[component] for value in values.values()]
        spread = max(column, default=0) - min(column, default=0)
        if spread >= LEAST_SPREAD:
            for index, value in values.items():
                scores[index] += weight * (value[component] - min(column)) / spread
    return scores


def constrained(
    nodes: Sequence[Node], task: Task, held: Sequence[Held] | None = None
) -> int | None:
    limit = math.inf if task.slo_ms is None else task.slo_ms
    held = held or [NOTHING] * len(nodes)
    within = [
        (emissions_g(node), latency_ms(node), index)
        for index, node in enumerate(nodes)
        if passes(node, task, held[index]) and latency_ms(node) <= limit
    ]
    return min(within)[2] if within else None


@dataclass
class Costs:
    """Of one plan."""

    latency: float
    energy: float
    emissions: float
    throughput: float  # ms of the slowest part


def plans(problem: PartitionProblem) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Costs]]:
    """Every way to cut the chain over different, linked nodes that hold their stages."""
    num_operators, num_nodes = problem.time_ms.shape
    for stages in range(1, min(num_operators, num_nodes) + 1):
        for cuts in itertools.combinations(range(1, num_operators), stages - 1):
            for nodes in itertools.permutations(range(num_nodes), stages):
                costs = costs_of(problem, cuts, nodes)
                if costs is not None:
                    yield cuts, nodes, costs


def costs_of(
    problem: PartitionProblem, cuts: tuple[int, ...], nodes: tuple[int, ...]
) -> Costs | None:
    bounds = [0, *cuts, len(problem.memory_mb)]
    total = Costs(0, 0, 0, 0)
    for k, node in enumerate(nodes):
        operators = slice(bounds[k], bounds[k + 1])
        if problem.memory_mb[operators].sum() > problem.node_memory_mb[node]:
            return None
        time_ms = problem.time_ms[operators, node].sum() + problem.stage_overhead_ms[node]
        energy_j = problem.energy_j[operators, node].sum() + problem.stage_overhead_j[node]
        intensity = problem.intensity_g_per_kwh[node] * problem.pue[node]
        embodied = problem.embodied_g_per_hour[node] * time_ms / 3.6e6
        _add(total, time_ms, energy_j, energy_j * intensity / 3.6e6 + embodied)
    hops = [*zip(cuts, nodes[:-1], nodes[1:], strict=True)]
    if problem.source is not None:
        hops = [
            (0, problem.source, nodes[0]),
            *hops,
            (len(problem.memory_mb), nodes[-1], problem.source),
        ]
    for cut, node, onto in hops:
        if node == onto:
            continue
        if math.isinf(problem.link_latency_ms[node, onto]):
            return None
        mb = problem.cut_mb[cut]
        hop_ms = problem.link_latency_ms[node, onto]
        hop_ms += mb * 8000 / problem.link_mbps[node, onto]
        hop_j = mb * problem.link_j_per_mb[node, onto]
        mean = (problem.intensity_g_per_kwh[node] + problem.intensity_g_per_kwh[onto]) / 2
        _add(total, hop_ms, hop_j, hop_j * mean / 3.6e6)
    return total


def _add(total: Costs, time_ms: float, energy_j: float, grams: float) -> None:
    total.latency += time_ms
    total.energy += energy_j
    total.emissions += grams
    total.throughput = max(total.throughput, time_ms)
