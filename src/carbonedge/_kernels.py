"""The core's kernels once more, in plain Python that Numba compiles where it is there.

Each function does what its namesake in ``cpp/src`` does, term by term in the same
order, so that every backend makes the same choice to the last bit. The reasons stand
there, that of the search in ``search.hpp``; here is the same in fewer words. All stand in
one file because Numba's cache minds changes only in the file of what it compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIELDS = (
    "cpu_cores",
    "memory_mb",
    "power_w",
    "intensity_g_per_kwh",
    "pue",
    "load",
    "network_latency_ms",
    "avg_time_ms",
    "running_tasks",
    "parallelism",
    "embodied_g_per_hour",
)
"""The first columns of `states`, a row a node, in the order of the core's ``Field``."""

CPU_CORES, MEMORY_MB, POWER_W, INTENSITY, PUE, LOAD, NETWORK, AVG_TIME = range(8)
RUNNING, PARALLELISM, EMBODIED, RESERVED_CPU, RESERVED_MEMORY = range(8, 13)
NUM_STATES = 13

LANES = 16
"""Nodes are decided upon, and summaries kept, this many at a time: ``blocks[block, feature,
lane]`` and ``groups[group, row, lane]``."""

OPEN_CPU, FREE_MEMORY, PER_CPU, PER_MEMORY, HEADROOM, BALANCE, LATENCY_MS, EMISSIONS_G = range(8)
MERIT = 8
NUM_FEATURES = 9

NUM_TRAITS = 5
"""Share left free, headroom, balance, latency, emissions."""

LOW, HIGH, MOST_CPU, MOST_MEMORY, BEST_MERIT, FASTEST, TOP, PEAK = 0, 5, 10, 11, 12, 13, 14, 15
NUM_SUMMARIES = 16
"""A summary: ranges of the traits, and so on. It stands first in a group's rows."""

ERA, SLOPES = 16, 17
NUM_ROWS = 22

CPU, MEMORY, SPREAD, GAINS, SLOPE, CONSTANT, SLACK, TODAY = 0, 1, 2, 12, 17, 22, 23, 24
NUM_OUTLOOK = 25
"""An outlook: demand, ranges of the traits, gains, slopes, constant, slack, era."""

WORST_SHARE, WORST_HEADROOM, WORST_BALANCE = SPREAD, SPREAD + 1, SPREAD + 2
WORST_LATENCY, WORST_EMISSIONS = SPREAD + 8, SPREAD + 9

PAPER, NORMALIZED, CONSTRAINED = range(3)

CPU_QUANTA_PER_CORE = 1e9
MEMORY_QUANTA_PER_MB = 1e6
SMALLEST_SPREAD = 1e-200
ROUNDING = 1e-13


def copy(source: Floats, target: Floats) -> None:
    """Copy some lanes."""
    for lane in range(LANES):
        target[lane] = source[lane]


def highest_of(lanes: Floats) -> float:
    """The highest value of some lanes."""
    high = -np.inf
    for lane in range(LANES):
        high = max(high, lanes[lane])
    return high


def lowest_of(lanes: Floats) -> float:
    """The lowest value of some lanes."""
    low = np.inf
    for lane in range(LANES):
        low = min(low, lanes[lane])
    return low


def lane_of_highest(lanes: Floats) -> int:
    """The first lane that holds the highest value."""
    high = highest_of(lanes)
    lane = 0
    while lanes[lane] != high:
        lane += 1
    return lane


def free_cpu(states: Floats, i: int) -> float:
    """Free CPU of a node in quanta."""
    capacity = np.rint(states[i, CPU_CORES] * (1.0 - states[i, LOAD]) * CPU_QUANTA_PER_CORE)
    return capacity - states[i, RESERVED_CPU]


def predicted_energy_j(states: Floats, i: int) -> float:
    """Energy of one task on a node."""
    return states[i, POWER_W] * states[i, AVG_TIME] / 1e3


def paper_components(states: Floats, i: int) -> tuple[float, float, float, float, float]:
    """The components of Algorithm 1."""
    watt_hours = states[i, POWER_W] * states[i, AVG_TIME] / 3.6e6
    return (
        1.0,
        1.0 - states[i, LOAD],
        1.0 / (1.0 + states[i, AVG_TIME] / 1e3),
        1.0 / (1.0 + 2.0 * states[i, RUNNING]),
        1.0 / (1.0 + states[i, INTENSITY] * watt_hours),
    )


def derive(
    states: Floats,
    blocks: Floats,
    weights: Floats,
    max_load: float,
    max_network_latency_ms: float,
    i: int,
) -> None:
    """Bring what decisions read of one node up to date."""
    block = blocks[i // LANES]
    lane = i % LANES
    removed = states[i, PARALLELISM] == 0.0
    barred = removed or states[i, LOAD] > max_load or states[i, NETWORK] > max_network_latency_ms
    memory = np.rint(states[i, MEMORY_MB] * MEMORY_QUANTA_PER_MB)
    block[OPEN_CPU, lane] = -1.0 if barred else free_cpu(states, i)
    block[FREE_MEMORY, lane] = memory - states[i, RESERVED_MEMORY]
    block[PER_CPU, lane] = 0.5 / max(1.0, np.rint(states[i, CPU_CORES] * CPU_QUANTA_PER_CORE))
    block[PER_MEMORY, lane] = 0.5 / max(1.0, memory)
    block[HEADROOM, lane] = 1.0 - states[i, LOAD]
    operational = predicted_energy_j(states, i) * states[i, INTENSITY] * states[i, PUE] / 3.6e6
    embodied = states[i, EMBODIED] * states[i, AVG_TIME] / 3.6e6
    block[EMISSIONS_G, lane] = operational + embodied
    if removed:
        return
    resource, load, performance, balance, carbon = paper_components(states, i)
    block[BALANCE, lane] = balance
    queue = states[i, RUNNING] / states[i, PARALLELISM]
    block[LATENCY_MS, lane] = states[i, NETWORK] + states[i, AVG_TIME] * (1.0 + queue)
    block[MERIT, lane] = (
        weights[0] * resource
        + weights[1] * load
        + weights[2] * performance
        + weights[3] * balance
        + weights[4] * carbon
    )


def passes(blocks: Floats, cpu: float, memory: float, b: int, lane: int) -> bool:
    """Whether a node is open and has the demand free."""
    return bool(blocks[b, OPEN_CPU, lane] >= cpu and blocks[b, FREE_MEMORY, lane] >= memory)


def share_left(blocks: Floats, cpu: float, memory: float, b: int, lane: int) -> float:
    """Mean share of CPU and memory that a task would leave free."""
    return (blocks[b, OPEN_CPU, lane] - cpu) * blocks[b, PER_CPU, lane] + (
        blocks[b, FREE_MEMORY, lane] - memory
    ) * blocks[b, PER_MEMORY, lane]


def gain_of(low: float, high: float, weight: float) -> float:
    """What a distance from the worst counts: nothing where all are alike."""
    spread = high - low
    return weight * (1.0 / spread if spread >= SMALLEST_SPREAD else 0.0)


def size_of(outlook: Floats, spread: Floats) -> float:
    """The magnitudes that go into a score, at most: of five lows and five highs."""
    size = 0.0
    for trait in range(NUM_TRAITS):
        largest = max(abs(spread[trait]), abs(spread[NUM_TRAITS + trait]))
        size += abs(outlook[SLOPE + trait]) * largest
    return size


def peak_of(outlook: Floats, spread: Floats, top: float) -> float:
    """The peak of a block, given its highest score."""
    if spread[NUM_TRAITS] == -np.inf:
        return -np.inf
    slack = outlook[SLACK] + ROUNDING * size_of(outlook, spread)
    result: float = top + outlook[CONSTANT] + slack
    return result


def face(outlook: Floats, spread: Floats, weights: Floats) -> None:
    """Turn an outlook to a spread: five lows, then five highs."""
    for k in range(2 * NUM_TRAITS):
        outlook[SPREAD + k] = spread[k]
    outlook[GAINS] = gain_of(spread[0], spread[5], weights[0])
    outlook[GAINS + 1] = gain_of(spread[1], spread[6], weights[1])
    outlook[GAINS + 2] = gain_of(spread[3], spread[8], weights[2])
    outlook[GAINS + 3] = gain_of(spread[2], spread[7], weights[3])
    outlook[GAINS + 4] = gain_of(spread[4], spread[9], weights[4])
    outlook[SLOPE] = outlook[GAINS]
    outlook[SLOPE + 1] = outlook[GAINS + 1]
    outlook[SLOPE + 2] = outlook[GAINS + 3]
    outlook[SLOPE + 3] = -outlook[GAINS + 2]
    outlook[SLOPE + 4] = -outlook[GAINS + 4]
    outlook[CONSTANT] = (
        outlook[WORST_SHARE] * outlook[SLOPE]
        + outlook[WORST_HEADROOM] * outlook[SLOPE + 1]
        + outlook[WORST_BALANCE] * outlook[SLOPE + 2]
        + outlook[WORST_LATENCY] * outlook[SLOPE + 3]
        + outlook[WORST_EMISSIONS] * outlook[SLOPE + 4]
    )
    outlook[SLACK] = ROUNDING * size_of(outlook, spread)
    outlook[TODAY] += 1.0


def score(blocks: Floats, outlook: Floats, b: int, lane: int) -> float:
    """Of a node that passes, the weighted sum of scaled components."""
    share = share_left(blocks, outlook[CPU], outlook[MEMORY], b, lane)
    result: float = (
        (share - outlook[WORST_SHARE]) * outlook[GAINS]
        + (blocks[b, HEADROOM, lane] - outlook[WORST_HEADROOM]) * outlook[GAINS + 1]
        + (outlook[WORST_LATENCY] - blocks[b, LATENCY_MS, lane]) * outlook[GAINS + 2]
        + (blocks[b, BALANCE, lane] - outlook[WORST_BALANCE]) * outlook[GAINS + 3]
        + (outlook[WORST_EMISSIONS] - blocks[b, EMISSIONS_G, lane]) * outlook[GAINS + 4]
    )
    return result


def summarise_block(
    blocks: Floats, outlook: Floats, b: int, summary: Floats, out: Floats, share: Floats
) -> None:
    """What is known of the nodes of a block that pass."""
    cpu, memory = outlook[CPU], outlook[MEMORY]
    block = blocks[b]
    # Nothing where a node passes, else infinite: keeps it out of every range.
    lanes = len(out)
    for lane in range(lanes):
        here = passes(blocks, cpu, memory, b, lane)
        out[lane] = 0.0 if here else np.inf
    for lane in range(lanes):
        share[lane] = share_left(blocks, cpu, memory, b, lane)
    for trait in range(NUM_TRAITS):
        # The others stand in a block as they stand here.
        values = share if trait == 0 else block[HEADROOM + trait - 1]
        low, high = np.inf, -np.inf
        for lane in range(lanes):
            low = min(low, values[lane] + out[lane])
            high = max(high, values[lane] - out[lane])
        summary[LOW + trait] = low
        summary[HIGH + trait] = high
    most_cpu, most_memory, merit, top = -np.inf, -np.inf, -np.inf, -np.inf
    for lane in range(lanes):
        most_cpu = max(most_cpu, block[OPEN_CPU, lane] - out[lane])
        most_memory = max(most_memory, block[FREE_MEMORY, lane] - out[lane])
        merit = max(merit, block[MERIT, lane] - out[lane])
    for lane in range(lanes):
        top = max(top, score(blocks, outlook, b, lane) - out[lane])
    summary[MOST_CPU] = most_cpu
    summary[MOST_MEMORY] = most_memory
    summary[BEST_MERIT] = merit
    fastest = np.inf
    for lane in range(lanes):
        least = block[EMISSIONS_G, lane] + out[lane] == summary[LOW + 4]
        fastest = min(fastest, block[LATENCY_MS, lane] if least else np.inf)
    summary[FASTEST] = fastest
    summary[TOP] = top
    summary[PEAK] = peak_of(outlook, summary, top)


def all_of_era(groups: Floats, outlook: Floats, g: int) -> bool:
    """Whether all bounds of a group are of today's outlook, or of no node."""
    return lowest_of(groups[g, ERA]) >= outlook[TODAY]


def bound(groups: Floats, outlook: Floats, g: int, tops: Floats, peaks: Floats) -> None:
    """What no score, and no sum of slope times trait, below each lane is above."""
    group = groups[g]
    if all_of_era(groups, outlook, g):
        copy(group[TOP], tops)
        copy(group[PEAK], peaks)
        return
    for lane in range(LANES):
        tops[lane] = group[TOP, lane]
        peaks[lane] = group[PEAK, lane]
        if group[ERA, lane] >= outlook[TODAY]:
            continue
        # What roundings come to is added here, each time that a peak is raised.
        raised = group[PEAK, lane]
        size = abs(raised)
        for trait in range(NUM_TRAITS):
            slope, before = outlook[SLOPE + trait], group[SLOPES + trait, lane]
            low, high = group[LOW + trait, lane], group[HIGH + trait, lane]
            raised += max((slope - before) * low, (slope - before) * high)
            size += (abs(slope) + abs(before)) * max(abs(low), abs(high))
        raised += ROUNDING * size
        dream = (
            (group[HIGH, lane] - outlook[WORST_SHARE]) * outlook[GAINS]
            + (group[HIGH + 1, lane] - outlook[WORST_HEADROOM]) * outlook[GAINS + 1]
            + (outlook[WORST_LATENCY] - group[LOW + 3, lane]) * outlook[GAINS + 2]
            + (group[HIGH + 2, lane] - outlook[WORST_BALANCE]) * outlook[GAINS + 3]
            + (outlook[WORST_EMISSIONS] - group[LOW + 4, lane]) * outlook[GAINS + 4]
        )
        tops[lane] = min(dream, raised - outlook[CONSTANT] + outlook[SLACK])
        peaks[lane] = raised


def summarise_group(
    groups: Floats, outlook: Floats, g: int, summary: Floats, tops: Floats, peaks: Floats
) -> None:
    """What is known of all below a group."""
    group = groups[g]
    for k in range(HIGH):
        summary[k] = lowest_of(group[k])
    for k in range(HIGH, FASTEST):
        summary[k] = highest_of(group[k])
    fastest = np.inf
    for lane in range(LANES):
        least = group[LOW + 4, lane] == summary[LOW + 4]
        fastest = min(fastest, group[FASTEST, lane] if least else np.inf)
    summary[FASTEST] = fastest
    if all_of_era(groups, outlook, g):
        summary[TOP], summary[PEAK] = highest_of(group[TOP]), highest_of(group[PEAK])
    else:
        bound(groups, outlook, g, tops, peaks)
        summary[TOP], summary[PEAK] = highest_of(tops), highest_of(peaks)


def learn(groups: Floats, outlook: Floats, g: int, lane: int, top: float, peak: float) -> bool:
    """Take bounds under today's outlook; tells whether any changed."""
    group = groups[g]
    # Of no node, the bounds never grow old.
    era = outlook[TODAY] if peak > -np.inf else np.inf
    changed = bool(group[TOP, lane] != top or group[PEAK, lane] != peak or group[ERA, lane] != era)
    group[TOP, lane] = top
    group[PEAK, lane] = peak
    if group[ERA, lane] != era:
        group[ERA, lane] = era
        for trait in range(NUM_TRAITS):
            group[SLOPES + trait, lane] = outlook[SLOPE + trait]
    return changed


def put(groups: Floats, outlook: Floats, g: int, lane: int, summary: Floats) -> bool:
    """Write a summary into its group; tells whether anything changed."""
    changed = learn(groups, outlook, g, lane, summary[TOP], summary[PEAK])
    for k in range(TOP):
        changed = changed or groups[g, k, lane] != summary[k]
        groups[g, k, lane] = summary[k]
    return changed


def plant(
    blocks: Floats,
    num_blocks: int,
    groups: Floats,
    levels: Integers,
    root: Floats,
    outlook: Floats,
    scratch: Floats,
) -> None:
    """Summarise all blocks, and those summaries, up to one of all."""
    tops, peaks = scratch[0], scratch[1]
    groups[:, :HIGH] = np.inf
    groups[:, HIGH:ERA] = -np.inf
    groups[:, FASTEST] = np.inf
    groups[:, ERA] = np.inf
    groups[:, SLOPES:] = 0.0
    children = num_blocks
    for level in range(len(levels) - 1):
        for child in range(children):
            if level == 0:
                summarise_block(blocks, outlook, child, root, tops, peaks)
            else:
                summarise_group(groups, outlook, levels[level - 1] + child, root, tops, peaks)
            put(groups, outlook, levels[level] + child // LANES, child % LANES, root)
        children = levels[level + 1] - levels[level]
    summarise_group(groups, outlook, levels[-1] - 1, root, tops, peaks)


def refresh(
    blocks: Floats,
    groups: Floats,
    levels: Integers,
    root: Floats,
    outlook: Floats,
    scratch: Floats,
    index: int,
) -> None:
    """Bring a tree up to date with a block that has changed."""
    tops, peaks, summary = scratch[0], scratch[1], scratch[2]
    summarise_block(blocks, outlook, index, summary, tops, peaks)
    for level in range(len(levels) - 1):
        g = levels[level] + index // LANES
        if not put(groups, outlook, g, index % LANES, summary):
            return
        summarise_group(groups, outlook, g, summary, tops, peaks)
        index //= LANES
    for k in range(NUM_SUMMARIES):
        root[k] = summary[k]


def lane_bounds(
    groups: Floats,
    outlook: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
    g: int,
    tops: Floats,
    peaks: Floats,
) -> None:
    """The most that may be found below each lane of a group, -infinity for nothing."""
    if scoring == NORMALIZED:
        bound(groups, outlook, g, tops, peaks)
        return
    group = groups[g]
    for lane in range(LANES):
        tops[lane] = -np.inf
        if group[MOST_CPU, lane] < cpu or group[MOST_MEMORY, lane] < memory:
            continue
        if scoring == PAPER:
            tops[lane] = group[BEST_MERIT, lane]
        elif group[LOW + 3, lane] <= slo_ms:
            tops[lane] = -group[LOW + 4, lane]


def look(
    blocks: Floats,
    outlook: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
    b: int,
    index: int,
    highest: float,
    fastest: float,
) -> tuple[int, float, float, float]:
    """The best of a block and of what was found before: index, score and latency; and
    the highest score of the block.
    """
    top = -np.inf
    for lane in range(LANES):
        if not passes(blocks, cpu, memory, b, lane):
            continue
        i = b * LANES + lane
        latency = 0.0
        if scoring == NORMALIZED:
            value = score(blocks, outlook, b, lane)
        elif scoring == PAPER:
            value = blocks[b, MERIT, lane]
        else:
            value = -blocks[b, EMISSIONS_G, lane]
            latency = blocks[b, LATENCY_MS, lane]
            if latency > slo_ms:
                continue
        top = max(top, value)
        if value > highest or (
            value == highest and (latency < fastest or (latency == fastest and i < index))
        ):
            index, highest, fastest = i, value, latency
    return index, highest, fastest, top


def scan(
    blocks: Floats,
    num_blocks: int,
    outlook: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float]:
    """The best of all nodes, looked at one by one: index, -1 for none, and score."""
    index, highest, fastest = first_found(scoring)
    for b in range(num_blocks):
        index, highest, fastest, _ = look(
            blocks, outlook, scoring, cpu, memory, slo_ms, b, index, highest, fastest
        )
    return index, highest


def first_found(scoring: int) -> tuple[int, float, float]:
    """What is found before any look: nothing, and under `paper` nothing of merit 0."""
    return -1, 0.0 if scoring == PAPER else -np.inf, 0.0 if scoring != CONSTRAINED else np.inf


def search(
    blocks: Floats,
    num_blocks: int,
    groups: Floats,
    levels: Integers,
    outlook: Floats,
    scratch: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float]:
    """The same, by looks at few nodes."""
    index, highest, fastest = first_found(scoring)
    root = len(levels) - 2
    tops, peaks, waiting = (
        scratch[: root + 1],
        scratch[root + 1 : -root - 2],
        scratch[-root - 2 : -1],
    )
    # The group that is looked into on each level, counted from the level's first.
    at = scratch[-1]
    at[root] = 0.0
    looks_left = 8 + num_blocks // 8

    level = root
    fresh = True
    while looks_left > 0:
        here = int(at[level])
        g = levels[level] + here
        if fresh:
            lane_bounds(groups, outlook, scoring, cpu, memory, slo_ms, g, tops[level], peaks[level])
            copy(tops[level], waiting[level])
            fresh = False
        lane = lane_of_highest(waiting[level])
        most = waiting[level, lane]
        child = here * LANES + lane
        if most < highest or most == -np.inf:
            # All that is left here is out: up, with closer bounds.
            if level == root:
                return index, highest
            level += 1
            if scoring == NORMALIZED:
                top, peak = highest_of(tops[level - 1]), highest_of(peaks[level - 1])
                tops[level, here % LANES] = top
                peaks[level, here % LANES] = peak
                g = levels[level] + here // LANES
                learn(groups, outlook, g, here % LANES, top, peak)
            continue
        waiting[level, lane] = -np.inf
        if most == highest and index >= 0:
            latency = groups[g, FASTEST, lane] if scoring == CONSTRAINED else 0.0
            first = child * LANES ** (level + 1)
            if latency > fastest or (latency == fastest and first > index):
                continue
        if level > 0:
            level -= 1
            at[level] = child
            fresh = True
            continue
        looks_left -= 1
        index, highest, fastest, top = look(
            blocks, outlook, scoring, cpu, memory, slo_ms, child, index, highest, fastest
        )
        if scoring == NORMALIZED:
            tops[0, lane] = top
            peaks[0, lane] = peak_of(outlook, groups[g, :, lane], top)
            learn(groups, outlook, g, lane, top, peaks[0, lane])
    return scan(blocks, num_blocks, outlook, scoring, cpu, memory, slo_ms)


def placement(
    states: Floats, blocks: Floats, outlook: Floats, scoring: int, index: int, highest: float
) -> tuple[int, float, float, float, float, float, float, float, float, float]:
    """Index, score, components, latency, energy and emissions; index -1 for none."""
    if index < 0:
        return -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    resource, load, performance, balance, carbon = components(
        states, blocks, outlook, scoring, index
    )
    # Uncompiled, these are NumPy's scalars.
    return (
        int(index),
        float(highest),
        float(resource),
        float(load),
        float(performance),
        float(balance),
        float(carbon),
        float(blocks[index // LANES, LATENCY_MS, index % LANES]),
        float(predicted_energy_j(states, index)),
        float(blocks[index // LANES, EMISSIONS_G, index % LANES]),
    )


def components(
    states: Floats, blocks: Floats, outlook: Floats, scoring: int, i: int
) -> tuple[float, float, float, float, float]:
    """The components of a node's score."""
    if scoring != NORMALIZED:
        return paper_components(states, i)
    b, lane = i // LANES, i % LANES
    share = share_left(blocks, outlook[CPU], outlook[MEMORY], b, lane)
    low, high = SPREAD, SPREAD + NUM_TRAITS
    return (
        (share - outlook[low]) * gain_of(outlook[low], outlook[high], 1.0),
        (blocks[b, HEADROOM, lane] - outlook[low + 1])
        * gain_of(outlook[low + 1], outlook[high + 1], 1.0),
        (outlook[high + 3] - blocks[b, LATENCY_MS, lane])
        * gain_of(outlook[low + 3], outlook[high + 3], 1.0),
        (blocks[b, BALANCE, lane] - outlook[low + 2])
        * gain_of(outlook[low + 2], outlook[high + 2], 1.0),
        (outlook[high + 4] - blocks[b, EMISSIONS_G, lane])
        * gain_of(outlook[low + 4], outlook[high + 4], 1.0),
    )


def spread_of(blocks: Floats, num_blocks: int, cpu: float, memory: float, spread: Floats) -> None:
    """Five lows and five highs of the traits over the nodes that pass."""
    spread[:NUM_TRAITS] = np.inf
    spread[NUM_TRAITS:] = -np.inf
    for b in range(num_blocks):
        for lane in range(LANES):
            if not passes(blocks, cpu, memory, b, lane):
                continue
            share = share_left(blocks, cpu, memory, b, lane)
            spread[0] = min(spread[0], share)
            spread[NUM_TRAITS] = max(spread[NUM_TRAITS], share)
            for trait in range(1, NUM_TRAITS):
                value = blocks[b, HEADROOM + trait - 1, lane]
                spread[trait] = min(spread[trait], value)
                spread[NUM_TRAITS + trait] = max(spread[NUM_TRAITS + trait], value)


def best_by_scan(
    blocks: Floats,
    num_blocks: int,
    outlook: Floats,
    weights: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float]:
    """Index, -1 for none, and score of the best node, by a look at every one. Leaves in
    `outlook` what scores were made under.
    """
    outlook[CPU] = cpu
    outlook[MEMORY] = memory
    if scoring == NORMALIZED:
        spread = np.empty(2 * NUM_TRAITS)
        spread_of(blocks, num_blocks, cpu, memory, spread)
        if spread[NUM_TRAITS] == -np.inf:
            return -1, 0.0
        face(outlook, spread, weights)
    return scan(blocks, num_blocks, outlook, scoring, cpu, memory, slo_ms)


def best_by_tree(
    blocks: Floats,
    num_blocks: int,
    groups: Floats,
    levels: Integers,
    root: Floats,
    outlook: Floats,
    scratch: Floats,
    weights: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float]:
    """The same by a tree."""
    if root[HIGH] == -np.inf:
        return -1, 0.0
    if scoring == NORMALIZED:
        same = outlook[TODAY] != 0.0
        for k in range(2 * NUM_TRAITS):
            same = same and outlook[SPREAD + k] == root[k]
        if not same:
            face(outlook, root, weights)
    return search(
        blocks, num_blocks, groups, levels, outlook, scratch, scoring, cpu, memory, slo_ms
    )


def choose_by_scan(
    states: Floats,
    blocks: Floats,
    num_blocks: int,
    weights: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float, float, float, float, float, float, float, float, float]:
    """The best node, by a look at every one; see `placement`."""
    outlook = np.zeros(NUM_OUTLOOK)
    index, highest = best_by_scan(
        blocks, num_blocks, outlook, weights, scoring, cpu, memory, slo_ms
    )
    return placement(states, blocks, outlook, scoring, index, highest)


def choose(
    states: Floats,
    blocks: Floats,
    num_blocks: int,
    groups: Floats,
    levels: Integers,
    root: Floats,
    outlook: Floats,
    scratch: Floats,
    weights: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float, float, float, float, float, float, float, float, float]:
    """The best node, by a tree; see `placement`."""
    index, highest = best_by_tree(
        blocks,
        num_blocks,
        groups,
        levels,
        root,
        outlook,
        scratch,
        weights,
        scoring,
        cpu,
        memory,
        slo_ms,
    )
    return placement(states, blocks, outlook, scoring, index, highest)


def hold(
    states: Floats,
    blocks: Floats,
    weights: Floats,
    max_load: float,
    max_network_latency_ms: float,
    cpu: float,
    memory: float,
    i: int,
) -> None:
    """Take a task's needs and a running-task slot on a node."""
    states[i, RESERVED_CPU] += cpu
    states[i, RESERVED_MEMORY] += memory
    states[i, RUNNING] += 1.0
    derive(states, blocks, weights, max_load, max_network_latency_ms, i)


def place_run(
    states: Floats,
    blocks: Floats,
    num_blocks: int,
    groups: Floats,
    levels: Integers,
    root: Floats,
    outlook: Floats,
    scratch: Floats,
    weights: Floats,
    scoring: int,
    max_load: float,
    max_network_latency_ms: float,
    cpu: float,
    memory: float,
    chosen: Integers,
) -> None:
    """Place tasks of one demand one after another, each seeing those before; by scans where
    there are no groups.
    """
    planted = len(groups) > 0
    for task in range(len(chosen)):
        if planted:
            index, _ = best_by_tree(
                blocks,
                num_blocks,
                groups,
                levels,
                root,
                outlook,
                scratch,
                weights,
                scoring,
                cpu,
                memory,
                np.inf,
            )
        else:
            index, _ = best_by_scan(
                blocks, num_blocks, outlook, weights, scoring, cpu, memory, np.inf
            )
        chosen[task] = index
        if index >= 0:
            hold(states, blocks, weights, max_load, max_network_latency_ms, cpu, memory, index)
            if planted:
                refresh(blocks, groups, levels, root, outlook, scratch, index // LANES)


def derive_all(
    states: Floats,
    blocks: Floats,
    weights: Floats,
    max_load: float,
    max_network_latency_ms: float,
) -> None:
    """Bring what decisions read of every node up to date."""
    for i in range(len(states)):
        derive(states, blocks, weights, max_load, max_network_latency_ms, i)


TABLE_KERNELS = (derive, derive_all, hold, plant, refresh, choose, choose_by_scan, place_run)
"""What the node table calls."""

HELPERS: tuple[Any, ...] = (
    copy,
    highest_of,
    lowest_of,
    lane_of_highest,
    free_cpu,
    predicted_energy_j,
    paper_components,
    passes,
    share_left,
    gain_of,
    size_of,
    peak_of,
    face,
    score,
    summarise_block,
    all_of_era,
    bound,
    summarise_group,
    learn,
    put,
    lane_bounds,
    look,
    scan,
    first_found,
    search,
    placement,
    components,
    spread_of,
    derive,
    hold,
    refresh,
    best_by_scan,
    best_by_tree,
)
"""What those call in turn."""
