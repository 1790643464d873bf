"""The figures of the CarbonEdge paper (arXiv 2603.27420), to stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "CARBON_JUMP",
    "EFFICIENCY",
    "GREEN_REDUCTION",
    "MODELS",
    "NODE_USE",
    "REFERENCE_MS",
    "SCHEDULING_MS",
    "TABLE_2",
    "TABLE_4",
    "Published",
    "over_monolithic",
]


@dataclass(frozen=True, slots=True)
class Published:
    """A row of its tables.

    Parameters
    ----------
    latency_ms, throughput_rps
        Throughput is in Table II only.
    emissions_g
        Per inference.
    reduction
        Share of carbon saved against monolithic; negative where more is emitted.
    """

    latency_ms: float
    emissions_g: float
    reduction: float = 0.0
    throughput_rps: float | None = None


MODELS: Mapping[str, str] = {
    "mobilenetv2": "MobileNetV2",
    "mobilenetv4": "MobileNetV4",
    "efficientnet_b0": "EfficientNet-B0",
}
"""Its models, by how files of them begin."""

TABLE_2: Mapping[str, Published] = {
    "monolithic": Published(254.85, 0.0053, 0.0, 3.93),
    "AMP4EC": Published(277.22, 0.0056, -0.067, 3.62),
    "performance": Published(271.38, 0.0067, -0.267, 3.69),
    "balanced": Published(271.11, 0.0066, -0.247, 3.70),
    "green": Published(272.02, 0.0041, 0.229, 3.68),
}
"""MobileNetV2, by how requests were routed."""

TABLE_4: Mapping[str, tuple[Published, Published]] = {
    "MobileNetV2": (Published(254.85, 0.0053), Published(272.02, 0.0041, 0.229)),
    "MobileNetV4": (Published(82.96, 0.00123), Published(84.28, 0.00105, 0.148)),
    "EfficientNet-B0": (Published(116.29, 0.00198), Published(119.23, 0.00134, 0.322)),
}
"""Monolithic, and its mode green."""

NODE_USE: Mapping[str, Mapping[str, float]] = {
    "performance": {"node-high": 100.0, "node-medium": 0.0, "node-green": 0.0},
    "balanced": {"node-high": 100.0, "node-medium": 0.0, "node-green": 0.0},
    "green": {"node-high": 0.0, "node-medium": 0.0, "node-green": 100.0},
}
"""Table V: the share of tasks in %."""

EFFICIENCY: Mapping[str, float] = {"monolithic": 189.5, "performance": 149.6, "green": 245.8}
"""Figure 2: inferences per gram."""

GREEN_REDUCTION = 0.229
"""What the paper saves in its headline."""

CARBON_JUMP = 0.5
"""Figure 3: from this weight of carbon on, the choice is node-green; node-high below."""

SCHEDULING_MS = 0.03
"""To place a task."""

REFERENCE_MS: Mapping[str, float] = {
    "node-high": 254.85,
    "node-medium": 424.75,
    "node-green": 585.0,
}
"""MobileNetV2 on each node. The paper prints none of these: computed, they are times with which
its component ranges, 0.166 of S_P and 0.054 of S_C, come out."""


def over_monolithic(name: str) -> float:
    """A row's inferences per gram over monolithic's: of Figure 2, else of Table II."""
    if name in EFFICIENCY:
        return EFFICIENCY[name] / EFFICIENCY["monolithic"]
    return 1 / (1 - TABLE_2[name].reduction)
