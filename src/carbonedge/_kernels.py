"""The core's kernels once more, in plain Python that Numba compiles where it is there.

Each function does what its namesake in ``cpp/src`` does, term by term in the same
order, so that every backend makes the same choice to the last bit. The reasons stand
there; here is the same argument in fewer words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

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
"""The first rows of a node table, in the order of the core's ``Field``."""

CPU_CORES, MEMORY_MB, POWER_W, INTENSITY, PUE, LOAD, NETWORK, AVG_TIME = range(8)
RUNNING, PARALLELISM, EMBODIED, RESERVED_CPU, RESERVED_MEMORY = range(8, 13)
OPEN_CPU, FREE_MEMORY, PER_CPU, PER_MEMORY = range(13, 17)
MERIT, HEADROOM, BALANCE, LATENCY_MS, EMISSIONS_G = range(17, 22)
NUM_ROWS = 22

SHARE_LEFT, PEAK = NUM_ROWS, NUM_ROWS + 1
"""Rows of extremes only: of what the last task would leave free, and the peaks."""

PREPARED_CPU, PREPARED_MEMORY, LEANING, LOOKS = 0, 1, 2, 7
"""What those two are for: a task's needs and five gains; and looks into blocks since."""

CPU_QUANTA_PER_CORE = 1e9
MEMORY_QUANTA_PER_MB = 1e6
BLOCK_SIZE = 16
SMALLEST_SPREAD = 1e-280
ROUNDING = 1e-13
UNSURE = 1e100


def free_cpu(table: Floats, i: int) -> float:
    """Free CPU of a node in quanta."""
    capacity = np.rint(table[CPU_CORES, i] * (1.0 - table[LOAD, i]) * CPU_QUANTA_PER_CORE)
    return capacity - table[RESERVED_CPU, i]


def predicted_energy_j(table: Floats, i: int) -> float:
    """Energy of one task on a node."""
    return table[POWER_W, i] * table[AVG_TIME, i] / 1e3


def paper_components(table: Floats, i: int) -> tuple[float, float, float, float, float]:
    """The components of Algorithm 1."""
    watt_hours = table[POWER_W, i] * table[AVG_TIME, i] / 3.6e6
    return (
        1.0,
        1.0 - table[LOAD, i],
        1.0 / (1.0 + table[AVG_TIME, i] / 1e3),
        1.0 / (1.0 + 2.0 * table[RUNNING, i]),
        1.0 / (1.0 + table[INTENSITY, i] * watt_hours),
    )


def derive(
    table: Floats, i: int, weights: Floats, max_load: float, max_network_latency_ms: float
) -> None:
    """Bring what decisions read of one node up to date."""
    barred = table[LOAD, i] > max_load or table[NETWORK, i] > max_network_latency_ms
    memory = np.rint(table[MEMORY_MB, i] * MEMORY_QUANTA_PER_MB)
    table[OPEN_CPU, i] = -1.0 if barred else free_cpu(table, i)
    table[FREE_MEMORY, i] = memory - table[RESERVED_MEMORY, i]
    table[PER_CPU, i] = 0.5 / max(1.0, np.rint(table[CPU_CORES, i] * CPU_QUANTA_PER_CORE))
    table[PER_MEMORY, i] = 0.5 / max(1.0, memory)
    resource, load, performance, balance, carbon = paper_components(table, i)
    table[MERIT, i] = (
        weights[0] * resource
        + weights[1] * load
        + weights[2] * performance
        + weights[3] * balance
        + weights[4] * carbon
    )
    table[HEADROOM, i] = load
    table[BALANCE, i] = balance
    queue = table[RUNNING, i] / table[PARALLELISM, i]
    table[LATENCY_MS, i] = table[NETWORK, i] + table[AVG_TIME, i] * (1.0 + queue)
    operational = predicted_energy_j(table, i) * table[INTENSITY, i] * table[PUE, i] / 3.6e6
    embodied = table[EMBODIED, i] * table[AVG_TIME, i] / 3.6e6
    table[EMISSIONS_G, i] = operational + embodied


def summarise(table: Floats, lows: Floats, highs: Floats, prepared: Floats, block: int) -> None:
    """Extremes of the derived rows over the open nodes of a block, and what depends on
    the task and gains that are `prepared`.
    """
    start = block * BLOCK_SIZE
    stop = min(table.shape[1], start + BLOCK_SIZE)
    for row in range(OPEN_CPU, NUM_ROWS):
        low = np.inf
        high = -np.inf
        for i in range(start, stop):
            if table[OPEN_CPU, i] >= 0.0:
                low = min(low, table[row, i])
                high = max(high, table[row, i])
        lows[row, block] = low
        highs[row, block] = high
    summarise_task(table, lows, highs, prepared, block)


def summarise_task(
    table: Floats, lows: Floats, highs: Floats, prepared: Floats, block: int
) -> None:
    """Extremes of the shares left free over the nodes of a block that pass, and the
    highest sum of their components times the gains.
    """
    cpu, memory = prepared[PREPARED_CPU], prepared[PREPARED_MEMORY]
    low = np.inf
    high = -np.inf
    peak = -np.inf
    start = block * BLOCK_SIZE
    for i in range(start, min(table.shape[1], start + BLOCK_SIZE)):
        if passes(table, cpu, memory, i):
            share = share_left(table, cpu, memory, i)
            low = min(low, share)
            high = max(high, share)
            peak = max(
                peak,
                share * prepared[LEANING]
                + table[HEADROOM, i] * prepared[LEANING + 1]
                - table[LATENCY_MS, i] * prepared[LEANING + 2]
                + table[BALANCE, i] * prepared[LEANING + 3]
                - table[EMISSIONS_G, i] * prepared[LEANING + 4],
            )
    lows[SHARE_LEFT, block] = low
    highs[SHARE_LEFT, block] = high
    highs[PEAK, block] = peak


def refresh(
    table: Floats,
    lows: Floats,
    highs: Floats,
    prepared: Floats,
    weights: Floats,
    max_load: float,
    max_network_latency_ms: float,
    index: int,
) -> None:
    """Bring one node and its block up to date."""
    derive(table, index, weights, max_load, max_network_latency_ms)
    summarise(table, lows, highs, prepared, index // BLOCK_SIZE)


def refresh_all(
    table: Floats,
    lows: Floats,
    highs: Floats,
    prepared: Floats,
    weights: Floats,
    max_load: float,
    max_network_latency_ms: float,
) -> None:
    """Bring every node and block up to date."""
    for i in range(table.shape[1]):
        derive(table, i, weights, max_load, max_network_latency_ms)
    for block in range(lows.shape[1]):
        summarise(table, lows, highs, prepared, block)


def passes(table: Floats, cpu: float, memory: float, i: int) -> bool:
    """Whether a node is open and has the demand free."""
    return bool(table[OPEN_CPU, i] >= cpu and table[FREE_MEMORY, i] >= memory)


def share_left(table: Floats, cpu: float, memory: float, i: int) -> float:
    """Mean share of CPU and memory that a task would leave free."""
    return (table[OPEN_CPU, i] - cpu) * table[PER_CPU, i] + (
        table[FREE_MEMORY, i] - memory
    ) * table[PER_MEMORY, i]


def best_merit(
    table: Floats, lows: Floats, highs: Floats, cpu: float, memory: float
) -> tuple[int, float]:
    """Index and merit of the best node under `paper`, -1 where none passes."""
    index = -1
    highest = 0.0
    for block in range(highs.shape[1]):
        if (
            highs[MERIT, block] <= highest
            or highs[OPEN_CPU, block] < cpu
            or highs[FREE_MEMORY, block] < memory
        ):
            continue
        start = block * BLOCK_SIZE
        for i in range(start, min(table.shape[1], start + BLOCK_SIZE)):
            if table[MERIT, i] > highest and passes(table, cpu, memory, i):
                highest = table[MERIT, i]
                index = i
    return index, highest


def least_emissions(
    table: Floats, lows: Floats, highs: Floats, cpu: float, memory: float, slo_ms: float
) -> tuple[int, float]:
    """Index and minus the emissions of the best node under `constrained`."""
    index = -1
    least = np.inf
    fastest = np.inf
    for block in range(highs.shape[1]):
        if (
            lows[EMISSIONS_G, block] > least
            or lows[LATENCY_MS, block] > slo_ms
            or highs[OPEN_CPU, block] < cpu
            or highs[FREE_MEMORY, block] < memory
        ):
            continue
        start = block * BLOCK_SIZE
        for i in range(start, min(table.shape[1], start + BLOCK_SIZE)):
            emissions = table[EMISSIONS_G, i]
            latency = table[LATENCY_MS, i]
            better = emissions < least or (emissions == least and latency < fastest)
            if better and latency <= slo_ms and passes(table, cpu, memory, i):
                least = emissions
                fastest = latency
                index = i
    return index, -least


def any_divided(lows: Floats, highs: Floats, cpu: float, memory: float) -> bool:
    """Whether some nodes of any block pass and others do not."""
    least_cpu, least_memory = lows[OPEN_CPU], lows[FREE_MEMORY]
    best_shares = highs[SHARE_LEFT]
    count = 0
    for block in range(len(least_cpu)):
        part = least_cpu[block] < cpu or least_memory[block] < memory
        count += 1 if part and best_shares[block] > -np.inf else 0
    return count > 0


def column_range(
    table: Floats,
    lows: Floats,
    highs: Floats,
    cpu: float,
    memory: float,
    divided: bool,
    row: int,
) -> tuple[float, float]:
    """Lowest and highest value of a row over the nodes that pass."""
    least_cpu, least_memory = lows[OPEN_CPU], lows[FREE_MEMORY]
    row_lows, row_highs = lows[row], highs[row]
    low = np.inf
    high = -np.inf
    for block in range(len(row_lows)):
        whole = least_cpu[block] >= cpu and least_memory[block] >= memory
        low = row_lows[block] if whole and row_lows[block] < low else low
        high = row_highs[block] if whole and row_highs[block] > high else high
    if not divided:
        return low, high
    for block in range(len(row_lows)):
        if row_lows[block] >= low and row_highs[block] <= high:
            continue
        start = block * BLOCK_SIZE
        for i in range(start, min(table.shape[1], start + BLOCK_SIZE)):
            if passes(table, cpu, memory, i):
                low = min(low, table[row, i])
                high = max(high, table[row, i])
    return low, high


def share_range(lows: Floats, highs: Floats) -> tuple[float, float]:
    """Lowest and highest share left free over the nodes that pass."""
    row_lows, row_highs = lows[SHARE_LEFT], highs[SHARE_LEFT]
    low = np.inf
    high = -np.inf
    for block in range(len(row_lows)):
        low = min(low, row_lows[block])
        high = max(high, row_highs[block])
    return low, high


def scale_of(low: float, high: float) -> float:
    """What makes a range one wide; 0 where it has no spread."""
    spread = high - low
    return 1.0 / spread if spread >= SMALLEST_SPREAD else 0.0


def size_of(low: float, high: float, gain: float, leaning: float) -> float:
    """The largest magnitude in a range times its gain."""
    return max(abs(low), abs(high)) * max(gain, leaning)


def extreme_of(lows: Floats, highs: Floats, row: int, factor: float) -> Floats:
    """Per block, what of a row makes most of a factor."""
    return highs[row] if factor >= 0.0 else lows[row]


def best_scaled(
    table: Floats,
    lows: Floats,
    highs: Floats,
    prepared: Floats,
    weights: Floats,
    cpu: float,
    memory: float,
) -> tuple[int, float, float, float, float, float, float]:
    """Index, score and scaled components of the best node under `normalized`."""
    num_blocks = highs.shape[1]
    if prepared[PREPARED_CPU] != cpu or prepared[PREPARED_MEMORY] != memory:
        prepared[PREPARED_CPU] = cpu
        prepared[PREPARED_MEMORY] = memory
        for block in range(num_blocks):
            summarise_task(table, lows, highs, prepared, block)

    share_low, share_high = share_range(lows, highs)
    if share_high == -np.inf:
        return -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    scan = (table, lows, highs, cpu, memory, any_divided(lows, highs, cpu, memory))
    headroom_low, headroom_high = column_range(*scan, HEADROOM)
    latency_low, latency_high = column_range(*scan, LATENCY_MS)
    balance_low, balance_high = column_range(*scan, BALANCE)
    emissions_low, emissions_high = column_range(*scan, EMISSIONS_G)
    resource_scale = scale_of(share_low, share_high)
    load_scale = scale_of(headroom_low, headroom_high)
    performance_scale = scale_of(latency_low, latency_high)
    balance_scale = scale_of(balance_low, balance_high)
    carbon_scale = scale_of(emissions_low, emissions_high)
    resource_gain = weights[0] * resource_scale
    load_gain = weights[1] * load_scale
    performance_gain = weights[2] * performance_scale
    balance_gain = weights[3] * balance_scale
    carbon_gain = weights[4] * carbon_scale

    more_resource = resource_gain - prepared[LEANING]
    more_load = load_gain - prepared[LEANING + 1]
    more_performance = performance_gain - prepared[LEANING + 2]
    more_balance = balance_gain - prepared[LEANING + 3]
    more_carbon = carbon_gain - prepared[LEANING + 4]
    worst = (
        share_low * resource_gain
        + headroom_low * load_gain
        - latency_high * performance_gain
        + balance_low * balance_gain
        - emissions_high * carbon_gain
    )
    slack = ROUNDING * (
        size_of(share_low, share_high, resource_gain, prepared[LEANING])
        + size_of(headroom_low, headroom_high, load_gain, prepared[LEANING + 1])
        + size_of(latency_low, latency_high, performance_gain, prepared[LEANING + 2])
        + size_of(balance_low, balance_high, balance_gain, prepared[LEANING + 3])
        + size_of(emissions_low, emissions_high, carbon_gain, prepared[LEANING + 4])
    )
    unsure = not slack < UNSURE
    best_shares, peaks = highs[SHARE_LEFT], highs[PEAK]
    shares = extreme_of(lows, highs, SHARE_LEFT, more_resource)
    headrooms = extreme_of(lows, highs, HEADROOM, more_load)
    latencies = extreme_of(lows, highs, LATENCY_MS, -more_performance)
    balances = extreme_of(lows, highs, BALANCE, more_balance)
    emissions = extreme_of(lows, highs, EMISSIONS_G, -more_carbon)
    bounds = np.empty(num_blocks)
    for block in range(num_blocks):
        if best_shares[block] == -np.inf:
            bounds[block] = -np.inf
        elif unsure:
            bounds[block] = np.inf
        else:
            bounds[block] = (
                peaks[block]
                + shares[block] * more_resource
                + headrooms[block] * more_load
                - latencies[block] * more_performance
                + balances[block] * more_balance
                - emissions[block] * more_carbon
                - worst
                + slack
            )
    promising = int(np.argmax(bounds))

    # The most promising block first, so that most others need no look.
    index = -1
    highest = -np.inf
    for turn in range(-1, num_blocks):
        block = promising if turn < 0 else turn
        if bounds[block] < highest or bounds[block] == -np.inf:
            continue
        prepared[LOOKS] += 1.0
        start = block * BLOCK_SIZE
        for i in range(start, min(table.shape[1], start + BLOCK_SIZE)):
            score = (
                (share_left(table, cpu, memory, i) - share_low) * resource_gain
                + (table[HEADROOM, i] - headroom_low) * load_gain
                + (latency_high - table[LATENCY_MS, i]) * performance_gain
                + (table[BALANCE, i] - balance_low) * balance_gain
                + (emissions_high - table[EMISSIONS_G, i]) * carbon_gain
            )
            better = score > highest or (score == highest and i < index)
            if better and passes(table, cpu, memory, i):
                highest = score
                index = i
    if prepared[LOOKS] > num_blocks:
        prepared[LOOKS] = 0.0
        prepared[LEANING] = resource_gain
        prepared[LEANING + 1] = load_gain
        prepared[LEANING + 2] = performance_gain
        prepared[LEANING + 3] = balance_gain
        prepared[LEANING + 4] = carbon_gain
        for block in range(num_blocks):
            summarise_task(table, lows, highs, prepared, block)
    return (
        index,
        highest,
        (share_left(table, cpu, memory, index) - share_low) * resource_scale,
        (table[HEADROOM, index] - headroom_low) * load_scale,
        (latency_high - table[LATENCY_MS, index]) * performance_scale,
        (table[BALANCE, index] - balance_low) * balance_scale,
        (emissions_high - table[EMISSIONS_G, index]) * carbon_scale,
    )


def choose(
    table: Floats,
    lows: Floats,
    highs: Floats,
    prepared: Floats,
    weights: Floats,
    scoring: int,
    cpu: float,
    memory: float,
    slo_ms: float,
) -> tuple[int, float, float, float, float, float, float, float, float, float]:
    """Index, score, components, latency, energy and emissions of the best node under a
    scoring, -1 where there is none.
    """
    parts = (0.0, 0.0, 0.0, 0.0, 0.0)
    if scoring == 1:
        index, score, r, l, p, b, c = best_scaled(
            table, lows, highs, prepared, weights, cpu, memory
        )
        parts = (r, l, p, b, c)
    elif scoring == 0:
        index, score = best_merit(table, lows, highs, cpu, memory)
    else:
        index, score = least_emissions(table, lows, highs, cpu, memory, slo_ms)
    if index < 0:
        return -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if scoring != 1:
        parts = paper_components(table, index)
    # Uncompiled, these are NumPy's scalars.
    return (
        int(index),
        float(score),
        float(parts[0]),
        float(parts[1]),
        float(parts[2]),
        float(parts[3]),
        float(parts[4]),
        float(table[LATENCY_MS, index]),
        float(predicted_energy_j(table, index)),
        float(table[EMISSIONS_G, index]),
    )


TABLE_KERNELS = (refresh, refresh_all, choose)
"""What the node table calls."""

HELPERS: tuple[Any, ...] = (
    free_cpu,
    predicted_energy_j,
    paper_components,
    derive,
    summarise,
    summarise_task,
    best_merit,
    best_scaled,
    least_emissions,
    passes,
    share_left,
    any_divided,
    column_range,
    share_range,
    scale_of,
    size_of,
    extreme_of,
)
"""What those call in turn."""
