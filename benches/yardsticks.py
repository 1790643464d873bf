"""What anyone would write first: a plain Python loop and a NumPy expression."""

from __future__ import annotations

import numpy as np
from clusters import GREEN, MAX_LOAD

from carbonedge import Task

__all__ = ["EXPRESSIONS", "FIELDS", "LOOPS", "paper_loop", "scaled_numpy"]


def paper_loop(nodes: list[dict[str, float]], task: Task) -> int:
    """Algorithm 1 over dictionaries, term by term."""
    r, l, p, b, c = GREEN
    best, highest = -1, 0.0
    for index, n in enumerate(nodes):
        load = n["load"]
        cpu = n["cpu_cores"] * (1 - load)
        memory = n["memory_mb"]
        if load > MAX_LOAD or cpu < task.cpu_cores or memory < task.memory_mb:
            continue
        score = (
            r * (min(1, cpu / task.cpu_cores) + min(1, memory / task.memory_mb)) / 2
            + l * (1 - load)
            + p / (1 + n["avg_time_ms"] / 1e3)
            + b / (1 + 2 * n["running_tasks"])
            + c / (1 + n["intensity_g_per_kwh"] * n["power_w"] * n["avg_time_ms"] / 3.6e6)
        )
        if score > highest:
            best, highest = index, score
    return best


def scaled_loop(nodes: list[dict[str, float]], task: Task) -> int:
    """The normalized choice over dictionaries: values, their spread, then scores."""
    passed = []
    for index, n in enumerate(nodes):
        load = n["load"]
        cpu = n["cpu_cores"] * (1 - load)
        memory = n["memory_mb"]
        if load > MAX_LOAD or cpu < task.cpu_cores or memory < task.memory_mb:
            continue
        time_ms = n["avg_time_ms"]
        share = (cpu - task.cpu_cores) / n["cpu_cores"] + (memory - task.memory_mb) / memory
        latency = n["network_latency_ms"] + time_ms * (1 + n["running_tasks"] / n["parallelism"])
        emissions = n["power_w"] * time_ms * n["intensity_g_per_kwh"] * n["pue"] / 3.6e9
        values = (share / 2, 1 - load, -latency, 1 / (1 + 2 * n["running_tasks"]), -emissions)
        passed.append((index, values))
    columns = list(zip(*(values for _, values in passed), strict=True))
    lows = [min(column) for column in columns]
    gains = [
        weight / (max(column) - low) if max(column) > low else 0.0
        for weight, column, low in zip(GREEN, columns, lows, strict=True)
    ]
    best, highest = -1, -1.0
    for index, values in passed:
        score = 0.0
        for value, low, gain in zip(values, lows, gains, strict=True):
            score += (value - low) * gain
        if score > highest:
            best, highest = index, score
    return best


def paper_numpy(n: dict[str, np.ndarray], task: Task) -> int:
    r, l, p, b, c = GREEN
    cpu = n["cpu_cores"] * (1 - n["load"])
    memory = n["memory_mb"]
    passes = (n["load"] <= MAX_LOAD) & (cpu >= task.cpu_cores) & (memory >= task.memory_mb)
    score = (
        r * (np.minimum(1, cpu / task.cpu_cores) + np.minimum(1, memory / task.memory_mb)) / 2
        + l * (1 - n["load"])
        + p / (1 + n["avg_time_ms"] / 1e3)
        + b / (1 + 2 * n["running_tasks"])
        + c / (1 + n["intensity_g_per_kwh"] * n["power_w"] * n["avg_time_ms"] / 3.6e6)
    )
    return int(np.argmax(np.where(passes, score, -np.inf)))


def scaled_numpy(n: dict[str, np.ndarray], task: Task) -> int:
    cpu = n["cpu_cores"] * (1 - n["load"])
    memory = n["memory_mb"]
    passes = (n["load"] <= MAX_LOAD) & (cpu >= task.cpu_cores) & (memory >= task.memory_mb)
    share = (cpu - task.cpu_cores) / n["cpu_cores"] + (memory - task.memory_mb) / memory
    latency = n["network_latency_ms"] + n["avg_time_ms"] * (
        1 + n["running_tasks"] / n["parallelism"]
    )
    emissions = n["power_w"] * n["avg_time_ms"] * n["intensity_g_per_kwh"] * n["pue"] / 3.6e9
    score = np.zeros(len(cpu))
    for weight, values in zip(
        GREEN,
        (share / 2, 1 - n["load"], -latency, 1 / (1 + 2 * n["running_tasks"]), -emissions),
        strict=True,
    ):
        passed = values[passes]
        low, high = passed.min(), passed.max()
        if high > low:
            score += (values - low) * (weight / (high - low))
    return int(np.argmax(np.where(passes, score, -np.inf)))


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
)
LOOPS = {"paper": paper_loop, "normalized": scaled_loop}
EXPRESSIONS = {"paper": paper_numpy, "normalized": scaled_numpy}
