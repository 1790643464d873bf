from __future__ import annotations

import hypothesis
import pytest

from carbonedge import Node
from carbonedge._backend import NAMES, Backend, load

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("ci")


@pytest.fixture(params=NAMES, scope="session")
def any_backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    return load(request.param)


@pytest.fixture
def paper_nodes() -> list[Node]:
    """The paper's three nodes with the mean times its tables imply."""
    rows = (
        ("node-high", 1.0, 1024, 620, 3.55, 254.85),
        ("node-medium", 0.6, 512, 530, 2.13, 424.75),
        ("node-green", 0.4, 512, 380, 1.42, 585.0),
    )
    return [
        Node(
            name,
            cpu_cores=cores,
            memory_mb=mb,
            intensity_g_per_kwh=intensity,
            power_w=watts,
            avg_time_ms=time_ms,
        )
        for name, cores, mb, intensity, watts, time_ms in rows
    ]
