"""The hot parts of the core's partition search once more, for Numba; see `_kernels`.

What each does and why stands in ``cpp``, in the files that the names come from: chain costs,
stage limits, uses, cost to go, archive, label search and throughput. `_partition_search` puts
them to work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Records = NDArray[np.void]
Label = Any
"""One of `Records`."""

NONE = -1
"""No state, no stage, no row; and as a kind, the source."""

ROUNDING_SLACK = 1.0 + 1e-9
TIE = 1.0 + 1e-12
LABELS_BETWEEN_LOOKS = 64
MOST_STAGES = 20_000_000

RUN, HOP = range(2)
"""Of a table ``to_go[RUN or HOP, cut, kind, state]``."""

COST, LATENCY, AT_A_PRICE = range(3)
"""Tables of a search."""

LIMIT, SHIFT, MASK = range(3)
"""Of a kind, or at last of stages: how often one may be used, and where that is counted, NONE
where it is not.
"""

LABEL = np.dtype(
    [
        ("cost", np.float64),
        ("latency", np.float64),
        ("used", np.int64),
        ("state", np.int32),
        ("farthest", np.int32),
        ("stage", np.int64),
    ],
    align=True,
)
STAGE_START = np.dtype([("cut", np.int32), ("kind", np.int32), ("before", np.int32)], align=True)
POINT = np.dtype([("latency", np.float64), ("cost", np.float64), ("id", np.int64)], align=True)

FOUND, KEPT, PLANS, OVERUSED, CUT = range(5)
NUM_SIZES = 5
"""How much of each array of `Progress` is in use, and where the search stands."""

WORD_BITS = 53
"""Of a set of cuts, [words]: as many as a float tells exactly."""

ANSWERED, NO_PLAN, CUT_SHORT, TOO_LARGE = range(4)

FIRST, END, AT = range(3)
"""Of a row of costs, [states, N, 3]: the cuts it has, [first, end), and where they stand."""
MOST_SET_VALUES = 2**25
STATES_BETWEEN_LOOKS = 64

OVER, HALF_OVER = range(2)
"""Of a search's time; not 0 once it is."""


class Costs(NamedTuple):
    """One measure of a chain."""

    step: Floats  # [N, L], of the operator behind each cut
    rest: Floats  # [N, L + 1], of all operators behind it
    overhead: Floats
    fixed: Floats  # [N, N]
    per_mb: Floats
    cut_mb: Floats
    source: int


class StageLimits(NamedTuple):
    """What one stage or hop may be."""

    latency: Costs
    farthest: Integers  # [N, L]
    max_part_ms: float


class Search(NamedTuple):
    """What a search over labels goes by."""

    cost: Costs
    limits: StageLimits
    uses: Integers  # [3, N + 1], by LIMIT, SHIFT and MASK
    guards: int
    next_state: Integers  # [N, states]
    to_go: Floats  # [2, L + 1, N, states, tables], of cost, latency and both at each price
    prices: Floats
    whole_front: bool
    bound_latency: bool
    slo_ms: float
    hoped_ms: float
    cost_tie: float
    latency_tie: float
    ceiling: float


class Progress(NamedTuple):
    """How far it came. A plan is its number of stages, their stops, and their kinds."""

    running: Records  # [N, room] of LABEL
    num_running: Integers
    found: Records  # of POINT; by stage, or NONE
    kept: Records  # by where the plan stands in `plans`
    plans: Integers
    overused: Integers
    sizes: Integers
    until: Integers  # by OVER and HALF_OVER


def stage_cost(costs: Costs, start: int, stop: int, kind: int) -> float:
    """Running operators [start, stop) on a node."""
    total = 0.0
    for cut in range(start, stop):
        total += costs.step[kind, cut]
    return total + costs.overhead[kind]


def hop_cost(costs: Costs, cut: int, source: int, target: int) -> float:
    """Moving what crosses a cut, from or to the source where a kind is NONE."""
    if source == NONE or target == NONE:
        if costs.source == NONE or costs.source in (source, target):
            return 0.0
        if source == NONE:
            source = costs.source
        else:
            target = costs.source
    return costs.fixed[source, target] + costs.per_mb[source, target] * costs.cut_mb[cut]


def may_hop(limits: StageLimits, cut: int, source: int, target: int) -> bool:
    """Whether that is no slower than a part may be."""
    return hop_cost(limits.latency, cut, source, target) <= limits.max_part_ms


def sum_of_parts(costs: Costs, stops: Integers, kinds: Integers) -> float:
    """The cost of a plan."""
    total = hop_cost(costs, 0, NONE, kinds[0])
    start = 0
    for k in range(len(kinds)):
        total += stage_cost(costs, start, stops[k], kinds[k])
        onto = kinds[k + 1] if k + 1 < len(kinds) else NONE
        total += hop_cost(costs, stops[k], kinds[k], onto)
        start = stops[k]
    return total


def largest_part(costs: Costs, stops: Integers, kinds: Integers) -> float:
    """The largest stage or hop of a plan."""
    largest = hop_cost(costs, 0, NONE, kinds[0])
    start = 0
    for k in range(len(kinds)):
        largest = max(largest, stage_cost(costs, start, stops[k], kinds[k]))
        onto = kinds[k + 1] if k + 1 < len(kinds) else NONE
        largest = max(largest, hop_cost(costs, stops[k], kinds[k], onto))
        start = stops[k]
    return largest


def farthest_stops(
    memory_mb: Floats, node_memory_mb: Floats, latency: Costs, max_part_ms: float
) -> Integers:
    """The last stop of a stage from each cut, by memory and time, [N, L]."""
    farthest = np.zeros((len(node_memory_mb), len(memory_mb)), dtype=np.int64)
    by_time = np.zeros(len(memory_mb), dtype=np.int64)
    for kind in range(len(node_memory_mb)):
        put_farthest(memory_mb, 0.0, node_memory_mb[kind] * ROUNDING_SLACK, farthest[kind])
        put_farthest(latency.step[kind], latency.overhead[kind], max_part_ms, by_time)
        for start in range(len(memory_mb)):
            farthest[kind, start] = min(farthest[kind, start], by_time[start])
    return farthest


def put_farthest(weights: Floats, first: float, most: float, farthest: Integers) -> None:
    """For each start the farthest stop up to which weights, and a first one, sum up to no
    more than `most`.
    """
    size = len(weights)
    up_to_middle = np.zeros(size + 1)
    middle = 0
    stop = 0
    beyond = 0.0
    for start in range(size):
        stop = max(stop, start)
        if start >= middle:
            middle = stop
            beyond = 0.0
            up_to_middle[middle] = 0.0
            for i in range(middle - 1, start - 1, -1):
                up_to_middle[i] = weights[i] + up_to_middle[i + 1]
        while stop < size and up_to_middle[start] + (beyond + weights[stop]) + first <= most:
            beyond += weights[stop]
            stop += 1
        farthest[start] = stop


def divide(steps: Floats, start: int, farthest: int, hops: Floats, kind: int, far: Floats) -> None:
    """What a stage from a start costs, and all after it, at its best stop up to each."""
    cost = 0.0
    for stop in range(start + 1, farthest + 1):
        cost += steps[stop - 1]
        for state in range(far.shape[1]):
            value = cost + hops[stop, kind, state]
            if stop > start + 1:
                value = min(far[stop - start - 2, state], value)
            far[stop - start - 1, state] = value


def cost_to_go(
    costs: Costs, limits: StageLimits, next_state: Integers, until: Integers
) -> tuple[Floats, float, bool]:
    """The table, the cost of a whole plan that no plan betters, and whether there was time
    to finish.
    """
    num_kinds, num_states = next_state.shape
    num_operators = limits.farthest.shape[1]
    to_go = np.full((2, num_operators + 1, num_kinds, num_states), np.inf)
    # Stops up to a middle, and beyond it where memory or time bounds a stage.
    room = num_operators if np.any(limits.farthest[:, 0] < num_operators) else 0
    middle = np.full(num_kinds, num_operators)
    to_middle = np.zeros(num_kinds)
    near = np.full((num_kinds, num_states), np.inf)
    far = np.empty((num_kinds, room, num_states))
    for kind in range(num_kinds):
        if may_hop(limits, num_operators, kind, NONE):
            to_go[HOP, num_operators, kind] = hop_cost(costs, num_operators, kind, NONE)

    for start in range(num_operators - 1, -1, -1):
        if until[OVER] != 0:
            return to_go, np.inf, False
        for kind in range(num_kinds):
            farthest = limits.farthest[kind, start]
            if farthest < middle[kind]:
                middle[kind] = start
                to_middle[kind] = 0.0
                near[kind] = np.inf
                divide(costs.step[kind], start, farthest, to_go[HOP], kind, far[kind])
            else:
                step = costs.step[kind, start]
                to_middle[kind] += step
                for state in range(num_states):
                    near[kind, state] = step + min(
                        near[kind, state], to_go[HOP, start + 1, kind, state]
                    )
            beyond = farthest - middle[kind]
            for state in range(num_states):
                value = near[kind, state]
                if beyond > 0:
                    value = min(value, to_middle[kind] + far[kind, beyond - 1, state])
                to_go[RUN, start, kind, state] = value + costs.overhead[kind]
        if start == 0:
            break
        for kind in range(num_kinds):
            for onto in range(num_kinds):
                if not may_hop(limits, start, kind, onto):
                    continue
                transfer = hop_cost(costs, start, kind, onto)
                for state in range(num_states):
                    after = next_state[onto, state]
                    if after != NONE:
                        value = transfer + to_go[RUN, start, onto, after]
                        to_go[HOP, start, kind, state] = min(to_go[HOP, start, kind, state], value)

    whole = np.inf
    for kind in range(num_kinds):
        after = next_state[kind, 0]
        if after != NONE and may_hop(limits, 0, NONE, kind):
            whole = min(whole, hop_cost(costs, 0, NONE, kind) + to_go[RUN, 0, kind, after])
    return to_go, whole, True


def best_plan(
    costs: Costs, limits: StageLimits, next_state: Integers, to_go: Floats
) -> tuple[Integers, Integers]:
    """Stops and kinds of the plan that a table promises."""
    num_kinds = len(next_state)
    num_operators = limits.farthest.shape[1]
    stops = np.empty(num_operators, dtype=np.int64)
    kinds = np.empty(num_operators, dtype=np.int64)
    num_stages = 0
    start = 0
    kind = NONE
    state = 0
    while start < num_operators:
        least = np.inf
        chosen = max(kind, 0)
        reached = state
        for onto in range(num_kinds):
            after = next_state[onto, state]
            if after == NONE or not may_hop(limits, start, kind, onto):
                continue
            value = hop_cost(costs, start, kind, onto) + to_go[RUN, start, onto, after]
            if value < least:
                least = value
                chosen = onto
                reached = after
        kind = chosen
        state = reached
        least = np.inf
        best = num_operators
        total = 0.0
        # Of equals the farthest: fewer stages.
        for stop in range(start + 1, limits.farthest[kind, start] + 1):
            total += costs.step[kind, stop - 1]
            value = total + to_go[HOP, stop, kind, state]
            if value <= least:
                least = value
                best = stop
        start = best
        stops[num_stages] = start
        kinds[num_stages] = kind
        num_stages += 1
    return stops[:num_stages], kinds[:num_stages]


def rough_plan(
    costs: Costs, limits: StageLimits, resources: Integers
) -> tuple[bool, Integers, Integers]:
    """Stops and kinds of some plan that overuses nothing, or that none is easy to come by."""
    num_kinds, num_operators = limits.farthest.shape
    stops = np.zeros(num_operators, dtype=np.int64)
    kinds = np.zeros(num_operators, dtype=np.int64)
    times = np.zeros(num_kinds, dtype=np.int64)
    num_stages = 0
    start = 0
    before = NONE
    while start < num_operators and num_stages < resources[num_kinds]:
        least = np.inf
        chosen = 0
        for kind in range(num_kinds):
            stop = limits.farthest[kind, start]
            if (
                stop <= start
                or times[kind] == resources[kind]
                or not may_hop(limits, start, before, kind)
                or (stop == num_operators and not may_hop(limits, stop, kind, NONE))
            ):
                continue
            cost = stage_cost(costs, start, stop, kind) + hop_cost(costs, start, before, kind)
            each = cost / (stop - start)
            if each < least:
                least = each
                chosen = kind
        if least == np.inf:
            break
        times[chosen] += 1
        start = limits.farthest[chosen, start]
        stops[num_stages] = start
        kinds[num_stages] = chosen
        num_stages += 1
        before = chosen
    return start == num_operators, stops[:num_stages], kinds[:num_stages]


def least_cost(points: Records, size: int, ceiling: float) -> float:
    """What a plan must cost less than to be the cheapest."""
    return ceiling if size == 0 else min(ceiling, points[size - 1]["cost"])


def first_later(points: Records, size: int, latency: float) -> int:
    """The first point of a higher latency."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if latency < points[middle]["latency"]:
            high = middle
        else:
            low = middle + 1
    return low


def insert(
    points: Records,
    size: int,
    whole_front: bool,
    ceiling: float,
    latency: float,
    cost: float,
    identity: int,
) -> int:
    """How many points there are with a new one in; NONE if it betters nothing."""
    first = 0
    last = size
    if whole_front:
        after = first_later(points, size, latency * TIE)
        if after > 0 and points[after - 1]["cost"] <= cost * TIE:
            return NONE
        first = first_later(points, size, latency)
        while first > 0 and points[first - 1]["latency"] * TIE >= latency:
            first -= 1
        last = first
        while last < size and points[last]["cost"] * TIE >= cost:
            last += 1
    elif cost * TIE >= least_cost(points, size, ceiling):
        return NONE
    grown = size + first + 1 - last
    if first == last:
        for i in range(size, first, -1):
            points[i] = points[i - 1]
    elif first + 1 < last:
        for i in range(last, size):
            points[i + first + 1 - last] = points[i]
    point = points[first]
    point["latency"] = latency
    point["cost"] = cost
    point["id"] = identity
    return grown


def is_left(uses: Integers, used: int, resource: int) -> bool:
    """Whether a resource may be used once more."""
    shift = uses[SHIFT, resource]
    return shift == NONE or (used >> shift) & uses[MASK, resource] < uses[LIMIT, resource]


def with_use(uses: Integers, used: int, resource: int) -> int:
    """What is used once it is."""
    shift = uses[SHIFT, resource]
    return used if shift == NONE else used + (1 << shift)


def note_overused(limits: Integers, kinds: Integers, overused: Integers, sizes: Integers) -> bool:
    """Whether a plan uses anything more often than it may; what, is added."""
    times = np.zeros(len(limits), dtype=np.int64)
    times[-1] = len(kinds)
    any_is = False
    for k in range(len(kinds) + 1):
        resource = len(limits) - 1
        if k < len(kinds):
            resource = kinds[k]
            times[resource] += 1
        if times[resource] > limits[resource]:
            any_is = True
            if not np.any(overused[: sizes[OVERUSED]] == resource):
                overused[sizes[OVERUSED]] = resource
                sizes[OVERUSED] += 1
    return any_is


def keep(
    kept: Records,
    plans: Integers,
    sizes: Integers,
    whole_front: bool,
    latency: float,
    cost: float,
    stops: Integers,
    kinds: Integers,
) -> None:
    """Takes a plan up that nothing kept is as good as."""
    at = sizes[PLANS]
    size = insert(kept, sizes[KEPT], whole_front, np.inf, latency, cost, at)
    if size != NONE:
        num_stages = len(kinds)
        plans[at] = num_stages
        for k in range(num_stages):
            plans[at + 1 + k] = stops[k]
            plans[at + 1 + num_stages + k] = kinds[k]
        sizes[KEPT] = size
        sizes[PLANS] = at + 1 + 2 * num_stages


def grown(array: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    """The same array, or a copy with room for more rows."""
    if used + more <= len(array):
        return array
    larger = np.zeros((2 * (used + more),) + array.shape[1:], dtype=array.dtype)  # noqa: RUF005
    larger[:used] = array[:used]
    return larger


def widened(labels: Records, room: int) -> Records:
    """The same labels, or a copy, with room for so many and one more of each kind."""
    if room < labels.shape[1]:
        return labels
    wide = np.zeros((labels.shape[0], 2 * room + 2), dtype=labels.dtype)
    wide[:, : labels.shape[1]] = labels
    return wide


def is_open(
    points: Records,
    size: int,
    prices: Floats,
    to_go: Floats,
    cost: float,
    latency: float,
    whole_front: bool,
    bound_latency: bool,
    slo_ms: float,
    ceiling: float,
) -> bool:
    """Whether something could still come of a plan so far, of which `to_go`, [tables], says
    what is still to come at least.
    """
    cheapest = cost + to_go[COST]
    if not bound_latency:
        return cheapest < least_cost(points, size, ceiling)
    soonest = latency + to_go[LATENCY]
    latest = slo_ms * ROUNDING_SLACK
    if not whole_front and soonest > latest:
        return False
    following = first_later(points, size, soonest) if whole_front else size
    while True:
        if whole_front:
            cost_below = np.inf if following == 0 else points[following - 1]["cost"]
            latency_below = latest if following == size else points[following]["latency"]
            if cheapest * TIE >= cost_below:
                return False
            inside = soonest * TIE < latency_below
        else:
            cost_below = least_cost(points, size, ceiling)
            latency_below = latest
            inside = cheapest < cost_below
        for i in range(len(prices)):
            if not inside:
                break
            reached = cost + prices[i] * latency + to_go[AT_A_PRICE + i]
            inside = reached < cost_below + prices[i] * latency_below
        if inside or following == size:
            return inside
        following += 1


def matches(a: Label, b: Label, guards: int, cost_tie: float, latency_tie: float) -> bool:
    """Whether label a is as good as b in every way; any latency is, within an infinite tie."""
    return (
        a["cost"] <= b["cost"] + cost_tie
        and (((b["used"] | guards) - a["used"]) & guards) == guards
        and a["latency"] <= b["latency"] + latency_tie
        and a["farthest"] >= b["farthest"]
    )


def join(
    running: Records,
    num_running: int,
    starting: Records,
    num_starting: int,
    guards: int,
    cost_tie: float,
    latency_tie: float,
) -> int:
    """Puts the label that stands behind those starting among them, but for those that it
    matches, unless one matches it; how many there are, or NONE.
    """
    label = starting[num_starting]
    for i in range(num_running):
        if matches(running[i], label, guards, cost_tie, latency_tie):
            return NONE
    for i in range(num_starting):
        if matches(starting[i], label, guards, cost_tie, latency_tie):
            return NONE
    kept = 0
    for i in range(num_starting):
        if not matches(label, starting[i], guards, cost_tie, latency_tie):
            starting[kept] = starting[i]
            kept += 1
    starting[kept] = label
    return kept + 1


def merge(
    running: Records,
    num_running: int,
    starting: Records,
    num_starting: int,
    guards: int,
    cost_tie: float,
    latency_tie: float,
) -> int:
    """Started stages join those that run, but those they match or beat; how many then run."""
    kept = 0
    for i in range(num_running):
        matched = False
        for j in range(num_starting):
            if matches(starting[j], running[i], guards, cost_tie, latency_tie):
                matched = True
                break
        if not matched:
            running[kept] = running[i]
            kept += 1
    for j in range(num_starting):
        running[kept + j] = starting[j]
    return kept + num_starting


def trace_back(stages: Records, last: int, num_operators: int) -> tuple[Integers, Integers]:
    """Stops and kinds of the plan that a stage is the last of."""
    num_stages = 0
    i = last
    while i != NONE:
        num_stages += 1
        i = stages[i]["before"]
    stops = np.empty(num_stages, dtype=np.int64)
    kinds = np.empty(num_stages, dtype=np.int64)
    stop = num_operators
    i = last
    for k in range(num_stages - 1, -1, -1):
        stops[k] = stop
        kinds[k] = stages[i]["kind"]
        stop = stages[i]["cut"]
        i = stages[i]["before"]
    return stops, kinds


def out_of_time(until: Integers, kept: Records, sizes: Integers, hoped_ms: float) -> bool:
    """Half of the time is enough unless what was found is as quick as hoped for."""
    promising = np.isinf(hoped_ms) or (sizes[KEPT] > 0 and kept[0]["latency"] <= hoped_ms)
    return until[OVER] != 0 or (until[HALF_OVER] != 0 and not promising)


def hops_at(costs: Costs, cut: int) -> Floats:
    """The cost of every hop at a cut, [N + 1, N + 1]; the source is the last."""
    num_kinds = len(costs.overhead)
    hops = np.zeros((num_kinds + 1, num_kinds + 1))
    for source in range(num_kinds):
        hops[NONE, source] = hop_cost(costs, cut, NONE, source)
        hops[source, NONE] = hop_cost(costs, cut, source, NONE)
        for target in range(num_kinds):
            hops[source, target] = hop_cost(costs, cut, source, target)
    return hops


def explore(search: Search, progress: Progress) -> tuple[bool, Progress]:
    """Searches cut by cut for what costs less than a ceiling; False when cut short."""
    # Each pass through a tuple of arrays takes as long as the work on one label.
    running, num_running, found, kept, plans, overused, sizes, until = progress
    uses, guards, next_state, to_go = search.uses, search.guards, search.next_state, search.to_go
    prices, whole_front, bound_latency = search.prices, search.whole_front, search.bound_latency
    slo_ms, ceiling = search.slo_ms, search.ceiling
    cost_tie, latency_tie = search.cost_tie, search.latency_tie
    farthest, max_part_ms = search.limits.farthest, search.limits.max_part_ms
    cost_step, late_step = search.cost.step, search.limits.latency.step
    cost_rest, late_rest = search.cost.rest, search.limits.latency.rest
    cost_overhead, late_overhead = search.cost.overhead, search.limits.latency.overhead
    hoped_ms = search.hoped_ms
    num_kinds, num_operators = farthest.shape
    stage_limit = num_kinds  # the resource
    cost_out = hops_at(search.cost, num_operators)[:, NONE].copy()
    late_out = hops_at(search.limits.latency, num_operators)[:, NONE].copy()

    found = grown(found, 0, sizes[KEPT] + num_kinds)
    sizes[FOUND] = 0
    for i in range(sizes[KEPT]):
        point = kept[i]
        size = insert(
            found, sizes[FOUND], whole_front, ceiling, point["latency"], point["cost"], NONE
        )
        sizes[FOUND] = max(size, sizes[FOUND])
    starting = np.zeros((num_kinds, 4), dtype=running.dtype)
    num_starting = np.zeros(num_kinds, dtype=np.int64)
    stages = np.zeros(64, dtype=STAGE_START)
    num_stages = 0
    looks = 0
    finished = True
    # One label, that of the source, is all that runs before the first cut.
    num_running[:] = 0
    for cut in range(num_operators):
        sizes[CUT] = cut
        cost_hops = hops_at(search.cost, cut)
        late_hops = hops_at(search.limits.latency, cut)
        for kind in range(num_kinds):
            for i in range(num_running[kind]):
                running[kind, i]["cost"] += cost_step[kind, cut - 1]
                running[kind, i]["latency"] += late_step[kind, cut - 1]
        for kind in range(num_kinds if cut > 0 else 1):
            for i in range(num_running[kind] if cut > 0 else 1):
                looks += 1
                if looks % LABELS_BETWEEN_LOOKS == 0 and out_of_time(until, kept, sizes, hoped_ms):
                    finished = False
                    break
                if (
                    num_stages + num_kinds > len(stages)
                    or sizes[FOUND] + num_kinds > len(found)
                    or sizes[KEPT] + num_kinds > len(kept)
                    or sizes[PLANS] + num_kinds * (2 * num_operators + 1) > len(plans)
                ):
                    stages = grown(stages, num_stages, num_kinds)
                    found = grown(found, sizes[FOUND], num_kinds)
                    kept = grown(kept, sizes[KEPT], num_kinds)
                    plans = grown(plans, sizes[PLANS], num_kinds * (2 * num_operators + 1))
                source, cost, latency, used, state, before = NONE, 0.0, 0.0, 0, 0, NONE
                if cut > 0:
                    label = running[kind, i]
                    source, state = kind, label["state"]
                    used, before = label["used"], label["stage"]
                    cost, latency = label["cost"], label["latency"]
                    if not is_open(
                        found,
                        sizes[FOUND],
                        prices,
                        to_go[HOP, cut, kind, state],
                        cost,
                        latency,
                        whole_front,
                        bound_latency,
                        slo_ms,
                        ceiling,
                    ):
                        continue
                if not is_left(uses, used, stage_limit):
                    continue
                for onto in range(num_kinds):
                    after = next_state[onto, state]
                    if (
                        late_hops[source, onto] > max_part_ms
                        or after == NONE
                        or not is_left(uses, used, onto)
                    ):
                        continue
                    cost_there = cost + cost_hops[source, onto]
                    late_there = latency + late_hops[source, onto]
                    if not is_open(
                        found,
                        sizes[FOUND],
                        prices,
                        to_go[RUN, cut, onto, after],
                        cost_there,
                        late_there,
                        whole_front,
                        bound_latency,
                        slo_ms,
                        ceiling,
                    ):
                        continue
                    if num_starting[onto] >= starting.shape[1]:
                        starting = widened(starting, num_starting[onto])
                    label = starting[onto, num_starting[onto]]
                    label["cost"] = cost_there + cost_overhead[onto]
                    label["latency"] = late_there + late_overhead[onto]
                    label["used"] = with_use(uses, with_use(uses, used, onto), stage_limit)
                    label["state"] = after
                    label["farthest"] = farthest[onto, cut]
                    label["stage"] = num_stages
                    size = join(
                        running[onto],
                        num_running[onto],
                        starting[onto],
                        num_starting[onto],
                        guards,
                        cost_tie,
                        latency_tie,
                    )
                    if size == NONE:
                        continue
                    num_starting[onto] = size
                    stage = stages[num_stages]
                    stage["cut"] = cut
                    stage["kind"] = onto
                    stage["before"] = before
                    num_stages += 1
                    if farthest[onto, cut] < num_operators or late_out[onto] > max_part_ms:
                        continue
                    # Completes a plan on the node that it is on, where latency permits.
                    label = starting[onto, size - 1]
                    whole_ms = label["latency"] + late_rest[onto, cut] + late_out[onto]
                    if whole_ms > slo_ms:
                        continue
                    whole = label["cost"] + cost_rest[onto, cut] + cost_out[onto]
                    size = insert(
                        found, sizes[FOUND], whole_front, ceiling, whole_ms, whole, label["stage"]
                    )
                    if size != NONE:
                        sizes[FOUND] = size
                        stops, kinds = trace_back(stages, label["stage"], num_operators)
                        whole_ms = sum_of_parts(search.limits.latency, stops, kinds)
                        over = note_overused(uses[LIMIT], kinds, overused, sizes)
                        if not over and whole_ms <= slo_ms:
                            whole = sum_of_parts(search.cost, stops, kinds)
                            keep(kept, plans, sizes, whole_front, whole_ms, whole, stops, kinds)
            if not finished:
                break
        if num_stages > MOST_STAGES:
            finished = False
        if not finished:
            break
        for kind in range(num_kinds):
            # Only what may run on stays.
            size = 0
            for i in range(num_running[kind]):
                label = running[kind, i]
                if label["farthest"] > cut and is_open(
                    found,
                    sizes[FOUND],
                    prices,
                    to_go[RUN, cut, kind, label["state"]],
                    label["cost"] - cost_overhead[kind],
                    label["latency"] - late_overhead[kind],
                    whole_front,
                    bound_latency,
                    slo_ms,
                    ceiling,
                ):
                    running[kind, size] = label
                    size += 1
            running = widened(running, size + num_starting[kind])
            num_running[kind] = merge(
                running[kind],
                size,
                starting[kind],
                num_starting[kind],
                guards,
                cost_tie,
                latency_tie,
            )
            num_starting[kind] = 0
    if finished:
        for i in range(sizes[FOUND]):
            if found[i]["id"] != NONE:
                _, kinds = trace_back(stages, found[i]["id"], num_operators)
                note_overused(uses[LIMIT], kinds, overused, sizes)
    return finished, Progress(running, num_running, found, kept, plans, overused, sizes, until)


def share_below(value: float, bound: float) -> float:
    """How far below a value a bound lies, as a share of it."""
    return min(max(1.0 - bound / value, 0.0), 1.0) if value > 0.0 else 0.0


def gap_to(progress: Progress, latency: float, cost: float) -> float:
    """By what share a plan of this latency and cost would be better than each one kept."""
    least = 1.0
    for i in range(progress.sizes[KEPT]):
        point = progress.kept[i]
        better = max(share_below(point["cost"], cost), share_below(point["latency"], latency))
        least = min(least, better)
    return least


def front_gap(search: Search, progress: Progress, cut_short: bool) -> float:
    """The same of whatever the exploration found, and may have found had it gone on."""
    widest = 0.0
    for i in range(progress.sizes[FOUND]):
        point = progress.found[i]
        widest = max(widest, gap_to(progress, point["latency"], point["cost"]))
    if not cut_short:
        return widest
    cut = progress.sizes[CUT]
    late = search.limits.latency
    for kind in range(len(progress.num_running)):
        for i in range(progress.num_running[kind]):
            label = progress.running[kind, i]
            run = search.to_go[RUN, cut, kind, label["state"]]
            hop = search.to_go[HOP, cut, kind, label["state"]]
            latency = label["latency"] + min(hop[LATENCY], run[LATENCY] - late.overhead[kind])
            cost = label["cost"] + min(hop[COST], run[COST] - search.cost.overhead[kind])
            widest = max(widest, gap_to(progress, latency, cost))
    return widest


def first_viable_cuts(limits: StageLimits, next_state: Integers) -> Integers:
    """From each state the first cut from which on the nodes left could do the rest if
    nothing had to be moved between them.
    """
    num_kinds, num_states = next_state.shape
    num_operators = limits.farthest.shape[1]
    # For each stop the earliest start of a stage that may run so far.
    earliest = np.zeros((num_kinds, num_operators + 1), dtype=np.int64)
    for kind in range(num_kinds):
        start = 0
        for stop in range(num_operators + 1):
            while start < stop and limits.farthest[kind, start] < stop:
                start += 1
            earliest[kind, stop] = start
    viable = np.full(num_states, num_operators)
    for state in range(num_states - 1, -1, -1):
        before = NONE
        while before != viable[state]:
            before = viable[state]
            for kind in range(num_kinds):
                after = next_state[kind, state]
                if after != NONE:
                    viable[state] = min(viable[state], earliest[kind, viable[after]])
    return viable


def explore_sets(
    costs: Costs,
    limits: StageLimits,
    every_next: Integers,
    of_table: Integers,
    to_go: Floats,
    ceiling: float,
    until: Integers,
) -> tuple[int, Integers, Integers]:
    """Looks over combinations of nodes for the plan that costs least, and less than a ceiling:
    answer, stops and kinds.
    """
    num_kinds, num_states = every_next.shape
    num_operators = limits.farthest.shape[1]
    viable = first_viable_cuts(limits, every_next)
    rows = np.zeros((num_states, num_kinds, 3), dtype=np.int64)
    values = np.zeros(num_operators)
    starts = np.full(num_operators, np.inf)
    up_to_middle = np.full(num_operators + 1, np.inf)
    num_values = 0
    best_before = NONE
    best_kind = NONE
    answer = NO_PLAN
    for before in range(num_states):
        if before % STATES_BETWEEN_LOOKS == 0 and until[OVER] != 0:
            answer = CUT_SHORT
            break
        if num_values > MOST_SET_VALUES:
            answer = TOO_LARGE
            break
        for kind in range(num_kinds):
            state = every_next[kind, before]
            if state == NONE:
                continue
            begin, end = put_starts(costs, limits, rows[before], values, before, kind, starts)
            if begin >= end:
                continue
            values = grown(values, num_values, num_operators)
            num_values, whole = extend_sets(
                costs,
                limits,
                kind,
                viable[state],
                to_go[HOP],
                of_table[state],
                ceiling,
                begin,
                end,
                starts,
                up_to_middle,
                rows[state, kind],
                values,
                num_values,
            )
            if whole < ceiling:
                ceiling = whole
                best_before = before
                best_kind = kind
    if best_before == NONE:
        empty = np.zeros(0, dtype=np.int64)
        return answer, empty, empty
    stops, kinds = trace_sets(costs, limits, every_next, rows, values, best_before, best_kind)
    return ANSWERED if answer == NO_PLAN else answer, stops, kinds


def put_starts(
    costs: Costs,
    limits: StageLimits,
    reached: Integers,
    values: Floats,
    before: int,
    kind: int,
    starts: Floats,
) -> tuple[int, int]:
    """What it costs to hop to a node of this kind from any that may be the last before, and
    the cuts [begin, end) where one may.
    """
    if before == 0:
        starts[0] = hop_cost(costs, 0, NONE, kind)
        return 0, 1 if may_hop(limits, 0, NONE, kind) else 0
    begin = len(starts)
    end = 0
    for last in range(len(reached)):
        if reached[last, FIRST] != reached[last, END]:
            begin = min(begin, reached[last, FIRST])
            end = max(end, reached[last, END])
    for cut in range(begin, end):
        starts[cut] = np.inf
    for last in range(len(reached)):
        at = reached[last, AT] - reached[last, FIRST]
        for cut in range(reached[last, FIRST], reached[last, END]):
            if may_hop(limits, cut, last, kind):
                starts[cut] = min(starts[cut], values[at + cut] + hop_cost(costs, cut, last, kind))
    return begin, end


def extend_sets(
    costs: Costs,
    limits: StageLimits,
    kind: int,
    viable: int,
    hops: Floats,
    table_state: int,
    ceiling: float,
    begin: int,
    end: int,
    starts: Floats,
    up_to_middle: Floats,
    row: Integers,
    values: Floats,
    num_values: int,
) -> tuple[int, float]:
    """Of each stop the cheapest start, into a row; how many values there are then, and what a
    plan that ends here costs.
    """
    num_operators = limits.farthest.shape[1]
    farthest = limits.farthest[kind]
    row[FIRST] = 0
    row[END] = 0
    row[AT] = num_values
    first = begin
    middle = begin
    near = np.inf
    from_middle = 0.0
    whole = np.inf
    for stop in range(begin + 1, num_operators + 1):
        step = costs.step[kind, stop - 1]
        start = starts[stop - 1] if stop - 1 < end else np.inf
        near = min(near, start) + step
        from_middle += step
        while first < stop and farthest[first] < stop:
            first += 1
        if first >= end and first >= stop:
            break
        if first > middle:
            middle = stop
            near = np.inf
            from_middle = 0.0
            total = 0.0
            up_to_middle[stop] = np.inf
            for i in range(stop - 1, first - 1, -1):
                total += costs.step[kind, i]
                start = starts[i] if i < end else np.inf
                up_to_middle[i] = min(up_to_middle[i + 1], start + total)
        value = near
        if first < middle:
            value = min(value, up_to_middle[first] + from_middle)
        value += costs.overhead[kind]
        if stop == num_operators:
            if may_hop(limits, stop, kind, NONE):
                whole = value + hop_cost(costs, stop, kind, NONE)
            break
        if stop < viable:
            continue
        is_worth_it = value + hops[stop, kind, table_state] < ceiling
        if row[FIRST] == row[END]:
            if not is_worth_it:
                continue
            row[FIRST] = stop
        values[row[AT] + stop - row[FIRST]] = value if is_worth_it else np.inf
        if is_worth_it:
            row[END] = stop + 1
    return num_values + row[END] - row[FIRST], whole


def trace_sets(
    costs: Costs,
    limits: StageLimits,
    every_next: Integers,
    rows: Integers,
    values: Floats,
    before: int,
    kind: int,
) -> tuple[Integers, Integers]:
    """Stops and kinds of the plan whose last stage is on a kind, from the combination before."""
    num_kinds, num_operators = limits.farthest.shape
    stops = np.zeros(num_operators, dtype=np.int64)
    kinds = np.zeros(num_operators, dtype=np.int64)
    stop = num_operators
    num_stages = 0
    while True:
        stops[num_stages] = stop
        kinds[num_stages] = kind
        num_stages += 1
        if before == 0:
            break
        least = np.inf
        total = 0.0
        best = stop
        chosen = kind
        start = stop - 1
        while start >= 0 and limits.farthest[kind, start] >= stop:
            total += costs.step[kind, start]
            for last in range(num_kinds):
                row = rows[before, last]
                if not row[FIRST] <= start < row[END] or not may_hop(limits, start, last, kind):
                    continue
                value = (
                    values[row[AT] + start - row[FIRST]]
                    + hop_cost(costs, start, last, kind)
                    + total
                )
                if value < least:
                    least = value
                    best = start
                    chosen = last
            start -= 1
        stop = best
        kind = chosen
        state = before
        while every_next[kind, before] != state:
            before -= 1
    return stops[:num_stages][::-1].copy(), kinds[:num_stages][::-1].copy()


def put(cuts: Integers, cut: int) -> None:
    """Puts a cut into a set."""
    cuts[cut // WORD_BITS] |= 1 << (cut % WORD_BITS)


def has(cuts: Integers, cut: int) -> bool:
    """Whether a cut is in a set."""
    return (cuts[cut // WORD_BITS] >> (cut % WORD_BITS)) & 1 != 0


def put_range(cuts: Integers, first: int, last: int) -> None:
    """Puts all of first..last in."""
    every = (1 << WORD_BITS) - 1
    for word in range(first // WORD_BITS, last // WORD_BITS + 1):
        bits = every
        if word == first // WORD_BITS:
            bits &= every << (first % WORD_BITS)
        if word == last // WORD_BITS:
            bits &= every >> (WORD_BITS - 1 - last % WORD_BITS)
        cuts[word] |= bits


def highest_bit(bits: int) -> int:
    """The place of the highest bit that is set."""
    return math.frexp(float(bits))[1] - 1


def last_cut(cuts: Integers) -> int:
    """The last of a set; 0 of an empty one."""
    for word in range(len(cuts) - 1, -1, -1):
        if cuts[word] != 0:
            return word * WORD_BITS + highest_bit(cuts[word])
    return 0


def stops_from(starts: Integers, farthest: Integers, stops: Integers) -> None:
    """The cuts that stages from a set of starts may reach."""
    stops[:] = 0
    for word in range(len(starts)):
        bits = starts[word]
        while bits != 0:
            # The carry runs through the lowest run of bits. Of neighbouring starts the
            # stops overlap.
            low = bits & -bits
            rest = bits & (bits + low)
            first = word * WORD_BITS + highest_bit(low)
            last = word * WORD_BITS + highest_bit(bits ^ rest)
            put_range(stops, first + 1, farthest[last])
            bits = rest


def hops_and_starts(limits: StageLimits) -> tuple[Integers, Integers, Integers]:
    """Sets of so many of the cuts that least crosses, [L, words]; how many of those a hop may
    cross, [N, N]; and the cuts from which a stage can run, [N, words].
    """
    num_kinds, num_operators = limits.farthest.shape
    num_words = num_operators // WORD_BITS + 1
    able = np.zeros((num_kinds, num_words), dtype=np.int64)
    # Where a hop is quick enough it is so wherever less crosses.
    lightest = 1 + np.argsort(limits.latency.cut_mb[1:num_operators], kind="mergesort")
    light = np.zeros((num_operators, num_words), dtype=np.int64)
    for i in range(num_operators - 1):
        light[i + 1] = light[i]
        put(light[i + 1], lightest[i])
    hops = np.zeros((num_kinds, num_kinds), dtype=np.int64)
    for kind in range(num_kinds):
        for cut in range(num_operators):
            if limits.farthest[kind, cut] > cut:
                put(able[kind], cut)
        for onto in range(num_kinds):
            low, high = 0, num_operators - 1
            while low < high:
                middle = (low + high) // 2
                if may_hop(limits, lightest[middle], kind, onto):
                    low = middle + 1
                else:
                    high = middle
            hops[kind, onto] = low
    return light, hops, able


def run_layer(
    limits: StageLimits,
    able: Integers,
    viable: Integers,
    items: Integers,
    first: int,
    end: int,
    rows: Integers,
    seen: Integers,
) -> int:
    """Starts become stops, of which those stay that are new and leave no more to do than the
    nodes left can; where the items that have any end.
    """
    num_operators = limits.farthest.shape[1]
    num_words = rows.shape[1]
    reached = np.zeros(num_words, dtype=np.int64)
    every = (1 << WORD_BITS) - 1
    kept = first
    for i in range(first, end):
        state, kind, row, seen_row = items[i]
        cuts = rows[row]
        known = seen[seen_row]
        for word in range(num_words):
            cuts[word] &= able[kind, word]
        stops_from(cuts, limits.farthest[kind], reached)
        any_is = False
        for word in range(num_words):
            fresh = reached[word] & ~known[word]
            lowest = word * WORD_BITS
            if viable[state] >= lowest + WORD_BITS:
                fresh = 0
            elif viable[state] > lowest:
                fresh &= every << (viable[state] - lowest)
            cuts[word] = fresh
            known[word] |= fresh
            any_is = any_is or fresh != 0
        if has(cuts, num_operators) and not may_hop(limits, num_operators, kind, NONE):
            cuts[num_operators // WORD_BITS] &= ~(1 << (num_operators % WORD_BITS))
        if any_is:
            items[kept] = items[i]
            kept += 1
    return kept


def most_advanced(
    items: Integers,
    first: int,
    end: int,
    rows: Integers,
    viable: Integers,
    num_operators: int,
    width: int,
) -> int:
    """Brings forward the items that are farthest beyond where the nodes left must take over;
    where they end.
    """
    behind = np.empty(end - first, dtype=np.int64)
    place = np.zeros(2 * num_operators + 2, dtype=np.int64)
    for i in range(end - first):
        state, row = items[first + i, 0], items[first + i, 2]
        behind[i] = num_operators + viable[state] - last_cut(rows[row])
        place[behind[i] + 1] += 1
    for i in range(1, len(place)):
        place[i] += place[i - 1]
    ranked = np.empty((end - first, items.shape[1]), dtype=np.int64)
    for i in range(end - first):
        ranked[place[behind[i]]] = items[first + i]
        place[behind[i]] += 1
    items[first : first + width] = ranked[:width]
    return first + width


def fewest_stages(
    limits: StageLimits,
    next_state: Integers,
    viable: Integers,
    max_stages: int,
    width: int,
    until: Integers,
) -> tuple[int, Integers, Integers]:
    """A plan of the fewest stages within the limits that heeds what the states track: answer,
    stops and kinds.
    """
    num_kinds, num_states = next_state.shape
    num_operators = limits.farthest.shape[1]
    light, hops, able = hops_and_starts(limits)
    num_words = able.shape[1]
    no_plan = np.zeros(0, dtype=np.int64)
    # An item: state, kind, row of its cuts, and row of those that fewer stages reach.
    items = np.empty((num_kinds, 4), dtype=np.int64)
    rows = np.zeros((num_kinds, num_words), dtype=np.int64)
    seen = np.zeros((num_kinds, num_words), dtype=np.int64)
    seen_at = np.full((num_states, num_kinds), NONE)
    item_at = np.full((num_states, num_kinds), NONE)
    num_seen = 0
    num_rows = 0
    layers = [0]
    end = 0
    for kind in range(num_kinds):
        state = next_state[kind, 0]
        if state != NONE and may_hop(limits, 0, NONE, kind):
            items[end, 0] = state
            items[end, 1] = kind
            items[end, 2] = num_rows
            items[end, 3] = num_seen
            item_at[state, kind] = end
            seen_at[state, kind] = num_seen
            put(rows[num_rows], 0)
            num_rows += 1
            num_seen += 1
            end += 1
    while True:
        first = layers[-1]
        for i in range(first, end):
            item_at[items[i, 0], items[i, 1]] = NONE
        end = run_layer(limits, able, viable, items, first, end, rows, seen)
        for i in range(first, end):
            if has(rows[items[i, 2]], num_operators):
                stops, kinds = trace_layers(limits, next_state, light, hops, items, rows, layers, i)
                return ANSWERED, stops, kinds
        if first == end or len(layers) >= max_stages:
            return NO_PLAN, no_plan, no_plan
        if until[OVER] != 0:
            return CUT_SHORT, no_plan, no_plan
        if end - first > width:
            end = most_advanced(items, first, end, rows, viable, num_operators, width)
        layers.append(end)
        last = end
        for i in range(first, last):
            if until[OVER] != 0:
                return CUT_SHORT, no_plan, no_plan
            items = grown(items, end, num_kinds)
            rows = grown(rows, num_rows, num_kinds)
            seen = grown(seen, num_seen, num_kinds)
            state, kind, row, _ = items[i]
            for onto in range(num_kinds):
                after = next_state[onto, state]
                if after == NONE:
                    continue
                any_is = False
                may = light[hops[kind, onto]]
                for word in range(num_words):
                    if rows[row, word] & may[word] != 0:
                        any_is = True
                        break
                if not any_is:
                    continue
                if item_at[after, onto] == NONE:
                    if seen_at[after, onto] == NONE:
                        seen_at[after, onto] = num_seen
                        num_seen += 1
                    item_at[after, onto] = end
                    items[end, 0] = after
                    items[end, 1] = onto
                    items[end, 2] = num_rows
                    items[end, 3] = seen_at[after, onto]
                    num_rows += 1
                    end += 1
                target = items[item_at[after, onto], 2]
                for word in range(num_words):
                    rows[target, word] |= rows[row, word] & may[word]


def trace_layers(
    limits: StageLimits,
    next_state: Integers,
    light: Integers,
    hops: Integers,
    items: Integers,
    rows: Integers,
    layers: list[int],
    item: int,
) -> tuple[Integers, Integers]:
    """Stops and kinds of a plan, from an item of the last layer back to the first."""
    stops = np.empty(len(layers), dtype=np.int64)
    kinds = np.empty(len(layers), dtype=np.int64)
    stop = limits.farthest.shape[1]
    for k in range(len(layers) - 1, -1, -1):
        state, kind = items[item, 0], items[item, 1]
        stops[k] = stop
        kinds[k] = kind
        if k == 0:
            break
        for other in range(layers[k - 1], layers[k]):
            start = 0
            if next_state[kind, items[other, 0]] == state:
                start = start_before(limits, light, hops, items, rows, other, kind, stop)
            if start > 0:
                item = other
                stop = start
                break
    return stops, kinds


def start_before(
    limits: StageLimits,
    light: Integers,
    hops: Integers,
    items: Integers,
    rows: Integers,
    item: int,
    onto: int,
    stop: int,
) -> int:
    """The first cut at which a stage took over from an item and ran to a stop; 0 for none."""
    source, row = items[item, 1], items[item, 2]
    may = light[hops[source, onto]]
    for start in range(1, stop):
        if has(rows[row], start) and has(may, start) and limits.farthest[onto, start] >= stop:
            return start
    return 0


class Kernels(NamedTuple):
    """What the search calls, as it is or compiled."""

    sum_of_parts: Callable[..., float]
    largest_part: Callable[..., float]
    farthest_stops: Callable[..., Integers]
    cost_to_go: Callable[..., tuple[Floats, float, bool]]
    rough_plan: Callable[..., tuple[bool, Integers, Integers]]
    best_plan: Callable[..., tuple[Integers, Integers]]
    explore: Callable[..., tuple[bool, Progress]]
    explore_sets: Callable[..., tuple[int, Integers, Integers]]
    gap_to: Callable[..., float]
    front_gap: Callable[..., float]
    first_viable_cuts: Callable[..., Integers]
    fewest_stages: Callable[..., tuple[int, Integers, Integers]]


KERNELS = Kernels(
    sum_of_parts,
    largest_part,
    farthest_stops,
    cost_to_go,
    rough_plan,
    best_plan,
    explore,
    explore_sets,
    gap_to,
    front_gap,
    first_viable_cuts,
    fewest_stages,
)

HELPERS: tuple[Any, ...] = (
    stage_cost,
    hop_cost,
    may_hop,
    sum_of_parts,
    put_farthest,
    divide,
    least_cost,
    first_later,
    insert,
    is_left,
    with_use,
    note_overused,
    keep,
    grown,
    widened,
    is_open,
    matches,
    join,
    merge,
    trace_back,
    out_of_time,
    hops_at,
    share_below,
    gap_to,
    first_viable_cuts,
    put_starts,
    extend_sets,
    trace_sets,
    put,
    has,
    put_range,
    highest_bit,
    last_cut,
    stops_from,
    hops_and_starts,
    run_layer,
    most_advanced,
    trace_layers,
    start_before,
)
"""What those call in turn."""
