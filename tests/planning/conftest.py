from __future__ import annotations

import pytest

from carbonedge import Cluster, Link, Node


@pytest.fixture
def cluster() -> Cluster:
    """A fast node on a dirty grid, a slow one on a clean grid, and a link."""
    return Cluster(
        [
            Node(
                "fast",
                cpu_cores=4,
                memory_mb=1000,
                power_w=40,
                intensity_g_per_kwh=600,
                avg_time_ms=10,
            ),
            Node(
                "clean",
                cpu_cores=2,
                memory_mb=1000,
                power_w=20,
                intensity_g_per_kwh=100,
                avg_time_ms=30,
                speed=0.5,
            ),
        ],
        [Link("fast", "clean", bandwidth_mbps=1000, energy_j_per_mb=0.001)],
    )
