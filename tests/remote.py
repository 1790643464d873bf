"""What tests of runtime "ray" share: a model, nodes for it, plans over them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import models
import numpy as np

from carbonedge import Cluster, InferenceSession, Link, Node, Plan, Stage
from carbonedge.runtime import Listening

MODEL = models.layers()
FEED = {"x": np.linspace(-1, 1, models.WIDTH, dtype=np.float32).reshape(1, -1)}
NODES = {
    "a": Node("a", cpu_cores=1, memory_mb=500, power_w=10, intensity_g_per_kwh=100),
    "b": Node("b", cpu_cores=1, memory_mb=500, power_w=5, intensity_g_per_kwh=300),
    "c": Node("c", cpu_cores=1, memory_mb=500, power_w=5, intensity_g_per_kwh=900),
}
PAIRS = ("ab", "bc", "ac")
CLUSTER = Cluster(NODES.values(), [Link(*pair, bandwidth_mbps=1000) for pair in PAIRS])
QUICKLY = Listening(every_s=0.3, silent_after_s=1.5)


def feed(number: int) -> dict[str, Any]:
    """A request unlike the others."""
    return {"x": FEED["x"] * np.float32(1 + number % 97)}


def plan(*stages: tuple[str, int, int]) -> Plan:
    made = tuple(Stage(node, start, stop, 0.01, 0.001, 1e-6) for node, start, stop in stages)
    ms = 0.01 * len(made)
    return Plan(made, (), ms, 0.001, 1e-6, 100.0, True, 0.0, "latency", "macs")


A_THEN_B = plan(("a", 0, 4), ("b", 4, 8))


def open_remote(address: str | None, **arguments: Any) -> InferenceSession:
    chosen = {"plan": A_THEN_B} if "placement" not in arguments else {}
    arguments = {"listening": QUICKLY, "costs": "measured", **chosen, **arguments}
    return InferenceSession(MODEL, CLUSTER, runtime="ray", address=address, **arguments)


def nodes_of(session: InferenceSession) -> list[list[str]]:
    return [[stage.node for stage in one.stages] for one in session.plans]


def wait_for(condition: Callable[[], object], within_s: float = 30.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)
