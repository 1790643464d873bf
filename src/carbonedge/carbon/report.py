"""What the inferences in a ledger cost, together and by group, and how each figure came about."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from carbonedge.carbon.energy.meter import MeterMethod
from carbonedge.carbon.entry import Origin
from carbonedge.carbon.ledger_tables import HOUR_S
from carbonedge.carbon.window import Cell, IntensitySource, Window, read_window

__all__ = [
    "GROUPINGS",
    "Energy",
    "EnergyUse",
    "Group",
    "Grouping",
    "IntensityUse",
    "Report",
    "methods_text",
    "other_method",
    "report",
    "summary",
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


def report(
    path: str | os.PathLike[str],
    *,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    by: Grouping | None = None,
    mixed: bool = False,
) -> Report:
    """Report on a ledger; it may be written to meanwhile.

    Parameters
    ----------
    path
        The ledger.
    since, until
        The half-open time in which stages began, as aware datetimes or in seconds since 1970.
    by
        What to group by: one of `GROUPINGS`.
    mixed
        Whether average and marginal intensities, or lifecycle and direct factors, may be
        added up.

    Raises
    ------
    ValueError
        If there is no ledger, the time does not end after it starts, `by` is not known, or
        intensities would be mixed.
    """
    return summary(read_window(path, since, until), by=by, mixed=mixed)


def summary(window: Window, *, by: Grouping | None = None, mixed: bool = False) -> Report:
    """Report on what was read of a ledger; as `report` otherwise."""
    if by is not None and by not in GROUPINGS:
        raise ValueError(f"by is {by!r}: give one of {', '.join(GROUPINGS)}")
    cells = window.cells
    if not mixed:
        _refuse_mixtures(cells)
    groups = _groups(window, by) if by is not None else ()
    return Report(
        since_s=window.since_s if math.isfinite(window.since_s) else None,
        until_s=window.until_s if math.isfinite(window.until_s) else None,
        first_s=min((cell.sums.first_s for cell in cells), default=None),
        last_s=max((cell.sums.last_s for cell in cells), default=None),
        by=by,
        total=_group("total", cells, _begins),
        groups=groups,
        energy_sources=_energy_uses(cells),
        intensity_sources=_intensity_uses(cells),
        pue=_highest_pue(cells),
        without_embodied=_without_embodied(cells),
    )


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


def _refuse_mixtures(cells: Iterable[Cell]) -> None:
    sources = {cell.source for cell in cells}
    for what, kinds in (
        ("accounting", {source.accounting for source in sources}),
        ("factors", {source.factors for source in sources}),
    ):
        if len(kinds) > 1:
            named = " and ".join(
                f"{kind} (of {_some({s.source for s in sources if getattr(s, what) == kind})})"
                for kind in sorted(kinds)
            )
            raise ValueError(
                f"intensities of different {what} do not add up: {named}; take a time in which "
                "there is one, by since and until (--since, --until), or allow mixed (--mixed)"
            )


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return first + (f" and {len(others)} more" if others else "")


def _groups(window: Window, by: Grouping) -> tuple[Group, ...]:
    cells: dict[str, list[Cell]] = {}
    for cell in window.cells:
        cells.setdefault(_name(cell, by), []).append(cell)
    counts = _enters(window.origins, by) if by in ("node", "zone") else _begins
    groups = [_group(name, members, counts) for name, members in cells.items()]
    if by == "hour":
        return tuple(sorted(groups, key=lambda group: group.name))
    return tuple(sorted(groups, key=lambda group: (-group.emissions_g, group.name)))


def _name(cell: Cell, by: Grouping) -> str:
    if by == "hour":
        return str(time_text(cell.start_s // HOUR_S * HOUR_S))
    return str(getattr(cell.origin, by))


def _begins(origin: Origin) -> bool:
    """Whether an inference begins with such a stage."""
    return origin.stage == 0


def _enters(origins: Iterable[Origin], by: Grouping) -> Callable[[Origin], bool]:
    """Whether such a stage is the first of an inference in its node or zone.

    All inferences of a plan run the same stages, so that each has one such entry there.
    """
    first: dict[tuple[str, str, str], int] = {}
    for origin in origins:
        key = (origin.model, origin.plan, getattr(origin, by))
        first[key] = min(origin.stage, first.get(key, origin.stage))
    return lambda o: o.stage == first[o.model, o.plan, getattr(o, by)]


def _group(name: str, cells: Sequence[Cell], counts: Callable[[Origin], bool]) -> Group:
    def total(value: Callable[[Cell], float]) -> float:
        return math.fsum(map(value, cells))

    inferences = sum(cell.sums.entries for cell in cells if counts(cell.origin))
    latency_ms = total(lambda cell: cell.sums.latency_ms)
    return Group(
        name=name,
        stages=sum(cell.sums.entries for cell in cells),
        inferences=inferences,
        latency_ms=latency_ms / inferences if inferences else None,
        energy=Energy(
            cpu_j=total(lambda cell: cell.sums.cpu_j),
            memory_j=total(lambda cell: cell.sums.memory_j),
            gpu_j=total(lambda cell: cell.sums.gpu_j),
            machine_j=total(lambda cell: cell.sums.machine_j),
            transfer_j=total(lambda cell: cell.sums.transfer_j),
            idle_j=total(lambda cell: cell.sums.idle_j),
            overhead_j=total(lambda cell: cell.energy_j * (cell.origin.pue - 1)),
        ),
        intensity_g_per_kwh=_mean_intensity(cells),
        operational_g=total(lambda cell: cell.sums.operational_g),
        embodied_g=total(lambda cell: cell.sums.embodied_g),
        transfer_g=total(lambda cell: cell.sums.transfer_g),
        g_by_method=_by_method(cells),
    )


def _mean_intensity(cells: Iterable[Cell]) -> float | None:
    facilities_j = math.fsum(cell.energy_j * cell.origin.pue for cell in cells)
    weighted = math.fsum(cell.sums.intensity_j * cell.origin.pue for cell in cells)
    return weighted / facilities_j if facilities_j else None


def _by_method(cells: Iterable[Cell]) -> dict[MeterMethod, float]:
    grams: dict[MeterMethod, list[float]] = {}
    for cell in cells:
        method, sums = cell.origin.method, cell.sums
        grams.setdefault(method, []).append(sums.operational_g)
        others_g = sums.embodied_g + sums.transfer_g
        if others_g:
            grams.setdefault(other_method(method), []).append(others_g)
    return {method: math.fsum(grams[method]) for method in METHODS if method in grams}


def _energy_uses(cells: Iterable[Cell]) -> tuple[EnergyUse, ...]:
    used: dict[tuple[str, MeterMethod], list[Cell]] = {}
    for cell in cells:
        used.setdefault((cell.origin.energy_source, cell.origin.method), []).append(cell)
    uses = [
        EnergyUse(
            *source,
            *_operational(members),
            math.fsum(cell.sums.embodied_g for cell in members),
            math.fsum(cell.sums.transfer_g for cell in members),
        )
        for source, members in used.items()
    ]
    return tuple(sorted(uses, key=lambda use: -use.operational_g))


def _intensity_uses(cells: Iterable[Cell]) -> tuple[IntensityUse, ...]:
    used: dict[IntensitySource, list[Cell]] = {}
    for cell in cells:
        used.setdefault(cell.source, []).append(cell)
    uses = [
        IntensityUse(
            source,
            *_operational(members),
            _mean_intensity(members),
            methods_text(_operational_by_method(members)),
        )
        for source, members in used.items()
    ]
    return tuple(sorted(uses, key=lambda use: -use.operational_g))


def _operational_by_method(cells: Iterable[Cell]) -> dict[MeterMethod, float]:
    grams: dict[MeterMethod, float] = {}
    for cell in cells:
        method = cell.origin.method
        grams[method] = grams.get(method, 0.0) + cell.sums.operational_g
    return grams


def _operational(cells: Sequence[Cell]) -> tuple[float, float]:
    return (
        math.fsum(cell.energy_j for cell in cells),
        math.fsum(cell.sums.operational_g for cell in cells),
    )


def _highest_pue(cells: Iterable[Cell]) -> dict[str, float]:
    pue: dict[str, float] = {}
    for cell in cells:
        pue[cell.origin.node] = max(cell.origin.pue, pue.get(cell.origin.node, 1.0))
    return dict(sorted(pue.items()))


def _without_embodied(cells: Iterable[Cell]) -> tuple[str, ...]:
    embodied_g: dict[str, float] = {}
    for cell in cells:
        node = cell.origin.node
        embodied_g[node] = embodied_g.get(node, 0.0) + cell.sums.embodied_g
    return tuple(sorted(node for node, grams in embodied_g.items() if not grams))
