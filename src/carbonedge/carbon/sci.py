"""Software carbon intensity by ISO/IEC 21031:2024, with what is in it and what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from carbonedge.carbon.energy.meter import MeterMethod
from carbonedge.carbon.report_data import Report, methods_text, other_method
from carbonedge.units import J_PER_KWH

__all__ = ["FUNCTIONAL_UNIT", "Figure", "Sci", "sci"]

FUNCTIONAL_UNIT = "one inference"
MOST_NAMES = 6

ALWAYS_LEFT_OUT = (
    "what nodes draw between inferences",
    "machines held ready for failures",
    "devices of end users",
    "training of the model, and developing and shipping the software",
    "offsets, certificates and market-based intensities, which the standard excludes",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One term of the score.

    Parameters
    ----------
    symbol
        As in the standard, which derives ``I`` as the mean that gives ``O``.
    name
        What it is.
    value
        ``None`` where it has none.
    unit
        Of the value.
    method
        How it came about.
    """

    symbol: str
    name: str
    value: float | None
    unit: str
    method: str


@dataclass(frozen=True, slots=True)
class Sci:
    """``SCI = (O + M) per R``.

    Parameters
    ----------
    operational_g, embodied_g
        ``O``, transfers in, and ``M``, in gCO2eq.
    inferences
        ``R``, in units of `FUNCTIONAL_UNIT`.
    figures
        Every term, with the method behind it.
    boundary
        What is counted.
    left_out
        What is not.
    """

    operational_g: float
    embodied_g: float
    inferences: int
    figures: tuple[Figure, ...]
    boundary: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def score_g(self) -> float | None:
        """GCO2eq per inference; ``None`` without inferences."""
        if not self.inferences:
            return None
        return (self.operational_g + self.embodied_g) / self.inferences

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "standard": "ISO/IEC 21031:2024",
            "functional_unit": FUNCTIONAL_UNIT,
            "score_g_per_inference": self.score_g,
            **asdict(self),
        }


def sci(report: Report) -> Sci:
    """The score of what a report covers."""
    total = report.total
    operational_g = total.operational_g + total.transfer_g
    scored = Sci(
        operational_g=operational_g,
        embodied_g=total.embodied_g,
        inferences=total.inferences,
        figures=(),
        boundary=tuple(_boundary(report)),
        left_out=(*_left_out(report), *ALWAYS_LEFT_OUT),
    )
    return replace(scored, figures=tuple(_figures(report, scored)))


def _figures(report: Report, scored: Sci) -> Iterator[Figure]:
    total, energy = report.total, report.total.energy
    uses = report.energy_sources
    nodes = [(use.method, use.operational_g) for use in uses]
    links = [(other_method(use.method), use.transfer_g) for use in uses]
    embodied = [(other_method(use.method), use.embodied_g) for use in uses]
    yield Figure(
        "E",
        "energy of nodes, PUE in",
        (energy.nodes_j + energy.overhead_j) / J_PER_KWH,
        "kWh",
        _listed(f"{use.source} ({use.method})" for use in uses),
    )
    yield Figure(
        "E",
        "energy of links",
        energy.transfer_j / J_PER_KWH,
        "kWh",
        f"J per MB x MB ({_methods(links)})",
    )
    yield Figure(
        "I",
        "carbon intensity, mean over the energy of nodes",
        total.intensity_g_per_kwh,
        "gCO2eq/kWh",
        _intensities(report),
    )
    yield Figure(
        "O",
        "operational emissions, links in",
        scored.operational_g,
        "gCO2eq",
        f"sum of E x I at its time ({_methods(nodes + links)})",
    )
    yield Figure(
        "M",
        "embodied emissions",
        scored.embodied_g,
        "gCO2eq",
        f"grams per hour of a node x time of its stages ({_methods(embodied)})",
    )
    yield Figure("R", FUNCTIONAL_UNIT, scored.inferences, "inferences", "counted")
    yield Figure(
        "SCI",
        "(O + M) per R",
        scored.score_g,
        "gCO2eq per inference",
        total.method,
    )


def _methods(parts: Iterable[tuple[MeterMethod, float]]) -> str:
    grams: dict[MeterMethod, float] = {}
    for method, part_g in parts:
        grams[method] = grams.get(method, 0.0) + part_g
    return methods_text(grams)


def _intensities(report: Report) -> str:
    sorts: dict[str, dict[str, list[str]]] = {}
    for use in report.intensity_sources:
        source = use.source
        sort = f"location-based, {source.accounting}, {source.factors} factors"
        kinds = sorts.setdefault(sort, {}).setdefault(source.source, [])
        if source.kind not in kinds:
            kinds.append(source.kind)
    return "; ".join(
        f"{sort}: " + _listed(f"{name} ({', '.join(kinds)})" for name, kinds in sources.items())
        for sort, sources in sorts.items()
    )


def _boundary(report: Report) -> Iterator[str]:
    energy = report.total.energy
    parts = {
        "CPU": energy.cpu_j,
        "memory": energy.memory_j,
        "GPU": energy.gpu_j,
        "whole machines": energy.machine_j,
    }
    used = [name for name, joules in parts.items() if joules]
    if used:
        idle = f", {100 * energy.idle_j / energy.nodes_j:.3g} % of it idle draw"
        yield f"energy of {', '.join(used)} while stages ran{idle if energy.idle_j else ''}"
    if energy.overhead_j:
        yield f"overhead of facilities, PUE up to {max(report.pue.values()):g}"
    if energy.transfer_j:
        yield "energy of links that tensors crossed"
    if report.total.embodied_g:
        nodes = [node for node in report.pue if node not in report.without_embodied]
        yield f"embodied carbon of {_listed(nodes)}, by the time of their stages"


def _left_out(report: Report) -> Iterator[str]:
    energy = report.total.energy
    if not energy.machine_j:
        parts = {"CPU": energy.cpu_j, "memory": energy.memory_j, "GPU": energy.gpu_j}
        unused = [name for name, joules in parts.items() if not joules]
        if unused:
            yield f"energy of {', '.join(unused)}, of which none was counted"
    bare = [node for node, pue in report.pue.items() if pue == 1]
    if bare:
        yield f"overhead of the facilities of {_listed(bare)}, whose PUE is 1"
    if energy.transfer_j:
        yield "networking equipment beyond the energy of links"
    else:
        yield "networking equipment: no energy of links was counted"
    if report.without_embodied:
        yield f"embodied carbon of {_listed(report.without_embodied)}, for which none is given"
    if any(use.source.factors == "direct" for use in report.intensity_sources):
        yield "emissions of fuel supply and of building power plants: factors are direct"


def _listed(names: Iterable[str]) -> str:
    """All of them once; the first few where there are many."""
    different = list(dict.fromkeys(names))
    more = len(different) - MOST_NAMES
    shown = different if more <= 0 else [*different[:MOST_NAMES], f"{more} more"]
    return "; ".join(shown) if any(", " in name for name in shown) else ", ".join(shown)
