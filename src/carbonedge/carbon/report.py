"""What the inferences in a ledger cost, together and by group, and how each figure came about."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from carbonedge.carbon.energy.meter import MeterMethod
from carbonedge.carbon.entry import Origin
from carbonedge.carbon.ledger_tables import HOUR_S
from carbonedge.carbon.ledger_window import Cell, IntensitySource, Window, read_window
from carbonedge.carbon.report_data import (
    GROUPINGS,
    METHODS,
    Energy,
    EnergyUse,
    Group,
    Grouping,
    IntensityUse,
    Report,
    methods_text,
    other_method,
    time_text,
)

__all__ = ["report", "summary"]


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
