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
LABELS_BETWEEN_LOOKS = 1024
MOST_STAGES = 20_000_000

RUN, HOP = range(2)
"""Of a table ``to_go[RUN or HOP, cut, kind, state]``."""

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

FOUND, KEPT, PLANS, STAGES, OVERUSED, CUT = range(6)
NUM_SIZES = 6
"""How much of each array of `Progress` is in use, and where the search stands."""

WORD_BITS = 53
"""Of a set of cuts, [words]: as many as a float tells exactly."""

ANSWERED, NO_PLAN, CUT_SHORT = range(3)


class Costs(NamedTuple):
    """One measure of a chain."""

    upto: Floats  # [N, L + 1]
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


class Uses(NamedTuple):
    """How often each kind, and at last stages, may be used, and where that is counted."""

    limits: Integers  # [N + 1]
    shifts: Integers  # NONE where it is not
    masks: Integers
    guards: int


class Search(NamedTuple):
    """What a search over labels goes by."""

    cost: Costs
    limits: StageLimits
    uses: Uses
    next_state: Integers  # [N, states]
    cost_to_go: Floats  # [2, L + 1, N, states]
    latency_to_go: Floats
    dual_to_go: Floats  # [prices, 2, L + 1, N, states]
    prices: Floats
    whole_front: bool
    bound_latency: bool
    slo_ms: float
    cost_tie: float
    ceiling: float


class Progress(NamedTuple):
    """How far it came. A plan is its number of stages, their stops, and their kinds."""

    running: Records  # [N, room] of LABEL
    num_running: Integers
    starting: Records
    num_starting: Integers
    stages: Records
    found: Records  # of POINT; by stage, or NONE
    kept: Records  # by where the plan stands in `plans`
    plans: Integers
    overused: Integers
    stops: Integers  # of the plan in hand
    kinds: Integers
    sizes: Integers
    until: Integers  # not 0: stop


def stage_cost(costs: Costs, start: int, stop: int, kind: int) -> float:
    """Running operators [start, stop) on a node."""
    return costs.upto[kind, stop] - costs.upto[kind, start] + costs.overhead[kind]


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
    num_operators = len(memory_mb)
    memory = np.zeros(num_operators + 1)
    for p in range(num_operators):
        memory[p + 1] = memory[p] + memory_mb[p]
    farthest = np.zeros((len(node_memory_mb), num_operators), dtype=np.int64)
    for kind in range(len(node_memory_mb)):
        most_mb = node_memory_mb[kind] * ROUNDING_SLACK
        stop = 0
        for start in range(num_operators):
            stop = max(stop, start)
            while (
                stop < num_operators
                and memory[stop + 1] - memory[start] <= most_mb
                and stage_cost(latency, start, stop + 1, kind) <= max_part_ms
            ):
                stop += 1
            farthest[kind, start] = stop
    return farthest


def cost_to_go(costs: Costs, limits: StageLimits, next_state: Integers) -> tuple[Floats, float]:
    """The table, and the cost of a whole plan that no plan betters."""
    num_kinds, num_states = next_state.shape
    num_operators = limits.farthest.shape[1]
    to_go = np.full((2, num_operators + 1, num_kinds, num_states), np.inf)
    # A window where memory or time bounds a stage, else one number will do.
    bounded = limits.farthest[:, 0] < num_operators
    room = num_operators if np.any(bounded) else 0
    window_stops = np.empty((num_kinds, num_states, room), dtype=np.int32)
    window_values = np.empty((num_kinds, num_states, room))
    first = np.zeros((num_kinds, num_states), dtype=np.int64)
    last = np.zeros((num_kinds, num_states), dtype=np.int64)
    leasts = np.full((num_kinds, num_states), np.inf)
    for kind in range(num_kinds):
        if may_hop(limits, num_operators, kind, NONE):
            to_go[HOP, num_operators, kind] = hop_cost(costs, num_operators, kind, NONE)

    for start in range(num_operators - 1, -1, -1):
        for kind in range(num_kinds):
            before = costs.upto[kind, start + 1]
            back = costs.overhead[kind] - costs.upto[kind, start]
            for state in range(num_states):
                value = to_go[HOP, start + 1, kind, state] + before
                if not bounded[kind]:
                    leasts[kind, state] = min(leasts[kind, state], value)
                    to_go[RUN, start, kind, state] = leasts[kind, state] + back
                    continue
                end = last[kind, state]
                begin = first[kind, state]
                while end > begin and window_values[kind, state, end - 1] >= value:
                    end -= 1
                window_stops[kind, state, end] = start + 1
                window_values[kind, state, end] = value
                end += 1
                while (
                    begin < end and window_stops[kind, state, begin] > limits.farthest[kind, start]
                ):
                    begin += 1
                if begin < end:
                    to_go[RUN, start, kind, state] = window_values[kind, state, begin] + back
                last[kind, state] = end
                first[kind, state] = begin
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
                        if value < to_go[HOP, start, kind, state]:
                            to_go[HOP, start, kind, state] = value

    whole = np.inf
    for kind in range(num_kinds):
        after = next_state[kind, 0]
        if after != NONE and may_hop(limits, 0, NONE, kind):
            whole = min(whole, hop_cost(costs, 0, NONE, kind) + to_go[RUN, 0, kind, after])
    return to_go, whole


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
        # Of equals the farthest: fewer stages.
        for stop in range(limits.farthest[kind, start], start, -1):
            value = stage_cost(costs, start, stop, kind) + to_go[HOP, stop, kind, state]
            if value < least:
                least = value
                best = stop
        start = best
        stops[num_stages] = start
        kinds[num_stages] = kind
        num_stages += 1
    return stops[:num_stages], kinds[:num_stages]


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
        while first > 0 and points[first - 1]["latency"] >= latency:
            first -= 1
        last = first
        while last < size and points[last]["cost"] >= cost:
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


def below_limit(uses: Uses, used: int, resource: int) -> bool:
    """Whether a resource may be used once more."""
    shift = uses.shifts[resource]
    return shift == NONE or (used >> shift) & uses.masks[resource] < uses.limits[resource]


def with_use(uses: Uses, used: int, resource: int) -> int:
    """What is used once it is."""
    shift = uses.shifts[resource]
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


def keep(search: Search, progress: Progress, stops: Integers, kinds: Integers) -> bool:
    """Takes a plan up that can be; whether it can."""
    sizes = progress.sizes
    latency = sum_of_parts(search.limits.latency, stops, kinds)
    overused = note_overused(search.uses.limits, kinds, progress.overused, sizes)
    if overused or latency > search.slo_ms:
        return False
    size = insert(
        progress.kept,
        sizes[KEPT],
        search.whole_front,
        np.inf,
        latency,
        sum_of_parts(search.cost, stops, kinds),
        sizes[PLANS],
    )
    if size != NONE:
        sizes[KEPT] = size
        at = sizes[PLANS]
        progress.plans[at] = len(kinds)
        for k in range(len(kinds)):
            progress.plans[at + 1 + k] = stops[k]
            progress.plans[at + 1 + len(kinds) + k] = kinds[k]
        sizes[PLANS] = at + 1 + 2 * len(kinds)
    return True


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


def lacks_room(progress: Progress) -> bool:
    """Whether one hop may add more than there is room for."""
    sizes = progress.sizes
    num_kinds = len(progress.num_running)
    return (
        sizes[STAGES] + num_kinds > len(progress.stages)
        or sizes[FOUND] + num_kinds > len(progress.found)
        or sizes[KEPT] + num_kinds > len(progress.kept)
        or sizes[PLANS] + num_kinds * (2 * len(progress.stops) + 1) > len(progress.plans)
        or np.max(progress.num_starting) >= progress.starting.shape[1]
    )


def with_room(progress: Progress) -> Progress:
    """The same with room for a hop, and for started stages to run."""
    sizes = progress.sizes
    num_kinds = len(progress.num_running)
    plans = num_kinds * (2 * len(progress.stops) + 1)
    return Progress(
        widened(progress.running, np.max(progress.num_running + progress.num_starting)),
        progress.num_running,
        widened(progress.starting, np.max(progress.num_starting) + 1),
        progress.num_starting,
        grown(progress.stages, sizes[STAGES], num_kinds),
        grown(progress.found, sizes[FOUND], num_kinds),
        grown(progress.kept, sizes[KEPT], num_kinds),
        grown(progress.plans, sizes[PLANS], plans),
        progress.overused,
        progress.stops,
        progress.kinds,
        sizes,
        progress.until,
    )


def matches(search: Search, a: Label, b: Label) -> bool:
    """Whether label a is as good as b in every way."""
    guards = search.uses.guards
    return (
        a["cost"] <= b["cost"] + search.cost_tie
        and (((b["used"] | guards) - a["used"]) & guards) == guards
        and (not search.bound_latency or a["latency"] <= b["latency"])
        and a["farthest"] >= b["farthest"]
    )


def is_inside(
    search: Search,
    cost: float,
    latency: float,
    part: int,
    cut: int,
    kind: int,
    state: int,
    cost_below: float,
    latency_below: float,
) -> bool:
    """Whether no price of latency rules out what lies below a corner of the front."""
    for i in range(len(search.prices)):
        price = search.prices[i]
        reached = cost + price * latency + search.dual_to_go[i, part, cut, kind, state]
        if not reached < cost_below + price * latency_below:
            return False
    return True


def is_open(
    search: Search,
    progress: Progress,
    cost: float,
    latency: float,
    part: int,
    cut: int,
    kind: int,
    state: int,
) -> bool:
    """Whether something could still come of a plan so far, of which a run or hop is next."""
    points = progress.found
    size = progress.sizes[FOUND]
    cheapest = cost + search.cost_to_go[part, cut, kind, state]
    below = least_cost(points, size, search.ceiling)
    if not search.bound_latency:
        return cheapest < below
    soonest = latency + search.latency_to_go[part, cut, kind, state]
    latest = search.slo_ms * ROUNDING_SLACK
    if not search.whole_front:
        return (
            soonest <= latest
            and cheapest < below
            and is_inside(search, cost, latency, part, cut, kind, state, below, latest)
        )
    following = first_later(points, size, soonest)
    while True:
        cost_below = np.inf if following == 0 else points[following - 1]["cost"]
        if cheapest * TIE >= cost_below:
            return False
        latency_below = latest if following == size else points[following]["latency"]
        if soonest * TIE < latency_below and is_inside(
            search, cost, latency, part, cut, kind, state, cost_below, latency_below
        ):
            return True
        if following == size:
            return False
        following += 1


def trace_back(progress: Progress, stage: int) -> int:
    """Puts the plan of a last stage in hand; how many stages it has."""
    num_stages = 0
    i = stage
    while i != NONE:
        num_stages += 1
        i = progress.stages[i]["before"]
    stop = len(progress.stops)
    i = stage
    for k in range(num_stages - 1, -1, -1):
        progress.stops[k] = stop
        progress.kinds[k] = progress.stages[i]["kind"]
        stop = progress.stages[i]["cut"]
        i = progress.stages[i]["before"]
    return num_stages


def finish(search: Search, progress: Progress, label: Label, kind: int) -> None:
    """Completes a plan on the node that it is on, where latency permits."""
    num_operators = len(progress.stops)
    late = search.limits.latency
    latency = label["latency"] + late.upto[kind, num_operators]
    latency += hop_cost(late, num_operators, kind, NONE)
    if latency > search.slo_ms * ROUNDING_SLACK:
        return
    cost = label["cost"] + search.cost.upto[kind, num_operators]
    cost += hop_cost(search.cost, num_operators, kind, NONE)
    size = insert(
        progress.found,
        progress.sizes[FOUND],
        search.whole_front,
        search.ceiling,
        latency,
        cost,
        label["stage"],
    )
    if size != NONE:
        progress.sizes[FOUND] = size
        num_stages = trace_back(progress, label["stage"])
        keep(search, progress, progress.stops[:num_stages], progress.kinds[:num_stages])


def start_stage(
    search: Search,
    progress: Progress,
    cut: int,
    kind: int,
    cost: float,
    latency: float,
    used: int,
    state: int,
    before: int,
) -> None:
    """Starts a stage on a node of a kind, unless nothing better can come of it."""
    uses = search.uses
    after = search.next_state[kind, state]
    last = len(uses.limits) - 1
    if after == NONE or not below_limit(uses, used, kind) or not below_limit(uses, used, last):
        return
    if not is_open(search, progress, cost, latency, RUN, cut, kind, after):
        return
    late = search.limits.latency
    running = progress.running[kind]
    starting = progress.starting[kind]
    size = progress.num_starting[kind]
    label = starting[size]
    label["cost"] = cost - search.cost.upto[kind, cut] + search.cost.overhead[kind]
    label["latency"] = latency - late.upto[kind, cut] + late.overhead[kind]
    label["used"] = with_use(uses, with_use(uses, used, kind), last)
    label["state"] = after
    label["farthest"] = search.limits.farthest[kind, cut]
    label["stage"] = progress.sizes[STAGES]
    for i in range(progress.num_running[kind]):
        if matches(search, running[i], label):
            return
    for i in range(size):
        if matches(search, starting[i], label):
            return
    kept = 0
    for i in range(size):
        if not matches(search, label, starting[i]):
            starting[kept] = starting[i]
            kept += 1
    starting[kept] = label
    progress.num_starting[kind] = kept + 1
    stage = progress.stages[progress.sizes[STAGES]]
    stage["cut"] = cut
    stage["kind"] = kind
    stage["before"] = before
    progress.sizes[STAGES] += 1
    label = starting[kept]
    num_operators = len(progress.stops)
    if label["farthest"] == num_operators and may_hop(search.limits, num_operators, kind, NONE):
        finish(search, progress, label, kind)


def merge_starts(search: Search, progress: Progress) -> None:
    """Started stages join those that run, but those they match or beat."""
    for kind in range(len(progress.num_running)):
        running = progress.running[kind]
        starting = progress.starting[kind]
        num_starting = progress.num_starting[kind]
        kept = 0
        for i in range(progress.num_running[kind]):
            matched = False
            for j in range(num_starting):
                if matches(search, starting[j], running[i]):
                    matched = True
                    break
            if not matched:
                running[kept] = running[i]
                kept += 1
        for j in range(num_starting):
            running[kept + j] = starting[j]
        progress.num_running[kind] = kept + num_starting
        progress.num_starting[kind] = 0


def hop(search: Search, progress: Progress, label: Label, kind: int) -> None:
    """Goes on from a running stage to every node it may."""
    cut = progress.sizes[CUT]
    late = search.limits.latency
    cost = label["cost"] + search.cost.upto[kind, cut]
    latency = label["latency"] + late.upto[kind, cut]
    if not is_open(search, progress, cost, latency, HOP, cut, kind, label["state"]):
        return
    for onto in range(len(progress.num_running)):
        if may_hop(search.limits, cut, kind, onto):
            start_stage(
                search,
                progress,
                cut,
                onto,
                cost + hop_cost(search.cost, cut, kind, onto),
                latency + hop_cost(late, cut, kind, onto),
                label["used"],
                label["state"],
                label["stage"],
            )


def stop_the_closed(search: Search, progress: Progress) -> None:
    """Only labels that may run on stay."""
    cut = progress.sizes[CUT]
    late = search.limits.latency
    for kind in range(len(progress.num_running)):
        running = progress.running[kind]
        kept = 0
        for i in range(progress.num_running[kind]):
            label = running[i]
            cost = label["cost"] + search.cost.upto[kind, cut] - search.cost.overhead[kind]
            latency = label["latency"] + late.upto[kind, cut] - late.overhead[kind]
            if label["farthest"] > cut and is_open(
                search, progress, cost, latency, RUN, cut, kind, label["state"]
            ):
                running[kept] = label
                kept += 1
        progress.num_running[kind] = kept


def explore(search: Search, progress: Progress) -> tuple[bool, Progress]:
    """Searches cut by cut for what costs less than a ceiling; False when cut short."""
    sizes = progress.sizes
    num_kinds, num_operators = search.limits.farthest.shape
    sizes[FOUND] = 0
    sizes[STAGES] = 0
    progress.num_running[:] = 0
    progress.num_starting[:] = 0
    progress = with_room(progress)
    for i in range(sizes[KEPT]):
        if sizes[FOUND] == len(progress.found):
            progress = with_room(progress)
        point = progress.kept[i]
        size = insert(
            progress.found,
            sizes[FOUND],
            search.whole_front,
            search.ceiling,
            point["latency"],
            point["cost"],
            NONE,
        )
        sizes[FOUND] = max(size, sizes[FOUND])
    progress = with_room(progress)
    for kind in range(num_kinds):
        if may_hop(search.limits, 0, NONE, kind):
            cost = hop_cost(search.cost, 0, NONE, kind)
            latency = hop_cost(search.limits.latency, 0, NONE, kind)
            start_stage(search, progress, 0, kind, cost, latency, 0, 0, NONE)
    progress = with_room(progress)
    merge_starts(search, progress)
    looks = 0
    for cut in range(1, num_operators):
        sizes[CUT] = cut
        for kind in range(num_kinds):
            for i in range(progress.num_running[kind]):
                looks += 1
                if looks % LABELS_BETWEEN_LOOKS == 0 and progress.until[0] != 0:
                    return False, progress
                if lacks_room(progress):
                    progress = with_room(progress)
                hop(search, progress, progress.running[kind, i], kind)
        if sizes[STAGES] > MOST_STAGES:
            return False, progress
        stop_the_closed(search, progress)
        progress = with_room(progress)
        merge_starts(search, progress)
    for i in range(sizes[FOUND]):
        if progress.found[i]["id"] != NONE:
            num_stages = trace_back(progress, progress.found[i]["id"])
            kinds = progress.kinds[:num_stages]
            note_overused(search.uses.limits, kinds, progress.overused, sizes)
    return True, progress


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
            rest = search.latency_to_go[:, cut, kind, label["state"]]
            latency = label["latency"] + late.upto[kind, cut]
            latency += min(rest[HOP], rest[RUN] - late.overhead[kind])
            rest = search.cost_to_go[:, cut, kind, label["state"]]
            cost = label["cost"] + search.cost.upto[kind, cut]
            cost += min(rest[HOP], rest[RUN] - search.cost.overhead[kind])
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


def hops_and_starts(limits: StageLimits) -> tuple[Integers, Integers]:
    """Cuts at which a hop is quick enough, [N, N, words], and from which a stage can run."""
    num_kinds, num_operators = limits.farthest.shape
    num_words = num_operators // WORD_BITS + 1
    able = np.zeros((num_kinds, num_words), dtype=np.int64)
    hops = np.zeros((num_kinds, num_kinds, num_words), dtype=np.int64)
    for kind in range(num_kinds):
        for cut in range(num_operators):
            if limits.farthest[kind, cut] > cut:
                put(able[kind], cut)
        for onto in range(num_kinds):
            for cut in range(1, num_operators):
                if may_hop(limits, cut, kind, onto):
                    put(hops[kind, onto], cut)
    return hops, able


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
    items: Integers, first: int, end: int, rows: Integers, viable: Integers, width: int
) -> int:
    """Brings forward the items that are farthest beyond where the nodes left must take over;
    where they end.
    """
    advance = np.empty(end - first, dtype=np.int64)
    for i in range(first, end):
        advance[i - first] = viable[items[i, 0]] - last_cut(rows[items[i, 2]])
    ranked = np.argsort(advance, kind="mergesort")[:width]
    items[first : first + width] = items[first:end][ranked]
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
    hops, able = hops_and_starts(limits)
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
                stops, kinds = trace_layers(limits, next_state, hops, items, rows, layers, i)
                return ANSWERED, stops, kinds
        if first == end or len(layers) >= max_stages:
            return NO_PLAN, no_plan, no_plan
        if until[0] != 0:
            return CUT_SHORT, no_plan, no_plan
        if end - first > width:
            end = most_advanced(items, first, end, rows, viable, width)
        layers.append(end)
        last = end
        for i in range(first, last):
            items = grown(items, end, num_kinds)
            rows = grown(rows, num_rows, num_kinds)
            seen = grown(seen, num_seen, num_kinds)
            state, kind, row, _ = items[i]
            for onto in range(num_kinds):
                after = next_state[onto, state]
                if after == NONE:
                    continue
                any_is = False
                for word in range(num_words):
                    if rows[row, word] & hops[kind, onto, word] != 0:
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
                    rows[target, word] |= rows[row, word] & hops[kind, onto, word]


def trace_layers(
    limits: StageLimits,
    next_state: Integers,
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
                start = start_before(limits, hops, items, rows, other, kind, stop)
            if start > 0:
                item = other
                stop = start
                break
    return stops, kinds


def start_before(
    limits: StageLimits,
    hops: Integers,
    items: Integers,
    rows: Integers,
    item: int,
    onto: int,
    stop: int,
) -> int:
    """The first cut at which a stage took over from an item and ran to a stop; 0 for none."""
    source, row = items[item, 1], items[item, 2]
    for start in range(1, stop):
        if (
            has(rows[row], start)
            and has(hops[source, onto], start)
            and limits.farthest[onto, start] >= stop
        ):
            return start
    return 0


class Kernels(NamedTuple):
    """What the search calls, as it is or compiled."""

    sum_of_parts: Callable[..., float]
    largest_part: Callable[..., float]
    farthest_stops: Callable[..., Integers]
    cost_to_go: Callable[..., tuple[Floats, float]]
    best_plan: Callable[..., tuple[Integers, Integers]]
    keep: Callable[..., bool]
    explore: Callable[..., tuple[bool, Progress]]
    gap_to: Callable[..., float]
    front_gap: Callable[..., float]
    first_viable_cuts: Callable[..., Integers]
    fewest_stages: Callable[..., tuple[int, Integers, Integers]]


KERNELS = Kernels(
    sum_of_parts,
    largest_part,
    farthest_stops,
    cost_to_go,
    best_plan,
    keep,
    explore,
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
    least_cost,
    first_later,
    insert,
    below_limit,
    with_use,
    note_overused,
    keep,
    grown,
    widened,
    lacks_room,
    with_room,
    matches,
    is_inside,
    is_open,
    trace_back,
    finish,
    start_stage,
    merge_starts,
    hop,
    stop_the_closed,
    share_below,
    gap_to,
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
