"""Clusters of unlike nodes, as columns, and what happens to them between two decisions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from carbonedge import MODES, Scheduler, Task

__all__ = ["GREEN", "MAX_LOAD", "TASK", "columns", "life", "medians_us"]

TASK = Task()
GREEN = tuple(MODES["green"])
MAX_LOAD = 0.8


def columns(count: int, seed: int = 0) -> dict[str, Any]:
    """About a tenth of the nodes are above the load limit."""
    generator = np.random.default_rng(seed)
    highest = 0.89 if count > 3 else 0.7
    return {
        "cpu_cores": generator.uniform(1, 64, count),
        "memory_mb": generator.uniform(1e3, 1e5, count),
        "power_w": generator.uniform(1, 300, count),
        "intensity_g_per_kwh": generator.uniform(20, 800, count),
        "pue": np.ones(count),
        "load": generator.uniform(0, highest, count),
        "network_latency_ms": generator.uniform(0, 50, count),
        "avg_time_ms": generator.uniform(5, 500, count),
        "running_tasks": generator.integers(0, 5, count).astype(float),
        "parallelism": np.full(count, 4.0),
    }


def life(scheduler: Scheduler, count: int, seed: int = 0) -> Iterator[None]:
    """Between two decisions one task completes and one node's load is updated. Send the
    decision in, and go on to the next.
    """
    chance = random.Random(seed)
    highest = 0.89 if count > 3 else 0.7
    running: list[Any] = []
    while True:
        running.append((yield))
        if len(running) > 16:
            done = running.pop(chance.randrange(len(running)))
            scheduler.complete(done, chance.uniform(5, 500))
        scheduler.update(str(chance.randrange(count)), load=chance.uniform(0, highest))


def medians_us(
    decide: Callable[[], Any], between: Callable[[Any], None], decisions: int
) -> tuple[float, float]:
    """Median and 99th percentile of the time of a decision."""
    clock = time.perf_counter_ns
    taken = []
    for _ in range(decisions):
        began = clock()
        decision = decide()
        taken.append(clock() - began)
        between(decision)
    taken.sort()
    return taken[len(taken) // 2] / 1e3, taken[len(taken) * 99 // 100] / 1e3
