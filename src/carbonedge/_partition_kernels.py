"""The core's partition search once more; see `_kernels` for how the two keep together."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Label = tuple[int, int, int, int, int]

NO_LABEL = -1
ROUNDING_SLACK = 1.0 + 1e-9


def combine(bottleneck: bool, a: float, b: float) -> float:
    """The sum of two parts of a plan, or the larger."""
    return max(a, b) if bottleneck else a + b


def running_sums(operator_cost: Floats) -> Floats:
    """Cost of operators [0, p) on each node, [N, L + 1]."""
    num_operators, num_nodes = operator_cost.shape
    upto = np.zeros((num_nodes, num_operators + 1))
    for node in range(num_nodes):
        for p in range(num_operators):
            upto[node, p + 1] = upto[node, p] + operator_cost[p, node]
    return upto


def fixed_costs(link_latency_ms: Floats, count_latency: bool) -> Floats:
    """Cost of a hop whatever crosses it; infinite without a link."""
    fixed = link_latency_ms.copy()
    if not count_latency:
        for a in range(fixed.shape[0]):
            for b in range(fixed.shape[1]):
                if not np.isinf(fixed[a, b]):
                    fixed[a, b] = 0.0
    return fixed


def stage_cost(upto: Floats, overhead: Floats, start: int, stop: int, node: int) -> float:
    """Running operators [start, stop) on a node."""
    return upto[node, stop] - upto[node, start] + overhead[node]


def transfer_cost(
    fixed: Floats, per_mb: Floats, cut_mb: Floats, cut: int, source: int, target: int
) -> float:
    """Moving what crosses a cut between two nodes."""
    return fixed[source, target] + per_mb[source, target] * cut_mb[cut]


def plan_cost(
    upto: Floats,
    overhead: Floats,
    fixed: Floats,
    per_mb: Floats,
    cut_mb: Floats,
    stops: Integers,
    nodes: Integers,
    bottleneck: bool,
) -> float:
    """Cost of a whole plan, summed or its largest part."""
    total = 0.0
    start = 0
    for k in range(len(nodes)):
        stop = stops[k]
        total = combine(bottleneck, total, stage_cost(upto, overhead, start, stop, nodes[k]))
        if k + 1 < len(nodes):
            hop = transfer_cost(fixed, per_mb, cut_mb, stop, nodes[k], nodes[k + 1])
            total = combine(bottleneck, total, hop)
        start = stop
    return total


def farthest_stops(memory_mb: Floats, node_memory_mb: Floats) -> Integers:
    """The farthest stop of a stage from each cut, by node memory, [N, L]."""
    num_operators = len(memory_mb)
    upto = np.zeros(num_operators + 1)
    for p in range(num_operators):
        upto[p + 1] = upto[p] + memory_mb[p]
    farthest = np.zeros((len(node_memory_mb), num_operators), dtype=np.int64)
    for node in range(len(node_memory_mb)):
        limit = node_memory_mb[node] * ROUNDING_SLACK
        stop = 0
        for start in range(num_operators):
            stop = max(stop, start)
            while stop < num_operators and upto[stop + 1] - upto[start] <= limit:
                stop += 1
            farthest[node, start] = stop
    return farthest


def cost_to_go(
    upto: Floats,
    overhead: Floats,
    fixed: Floats,
    per_mb: Floats,
    cut_mb: Floats,
    farthest: Integers,
    bottleneck: bool,
) -> Floats:
    """Least cost still to come from each cut and node, nodes free to be reused, [L, N]."""
    num_nodes, num_operators = farthest.shape
    to_go = np.full((num_operators, num_nodes), np.inf)
    onward = np.full((num_nodes, num_operators + 1), np.inf)
    for node in range(num_nodes):
        onward[node, num_operators] = 0.0 if bottleneck else upto[node, num_operators]
    for start in range(num_operators - 1, -1, -1):
        for node in range(num_nodes):
            best = np.inf
            last = farthest[node, start]
            if bottleneck:
                for stop in range(start + 1, last + 1):
                    cost = stage_cost(upto, overhead, start, stop, node)
                    best = min(best, max(cost, onward[node, stop]))
            else:
                for stop in range(start + 1, last + 1):
                    best = min(best, onward[node, stop])
                best = best - upto[node, start] + overhead[node]
            to_go[start, node] = best
        for node in range(num_nodes):
            best = np.inf
            for onto in range(num_nodes):
                if onto != node:
                    hop = transfer_cost(fixed, per_mb, cut_mb, start, node, onto)
                    best = min(best, combine(bottleneck, hop, to_go[start, onto]))
            onward[node, start] = best if bottleneck else best + upto[node, start]
    return to_go


def best_dual(
    costs: tuple[Floats, Floats, Floats, Floats],
    latency: tuple[Floats, Floats, Floats, Floats],
    cut_mb: Floats,
    farthest: Integers,
    unit_price: float,
    slo_ms: float,
) -> tuple[float, Floats]:
    """The price of latency with the highest bound, and the cost to go at that price."""
    best_price = 0.0
    best_to_go = np.zeros((0, 0))
    highest = -np.inf
    step = 0.0
    for attempt in range(12 + 2 * 8):
        if attempt < 12:
            price = unit_price / 4096.0 * 4.0**attempt
        elif attempt % 2 == 0:
            step = best_price / 2.0 if attempt == 12 else step / 2.0
            price = best_price + step
        else:
            price = best_price - step
        to_go = cost_to_go(
            costs[0] + price * latency[0],
            costs[1] + price * latency[1],
            costs[2] + price * latency[2],
            costs[3] + price * latency[3],
            cut_mb,
            farthest,
            False,
        )
        bound = np.min(to_go[0]) - price * slo_ms
        if bound > highest:
            highest = bound
            best_price = price
            best_to_go = to_go
    return best_price, best_to_go


def emission_costs(
    energy_j: Floats, time_ms: Floats, grams_per_j: Floats, grams_per_ms: Floats
) -> Floats:
    """Grams of operators or overheads, nodes along the last axis."""
    return energy_j * grams_per_j + time_ms * grams_per_ms


def work_to_go(upto: Floats) -> Floats:
    """Summed work of the operators from each cut on, each as its least share of any
    node's whole time, [L + 1].
    """
    num_nodes, width = upto.shape
    work = np.zeros(width)
    for p in range(width - 2, -1, -1):
        least = np.inf
        for node in range(num_nodes):
            whole = upto[node, width - 1]
            share = (upto[node, p + 1] - upto[node, p]) / whole if whole > 0.0 else 0.0
            least = min(least, share)
        work[p] = work[p + 1] + least
    return work


def work_bound(label: Label, upto: Floats, work: Floats) -> float:
    """The slowest part when the nodes left are all as busy as the work demands."""
    cut, used, own, _, _ = label
    rate = 0.0
    for node in range(upto.shape[0]):
        if node == own or (used >> node) & 1 == 0:
            whole = upto[node, -1]
            if whole == 0.0:
                return 0.0
            rate += 1.0 / whole
    return work[cut] / rate


def bound_of(
    label: Label,
    cost: float,
    latency: float,
    to_go: Floats,
    latency_to_go: Floats,
    dual_to_go: Floats,
    price: float,
    slo_ms: float,
    bottleneck: bool,
    upto: Floats,
    work: Floats,
) -> float:
    """What no completion of a label undercuts; infinite when none meets `slo_ms`."""
    cut, _, node, _, _ = label
    lower = combine(bottleneck, cost, to_go[cut, node])
    if bottleneck:
        lower = max(lower, work_bound(label, upto, work))
    if np.isinf(slo_ms):
        return lower
    if latency + latency_to_go[cut, node] > slo_ms * ROUNDING_SLACK:
        return np.inf
    if price == 0.0:
        return lower
    return max(lower, cost + price * (latency - slo_ms) + dual_to_go[cut, node])


def dominated(
    label: Label,
    cost: float,
    latency: float,
    labels: list[Label],
    spent: list[tuple[float, float]],
    siblings: list[int],
    newest: Integers,
    bound_latency: bool,
) -> bool:
    """Whether a kept label is as good in every way: of no more nodes, so of no more stages."""
    cut, used, node, _, _ = label
    i = newest[cut, node]
    while i != NO_LABEL:
        _, other_used, _, _, _ = labels[i]
        other_cost, other_latency = spent[i]
        if (
            (other_used & ~used) == 0
            and other_cost <= cost
            and (not bound_latency or other_latency <= latency)
        ):
            return True
        i = siblings[i]
    return False


def solve_partition(
    time_ms: Floats,
    energy_j: Floats,
    memory_mb: Floats,
    cut_mb: Floats,
    node_memory_mb: Floats,
    grams_per_j: Floats,
    grams_per_ms: Floats,
    link_latency_ms: Floats,
    link_mbps: Floats,
    link_j_per_mb: Floats,
    link_grams_per_j: Floats,
    stage_overhead_ms: Floats,
    stage_overhead_j: Floats,
    objective: int,
    slo_ms: float,
    max_stages: int,
    max_labels: int,
) -> tuple[bool, Integers, Integers, float, float, float, float, float, float]:
    """The plan with the least of one objective; see ``best_partition`` in the core.

    Returns whether `max_labels` was met, stops, nodes, latency, energy, emissions,
    bottleneck, the objective's value and its bound; no stops when there is no plan.
    """
    num_operators, num_nodes = time_ms.shape
    bottleneck = objective == 3
    bound_latency = not np.isinf(slo_ms)

    latency = (
        running_sums(time_ms),
        stage_overhead_ms,
        fixed_costs(link_latency_ms, True),
        8.0 * 1e3 / link_mbps,
    )
    energy = (
        running_sums(energy_j),
        stage_overhead_j,
        fixed_costs(link_latency_ms, False),
        link_j_per_mb,
    )
    emissions = (
        running_sums(emission_costs(energy_j, time_ms, grams_per_j, grams_per_ms)),
        emission_costs(stage_overhead_j, stage_overhead_ms, grams_per_j, grams_per_ms),
        fixed_costs(link_latency_ms, False),
        link_j_per_mb * link_grams_per_j,
    )
    costs = latency
    if objective == 1:
        costs = energy
    elif objective == 2:
        costs = emissions
    upto, overhead, fixed, per_mb = costs
    late_upto, late_overhead, late_fixed, late_per_mb = latency

    farthest = farthest_stops(memory_mb, node_memory_mb)
    to_go = cost_to_go(upto, overhead, fixed, per_mb, cut_mb, farthest, bottleneck)
    work = work_to_go(upto)
    late_to_go = to_go
    price = 0.0
    dual_to_go = to_go
    if bound_latency:
        late_to_go = cost_to_go(
            late_upto, late_overhead, late_fixed, late_per_mb, cut_mb, farthest, False
        )
        least = np.min(to_go[0])
        fastest = np.min(late_to_go[0])
        if not bottleneck and np.isfinite(least) and least > 0.0 and fastest > 0.0:
            price, dual_to_go = best_dual(costs, latency, cut_mb, farthest, least / fastest, slo_ms)

    # A label: cut, nodes used as bits, node, stages, parent. Beside it what it has
    # spent, and the label before it at the same cut and node.
    labels = [(0, 0, 0, 0, 0)]
    spent = [(0.0, 0.0)]
    siblings = [0]
    heap = [(0.0, 0, 0)]
    labels.pop()
    spent.pop()
    siblings.pop()
    heap.pop()
    newest = np.full((num_operators, num_nodes), NO_LABEL)
    best_cost = np.inf
    best_label = NO_LABEL

    for node in range(num_nodes):
        label = (0, 1 << node, node, 1, NO_LABEL)
        bound = bound_of(
            label, 0.0, 0.0, to_go, late_to_go, dual_to_go, price, slo_ms, bottleneck, upto, work
        )
        labels.append(label)
        spent.append((0.0, 0.0))
        siblings.append(NO_LABEL)
        newest[0, node] = node
        heapq.heappush(heap, (bound, num_operators, node))
        # The best single node, found first, keeps what cannot beat it unopened.
        if farthest[node, 0] == num_operators:
            cost = combine(bottleneck, 0.0, stage_cost(upto, overhead, 0, num_operators, node))
            late = 0.0 + stage_cost(late_upto, late_overhead, 0, num_operators, node)
            if cost < best_cost and late <= slo_ms:
                best_cost = cost
                best_label = node

    while len(heap) > 0 and heap[0][0] < best_cost and len(labels) < max_labels:
        parent = heapq.heappop(heap)[2]
        cut, used, node, stages, _ = labels[parent]
        parent_cost, parent_late = spent[parent]
        if farthest[node, cut] == num_operators:
            own = stage_cost(upto, overhead, cut, num_operators, node)
            cost = combine(bottleneck, parent_cost, own)
            late = parent_late + stage_cost(late_upto, late_overhead, cut, num_operators, node)
            if cost < best_cost and late <= slo_ms:
                best_cost = cost
                best_label = parent
        if stages >= max_stages:
            continue
        for stop in range(cut + 1, min(farthest[node, cut], num_operators - 1) + 1):
            own = stage_cost(upto, overhead, cut, stop, node)
            cost_here = combine(bottleneck, parent_cost, own)
            if cost_here >= best_cost:
                break
            late_here = parent_late + stage_cost(late_upto, late_overhead, cut, stop, node)
            for onto in range(num_nodes):
                if (used >> onto) & 1:
                    continue
                label = (stop, used | (1 << onto), onto, stages + 1, parent)
                hop = transfer_cost(fixed, per_mb, cut_mb, stop, node, onto)
                cost = combine(bottleneck, cost_here, hop)
                late = late_here + transfer_cost(late_fixed, late_per_mb, cut_mb, stop, node, onto)
                bound = bound_of(
                    label,
                    cost,
                    late,
                    to_go,
                    late_to_go,
                    dual_to_go,
                    price,
                    slo_ms,
                    bottleneck,
                    upto,
                    work,
                )
                if bound >= best_cost or dominated(
                    label, cost, late, labels, spent, siblings, newest, bound_latency
                ):
                    continue
                heapq.heappush(heap, (bound, num_operators - stop, len(labels)))
                siblings.append(newest[stop, onto])
                newest[stop, onto] = len(labels)
                labels.append(label)
                spent.append((cost, late))

    settled = len(heap) == 0 or heap[0][0] >= best_cost
    if best_label == NO_LABEL:
        none = np.zeros(0, dtype=np.int64)
        return not settled, none, none, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0

    num_stages = labels[best_label][3]
    stops = np.empty(num_stages, dtype=np.int64)
    nodes = np.empty(num_stages, dtype=np.int64)
    stop = num_operators
    last = best_label
    for k in range(num_stages - 1, -1, -1):
        cut, _, node, _, parent = labels[last]
        stops[k] = stop
        nodes[k] = node
        stop = cut
        last = parent
    return (
        not settled,
        stops,
        nodes,
        plan_cost(latency[0], latency[1], latency[2], latency[3], cut_mb, stops, nodes, False),
        plan_cost(energy[0], energy[1], energy[2], energy[3], cut_mb, stops, nodes, False),
        plan_cost(
            emissions[0], emissions[1], emissions[2], emissions[3], cut_mb, stops, nodes, False
        ),
        plan_cost(latency[0], latency[1], latency[2], latency[3], cut_mb, stops, nodes, True),
        best_cost,
        best_cost if settled else heap[0][0],
    )


HELPERS: tuple[Any, ...] = (
    combine,
    running_sums,
    fixed_costs,
    stage_cost,
    transfer_cost,
    plan_cost,
    farthest_stops,
    cost_to_go,
    best_dual,
    emission_costs,
    work_to_go,
    work_bound,
    bound_of,
    dominated,
)
"""What `solve_partition` calls."""
