"""What a report says, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from carbonedge.carbon.energy.meter import MeterMethod
from carbonedge.carbon.ledger_window import IntensitySource

__all__ = [
    "GROUPINGS",
    "METHODS",
    "Energy",
    "EnergyUse",
    "Group",
    "Grouping",
    "IntensityUse",
    "Report",
    "methods_text",
    "other_method",
    "time_text",
]

Grouping = Literal["node", "zone", "model", "hour"]
GROUPINGS: tuple[Grouping, ...] = ("node", "zone", "model", "hour")
METHODS: tuple[MeterMethod, ...] = ("measured", "modelled", "emulated")


@dataclass(frozen=True, slots=True)
class Energy:
    """Where joules went.

    Parameters
    ----------
    cpu_j, memory_j, gpu_j
        Of parts of nodes.
    machine_j
        Of nodes whose parts are not told apart.
    transfer_j
        Of the links.
    idle_j
        The part of the first four that the nodes would have drawn idle.
    overhead_j
        What the facilities drew beside the nodes, by their PUE; in none of the others.
    """

    cpu_j: float
    memory_j: float
    gpu_j: float
    machine_j: float
    transfer_j: float
    idle_j: float
    overhead_j: float

    @property
    def nodes_j(self) -> float:
        """Of the nodes."""
        return self.cpu_j + self.memory_j + self.gpu_j + self.machine_j

    @property
    def total_j(self) -> float:
        """Of nodes, links and facilities."""
        return self.nodes_j + self.transfer_j + self.overhead_j


@dataclass(frozen=True, slots=True)
class Group:
    """What some stages cost.

    Parameters
    ----------
    name
        What they have in common: a node, a zone, a model, or when an hour began (UTC).
    stages
        How many ran.
    inferences
        How many inferences they are of; of a node or zone, those that ran there at least in part.
    latency_ms
        Mean time of an inference in these stages, one after another; ``None`` without inferences.
    energy
        In joules.
    intensity_g_per_kwh
        Mean over the energy of nodes and facilities; ``None`` where none was used.
    operational_g, embodied_g, transfer_g
        GCO2eq of energy, PUE in, of manufacture and of the links' energy.
    g_by_method
        All of these by how they came about. Operational emissions are measured, modelled or
        emulated as their joules are. The others are modelled, and emulated on an emulated node.
    """

    name: str
    stages: int
    inferences: int
    latency_ms: float | None
    energy: Energy
    intensity_g_per_kwh: float | None
    operational_g: float
    embodied_g: float
    transfer_g: float
    g_by_method: Mapping[MeterMethod, float]

    @property
    def emissions_g(self) -> float:
        """Of all kinds."""
        return self.operational_g + self.embodied_g + self.transfer_g

    @property
    def inferences_per_g(self) -> float:
        """Carbon efficiency; infinite where nothing was emitted."""
        return self.inferences / self.emissions_g if self.emissions_g else math.inf

    @property
    def g_per_inference(self) -> float | None:
        """Emissions of an inference; ``None`` without inferences."""
        return self.emissions_g / self.inferences if self.inferences else None

    @property
    def method(self) -> str:
        """How its grams came about, in words."""
        return methods_text(self.g_by_method)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **asdict(self),
            "g_by_method": {name: self.g_by_method.get(name, 0.0) for name in METHODS},
            "emissions_g": self.emissions_g,
            "g_per_inference": self.g_per_inference,
            "inferences_per_g": self.inferences_per_g if self.emissions_g else None,
        }


@dataclass(frozen=True, slots=True)
class EnergyUse:
    """How joules came about, and how many they are.

    Parameters
    ----------
    source
        For people.
    method
        In a word.
    energy_j
        Of the nodes, without PUE.
    operational_g
        Their emissions, PUE in.
    embodied_g, transfer_g
        Of the same stages.
    """

    source: str
    method: MeterMethod
    energy_j: float
    operational_g: float
    embodied_g: float
    transfer_g: float


@dataclass(frozen=True, slots=True)
class IntensityUse:
    """Where intensities are from, and what they were applied to.

    Parameters
    ----------
    source
        The provider, the zone and what kind of value it gave.
    energy_j
        Of the nodes, without PUE.
    operational_g
        Their emissions, PUE in.
    intensity_g_per_kwh
        The mean over that energy; ``None`` where none was used.
    method
        How their joules came about, in words.
    """

    source: IntensitySource
    energy_j: float
    operational_g: float
    intensity_g_per_kwh: float | None
    method: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the inferences of some time cost.

    Parameters
    ----------
    since_s, until_s
        The half-open time asked for, in seconds since 1970; ``None`` where it has no end.
    first_s, last_s
        When the first and the last of its stages began; ``None`` if there are none.
    by
        What is grouped by; ``None`` for the total alone.
    total, groups
        Everything, and what falls to each group: hours in order, else the most emissions first.
    energy_sources, intensity_sources
        What lies behind the figures, the most emissions first.
    pue
        Of each node, the highest.
    without_embodied
        Nodes to which no embodied carbon was counted.
    """

    since_s: float | None
    until_s: float | None
    first_s: float | None
    last_s: float | None
    by: Grouping | None
    total: Group
    groups: tuple[Group, ...]
    energy_sources: tuple[EnergyUse, ...]
    intensity_sources: tuple[IntensityUse, ...]
    pue: Mapping[str, float]
    without_embodied: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, times as ISO 8601 in UTC."""
        times = ("since", "until", "first", "last")
        return {
            **{name: time_text(getattr(self, f"{name}_s")) for name in times},
            "by": self.by,
            "total": self.total.to_dict(),
            "groups": [group.to_dict() for group in self.groups],
            "energy_sources": [asdict(use) for use in self.energy_sources],
            "intensity_sources": [
                {
                    **asdict(use.source),
                    "energy_j": use.energy_j,
                    "operational_g": use.operational_g,
                    "intensity_g_per_kwh": use.intensity_g_per_kwh,
                    "method": use.method,
                }
                for use in self.intensity_sources
            ],
            "pue": dict(self.pue),
            "without_embodied": list(self.without_embodied),
        }


def methods_text(g_by_method: Mapping[MeterMethod, float]) -> str:
    """How grams came about, in words such as ``"62 % measured, 38 % modelled"``."""
    known = [name for name in METHODS if name in g_by_method]
    behind = [name for name in known if g_by_method[name]]
    if len(behind) <= 1:
        return ", ".join(behind or known) or "nothing"
    total_g = math.fsum(g_by_method.values())
    return ", ".join(f"{100 * g_by_method[name] / total_g:.3g} % {name}" for name in behind)


def other_method(method: MeterMethod) -> MeterMethod:
    """How grams of links and of manufacture come about on a node whose joules do so."""
    return "emulated" if method == "emulated" else "modelled"


def time_text(time_s: float | None) -> str | None:
    """A time in seconds since 1970 as ISO 8601 in UTC, to the second."""
    if time_s is None:
        return None
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
