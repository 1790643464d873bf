"""Intensities of grids that are nowhere, with the sun and the wind of real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from carbonedge import Node, Task
from carbonedge.carbon.intensity.series import Series
from carbonedge.experiments.replay import Arrivals, Fleet, Grid, Zones, grid_of

START_S = 1_640_995_200
"""2022-01-01, in UTC."""

ZONES = ("SUN", "WIND", "COAL", "HYDRO")
TRIPS = Zones(
    {
        ("SUN", "WIND"): 30.0,
        ("COAL", "SUN"): 20.0,
        ("HYDRO", "SUN"): 60.0,
        ("COAL", "WIND"): 25.0,
        ("HYDRO", "WIND"): 70.0,
        ("COAL", "HYDRO"): 45.0,
    },
    {"SUN": -8.0, "COAL": 1.0},
)


def intensities(hours: int, seed: int = 0) -> dict[str, np.ndarray]:
    """By zone, gCO2eq/kWh of each hour: days of sun, weeks of wind, dull coal, steady hydro."""
    chance = np.random.default_rng(seed)
    hour = np.arange(hours)
    season = np.cos(hour / 8760 * 2 * np.pi)
    sun = np.clip(-np.cos((hour - 8) % 24 / 24 * 2 * np.pi), 0, None) * (1 - 0.4 * season)
    gusts = chance.normal(size=hours).cumsum()
    wind = np.tanh((gusts - np.convolve(gusts, np.ones(97) / 97, "same")) / 4)
    return {
        "SUN": 420 - 330 * np.clip(sun, 0, 1.1) + chance.normal(0, 5, hours),
        "WIND": 250 - 180 * wind + 20 * season,
        "COAL": 680 + 60 * chance.uniform(size=hours),
        "HYDRO": 60 + 10 * chance.uniform(size=hours),
    }


def grid(values: Mapping[str, object], step_s: int = 3600, start_s: int = START_S) -> Grid:
    """The grid of some values by zone."""
    return grid_of(
        {
            zone: Series(zone, own, source="made up", start_s=start_s, step_s=step_s, max_gap_s=0)
            for zone, own in values.items()
        }
    )


def write_traces(folder: Path, values: Mapping[str, np.ndarray], year: str = "-2022") -> None:
    """A file for each zone; where a value is NaN, a blank."""
    folder.mkdir(exist_ok=True)
    begins = datetime.fromtimestamp(START_S, UTC)
    for zone, own in values.items():
        rows = (
            f"{(begins + timedelta(hours=hour)).isoformat()},{'' if np.isnan(v) else f'{v:.2f}'}\n"
            for hour, v in enumerate(own)
        )
        Path(folder, f"{zone}{year}.csv").write_text("timestamp,g_per_kwh\n" + "".join(rows))


def node(zone: str, name: str = "", **changes: float) -> Node:
    """A node of a zone."""
    values: dict[str, float] = {
        "cpu_cores": 8.0,
        "memory_mb": 8000.0,
        "power_w": 30.0,
        "avg_time_ms": 100.0,
        "network_latency_ms": 5.0,
    }
    return Node(name or zone.lower(), zone=zone, **(values | changes))


def fleet(*nodes: Node, copies: int = 1, zones: Zones | None = None) -> Fleet:
    """Of these nodes, or of one in each zone."""
    given = nodes or tuple(node(zone) for zone in ZONES)
    return Fleet.of(
        given, zones=TRIPS if zones is None and not nodes else zones or Zones(), copies=copies
    )


@dataclass(frozen=True)
class Scene:
    """All that a replay takes."""

    fleet: Fleet
    grid: Grid
    arrivals: Arrivals
    task: Task
    slo_ms: list[float]

    @property
    def window_s(self) -> tuple[float, float]:
        return float(self.grid.start_s), float(self.grid.stop_s)


STEP_S = 10
"""So short that much work lasts from one value to the next."""


@st.composite
def scenes(draw: st.DrawFn, *, roomy: bool = False) -> Scene:
    """Few nodes, busy unless they are roomy, while intensities change."""
    zones = ZONES[: draw(st.sampled_from([3, 2, 1]))]
    nodes = [
        node(
            zone,
            f"{zone} {number}",
            cpu_cores=1e6 if roomy else draw(st.sampled_from([1.0, 2.0])),
            power_w=draw(st.sampled_from([5.0, 30.0, 80.0])),
            pue=draw(st.sampled_from([1.0, 1.5])),
            avg_time_ms=draw(st.sampled_from([90.0, 2000.0, 15_000.0])),
            network_latency_ms=draw(st.sampled_from([0.0, 7.0])),
            parallelism=draw(st.integers(1, 2)),
            embodied_g_per_hour=draw(st.sampled_from([0.0, 3.0])),
        )
        for zone in zones
        for number in range(draw(st.integers(1, 2)))
    ]
    own = Fleet.of(nodes, zone_latency_ms=draw(st.sampled_from([0.0, 30.0, 400.0])))
    values = st.sampled_from([0.0, 50.0, 300.0, 301.0, math.nan]) | st.integers(0, 900)
    made = grid(
        {zone: [100.0, *draw(st.lists(values, min_size=7, max_size=7))] for zone in zones}, STEP_S
    )
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([25, 12, 1]))
    spread = draw(st.sampled_from([0.0, 0.3]))
    arrivals = Arrivals(
        np.sort(chance.uniform(0, draw(st.sampled_from([2_000.0, 60_000.0])), count)),
        chance.integers(len(zones), size=count),
        np.exp(chance.normal(0, spread, count)),
    )
    slo_ms = draw(st.sampled_from([100.0, 500.0, 2500.0, 20_000.0]))
    task = Task(cpu_cores=draw(st.sampled_from([0.5, 1.0])))
    return Scene(own, made, arrivals, task, [slo_ms] * len(zones))
