"""A year of a million requests on a thousand nodes, beside the loop without its schedulers."""

from __future__ import annotations

import time
from collections.abc import Callable

import made_up_grids
import numpy as np
import pytest

from carbonedge import Task
from carbonedge.experiments.replay import (
    POLICIES,
    Fleet,
    Grid,
    replay,
    slo_by_zone,
    synthetic_arrivals,
)
from carbonedge.experiments.replay.policies import open_policy
from carbonedge.experiments.replay.simulation import simulate

YEAR_H = 8760
A_MILLION_A_YEAR = 114.2
"""An hour."""


class Constant:
    """No choice: what remains is the loop."""

    def place(self, request: int, zone: int, now_ms: float) -> int:
        return zone

    def complete(self, request: int, node: int) -> None:
        pass


def alike_nodes() -> Fleet:
    return made_up_grids.fleet(copies=250)


def unlike_nodes() -> Fleet:
    chance = np.random.default_rng(0)
    nodes = [
        made_up_grids.node(
            made_up_grids.ZONES[number % 4],
            f"n{number}",
            power_w=chance.uniform(5, 80),
            avg_time_ms=chance.uniform(50, 400),
            network_latency_ms=chance.uniform(1, 20),
            embodied_g_per_hour=chance.uniform(0, 5),
            parallelism=int(chance.integers(1, 5)),
        )
        for number in range(1000)
    ]
    return made_up_grids.fleet(*nodes, zones=made_up_grids.TRIPS)


def first_hours(hours: int) -> tuple[Grid, tuple[float, float]]:
    grid = made_up_grids.grid(made_up_grids.intensities(hours))
    return grid, (float(grid.start_s), float(grid.stop_s))


@pytest.mark.parametrize("nodes", [alike_nodes, unlike_nodes])
def bench_goal_a_million_requests(
    record_ratio: Callable[..., None], request: pytest.FixtureRequest, nodes: Callable[[], Fleet]
) -> None:
    untimed = request.config.getoption("benchmark_disable")
    fleet, (grid, window_s) = nodes(), first_hours(YEAR_H)
    began = time.perf_counter()
    arrivals = synthetic_arrivals(
        fleet, grid, window_s, requests_per_hour=1.0 if untimed else A_MILLION_A_YEAR
    )
    found = replay(fleet, grid, arrivals, window_s)
    took_s = time.perf_counter() - began
    assert len(found.policies) == len(POLICIES)
    constrained = next(one for one in found.policies if one.name == "constrained")
    assert -1e-9 <= constrained.regret <= 0.03
    assert constrained.misses == found.oracle.misses == 0
    label = nodes.__name__.replace("_", " ")
    record_ratio(f"1M requests, 1,000 {label}, all policies and oracle, s", took_s, at_most=60)


@pytest.mark.parametrize("name", POLICIES)
def bench_goal_a_policy(record_ratio: Callable[..., None], name: str) -> None:
    """The choice itself, and intensities that change each hour, over the loop around them."""
    fleet, (grid, window_s) = alike_nodes(), first_hours(YEAR_H // 10)
    slo_ms = slo_by_zone(fleet)
    arrivals = synthetic_arrivals(fleet, grid, window_s, requests_per_hour=A_MILLION_A_YEAR)
    courses, taken_s = {}, {}
    policies = {
        "alone": Constant,
        name: lambda: open_policy(name, fleet, grid, Task(), slo_ms),
    }
    for _ in range(3):
        for key, made in policies.items():
            policy = made()
            began = time.perf_counter()
            courses[key] = simulate(arrivals, fleet, policy)
            took = time.perf_counter() - began
            taken_s[key] = min(took, taken_s.get(key, took))
    assert len(courses[name].node) == len(courses["alone"].node) == len(arrivals)
    record_ratio(
        f"replay by {name}, 1,000 nodes: over the loop alone, x",
        taken_s[name] / taken_s["alone"],
        at_most=12,
    )
