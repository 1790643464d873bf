"""Intensities of grids that are nowhere, with the sun and the wind of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from carbonedge import Node
from carbonedge.carbon.intensity.series import Series
from carbonedge.experiments.replay import Fleet, Grid, Zones, grid_of

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
