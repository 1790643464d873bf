"""Recorded intensities and requests, played through the scheduler in simulated time."""

from __future__ import annotations

from carbonedge.experiments.replay.arrivals import (
    PATTERNS,
    Arrivals,
    arrivals_of_csv,
    synthetic_arrivals,
)
from carbonedge.experiments.replay.experiment import replay, slo_by_zone
from carbonedge.experiments.replay.fleet import Fleet, Zones, read_zones
from carbonedge.experiments.replay.grid import Grid, grid_of, read_grid
from carbonedge.experiments.replay.policies import POLICIES
from carbonedge.experiments.replay.results import PolicyResult, Replay, Worth, ZoneResult

__all__ = [
    "PATTERNS",
    "POLICIES",
    "Arrivals",
    "Fleet",
    "Grid",
    "PolicyResult",
    "Replay",
    "Worth",
    "ZoneResult",
    "Zones",
    "arrivals_of_csv",
    "grid_of",
    "read_grid",
    "read_zones",
    "replay",
    "slo_by_zone",
    "synthetic_arrivals",
]
