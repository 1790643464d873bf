"""Energy and emissions of a set of inferences, with how each was obtained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from carbonedge.carbon.energy.meter import MeterMethod

__all__ = [
    "EMULATED_TIME",
    "MEASURED_TIME",
    "NODE_POWER",
    "NODE_TIME",
    "STAND_IN_TIME",
    "STATIC",
    "Footprint",
    "Share",
    "joined",
    "together",
    "weakest",
]

NODE_POWER = "node power x time, link energy x MB"
STATIC = "given per node (static, average, lifecycle)"
MEASURED_TIME = "measured here"
EMULATED_TIME = "measured here, divided by the node's speed"
NODE_TIME = "measured on the node"
STAND_IN_TIME = "measured on a machine that stands in for several nodes"
WEAKER: tuple[MeterMethod, ...] = ("measured", "modelled", "emulated")
"""From the strongest to the weakest."""


class Share(NamedTuple):
    """What fell to one node, or to the links. A tuple: several are made on every request.

    Parameters
    ----------
    time_ms
        Computing, or on the way.
    energy_j
        All of it, the idle part in.
    operational_g, embodied_g
        GCO2eq of that energy, PUE in, and of manufacture.
    idle_j
        What of `energy_j` would have been drawn idle; 0 where that is not known.
    """

    time_ms: float = 0.0
    energy_j: float = 0.0
    operational_g: float = 0.0
    embodied_g: float = 0.0
    idle_j: float = 0.0

    @property
    def emissions_g(self) -> float:
        """Operational and embodied."""
        return self.operational_g + self.embodied_g

    def plus(self, other: Share) -> Share:
        """Both together."""
        return Share(*(mine + its for mine, its in zip(self, other, strict=True)))

    def to_dict(self) -> dict[str, float]:
        """As plain values."""
        return {**self._asdict(), "emissions_g": self.emissions_g}


class Footprint(NamedTuple):
    """Energy and emissions of a set of inferences. A tuple: every request makes one.

    Parameters
    ----------
    inferences
        How many.
    by_node
        The share of each node that ran any of them.
    transfers
        The links' share.
    method
        Of every gram, in a word: ``"measured"`` where a sensor on the node itself counted
        the joules, ``"modelled"`` where they come from a power model of it, ``"emulated"``
        where another machine stood in for it. The weakest, where they differ.
    time_source, energy_source, intensity_source
        How each figure came about.
    """

    inferences: int
    by_node: Mapping[str, Share]
    transfers: Share
    method: MeterMethod = "emulated"
    time_source: str = EMULATED_TIME
    energy_source: str = NODE_POWER
    intensity_source: str = STATIC

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
    def idle_j(self) -> float:
        """What of that would have been drawn idle, as far as it is known."""
        return sum(share.idle_j for share in self.by_node.values())

    @property
    def operational_g(self) -> float:
        """GCO2eq of all that energy, PUE in."""
        nodes = sum(share.operational_g for share in self.by_node.values())
        return nodes + self.transfers.operational_g

    @property
    def embodied_g(self) -> float:
        """GCO2eq of manufacture, as far as the nodes give it."""
        return sum(share.embodied_g for share in self.by_node.values())

    @property
    def emissions_g(self) -> float:
        """Of all the inferences, operational and embodied, transfers in."""
        return self.operational_g + self.embodied_g

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
            "idle_j": self.idle_j,
            "operational_g": self.operational_g,
            "embodied_g": self.embodied_g,
            "emissions_g": self.emissions_g,
            "inferences_per_g": self.inferences_per_g if self.emissions_g else None,
            "by_node": {name: share.to_dict() for name, share in self.by_node.items()},
            "transfers": self.transfers.to_dict(),
            "method": self.method,
            "time_source": self.time_source,
            "energy_source": self.energy_source,
            "intensity_source": self.intensity_source,
        }


def together(footprints: Iterable[Footprint]) -> Footprint:
    """Several footprints as one, at least one among them."""
    several = list(footprints)
    by_node: dict[str, Share] = {}
    for name, share in (pair for one in several for pair in one.by_node.items()):
        by_node[name] = by_node[name].plus(share) if name in by_node else share
    transfers = Share()
    for one in several:
        transfers = transfers.plus(one.transfers)

    return Footprint(
        sum(one.inferences for one in several),
        by_node,
        transfers,
        weakest(one.method for one in several),
        joined(one.time_source for one in several),
        joined(one.energy_source for one in several),
        joined(one.intensity_source for one in several),
    )


def weakest(methods: Iterable[MeterMethod]) -> MeterMethod:
    """What may be said of all joules that came about by these, at least one among them."""
    return max(methods, key=WEAKER.index)


def joined(sources: Iterable[str]) -> str:
    """Each of them, said once."""
    return "; ".join(dict.fromkeys(sources))
