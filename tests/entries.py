"""Entries of a ledger as tests write them."""

from __future__ import annotations

from typing import Any

from carbonedge.carbon.entry import Entry, Origin
from carbonedge.carbon.intensity.signal import Intensity

NOON_S = 1_790_000_000.0 // 86_400 * 86_400 + 43_200
"""Of a day in 2026."""


def origin(node: str = "node-a", **given: Any) -> Origin:
    values = {
        "zone": "DE",
        "model": "squeezenet",
        "plan": "plan-1",
        "stage": 0,
        "pue": 1.0,
        "energy_source": "rapl, by CPU time",
        "method": "measured",
    }
    return Origin(node, **{**values, **given})


def intensity(g_per_kwh: float = 400.0, **given: Any) -> Intensity:
    values = {"zone": "DE", "source": "trace de.csv", "kind": "actual"}
    return Intensity(g_per_kwh, **{**values, **given})


def entry(time_s: float = NOON_S, inference: int = 1, **given: Any) -> Entry:
    values = {
        "origin": origin(),
        "intensity": intensity(),
        "latency_ms": 10.0,
        "cpu_j": 0.5,
        "memory_j": 0.1,
        "gpu_j": 0.0,
        "machine_j": 0.0,
        "idle_j": 0.2,
        "transfer_j": 0.01,
        "operational_g": 6e-5,
        "embodied_g": 1e-6,
        "transfer_g": 1e-6,
    }
    return Entry(time_s, inference, **{**values, **given})
