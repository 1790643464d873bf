"""Energy and emissions of a set of inferences, with how each was obtained."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carbonedge.carbon.emissions import stage_emissions_g, transfer_emissions_g
from carbonedge.cluster import Node
from carbonedge.units import MS_PER_S

__all__ = ["Footprint", "FootprintMeter", "Share", "stage_share", "transfer_share"]


@dataclass(frozen=True, slots=True)
class Share:
    """What fell to one node, or to the links."""

    time_ms: float = 0.0
    energy_j: float = 0.0
    emissions_g: float = 0.0

    def __add__(self, other: Share) -> Share:
        """Both together."""
        return Share(
            self.time_ms + other.time_ms,
            self.energy_j + other.energy_j,
            self.emissions_g + other.emissions_g,
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """Energy and emissions of a set of inferences.

    Parameters
    ----------
    inferences
        How many.
    by_node
        The share of each node that ran any of them.
    transfers
        The links' share.
    time_source, energy_source, intensity_source
        How each figure came about.
    """

    inferences: int
    by_node: Mapping[str, Share]
    transfers: Share
    time_source: str = "measured here, divided by the node's speed (emulated)"
    energy_source: str = "node power x time, link energy x MB (modelled)"
    intensity_source: str = "given per node (static)"

    @property
    def latency_ms(self) -> float:
        """Mean of one inference: its stages and transfers one after another."""
        total = sum(share.time_ms for share in self.by_node.values()) + self.transfers.time_ms
        return total / self.inferences if self.inferences else 0.0

    @property
    def energy_j(self) -> float:
        """Of all the inferences, transfers in."""
        return sum(share.energy_j for share in self.by_node.values()) + self.transfers.energy_j

    @property
    def emissions_g(self) -> float:
        """Of all the inferences, operational and embodied, transfers in."""
        nodes = sum(share.emissions_g for share in self.by_node.values())
        return nodes + self.transfers.emissions_g

    @property
    def inferences_per_g(self) -> float:
        """Carbon efficiency; infinite where nothing was emitted."""
        emissions_g = self.emissions_g
        return self.inferences / emissions_g if emissions_g else math.inf

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "inferences": self.inferences,
            "energy_j": self.energy_j,
            "emissions_g": self.emissions_g,
            "inferences_per_g": self.inferences_per_g if self.emissions_g else None,
            "by_node": {
                name: {
                    "time_ms": share.time_ms,
                    "energy_j": share.energy_j,
                    "emissions_g": share.emissions_g,
                }
                for name, share in self.by_node.items()
            },
            "transfers": {
                "time_ms": self.transfers.time_ms,
                "energy_j": self.transfers.energy_j,
                "emissions_g": self.transfers.emissions_g,
            },
            "time_source": self.time_source,
            "energy_source": self.energy_source,
            "intensity_source": self.intensity_source,
        }


class FootprintMeter:
    """Adds inferences up. Safe to use from several threads."""

    __slots__ = ("_by_node", "_inferences", "_lock", "_transfers")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inferences = 0
        self._by_node: dict[str, Share] = {}
        self._transfers = Share()

    def add(self, footprint: Footprint) -> None:
        """Take in one footprint, whole or not at all."""
        with self._lock:
            self._inferences += footprint.inferences
            self._transfers += footprint.transfers
            for name, share in footprint.by_node.items():
                self._by_node[name] = self._by_node.get(name, Share()) + share

    def total(self) -> Footprint:
        """Everything taken in so far."""
        with self._lock:
            return Footprint(self._inferences, dict(self._by_node), self._transfers)


def stage_share(node: Node, time_ms: float) -> Share:
    """What work of that length on a node costs."""
    energy_j = node.power_w * time_ms / MS_PER_S
    return Share(time_ms, energy_j, stage_emissions_g(node, energy_j, time_ms))


def transfer_share(source: Node, target: Node, time_ms: float, energy_j: float) -> Share:
    """What moving tensors between two nodes costs."""
    return Share(time_ms, energy_j, transfer_emissions_g(source, target, energy_j))
