"""Replays as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from rich.table import Table

from carbonedge.cli.console import LEAST_WIDTH, fold_text, plain_table, to_stdout
from carbonedge.cli.report_tables import number
from carbonedge.experiments.figures import mass_unit
from carbonedge.experiments.replay import PolicyResult, Replay

__all__ = [
    "PERIODS",
    "Period",
    "Rows",
    "notes",
    "percent",
    "period_rows",
    "policy_rows",
    "print_replay",
    "subtitle",
    "use_rows",
    "worth_rows",
    "worth_text",
    "zone_rows",
]

Period = Literal["month", "hour"]
PERIODS = get_args(Period)

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""The heads of columns, and rows; the first column is text."""


def print_replay(replay: Replay, by: Period | None = None) -> None:
    """Print what each policy made of the requests, and what lies behind it."""
    console = to_stdout(LEAST_WIDTH)
    console.print(subtitle(replay), soft_wrap=True)
    tables = [policy_rows(replay), use_rows(replay), zone_rows(replay), worth_rows(replay)]
    if by is not None:
        tables.insert(2, period_rows(replay, by))
    for rows in tables:
        console.print(_table(*rows))
        console.print()
    console.print(worth_text(replay), soft_wrap=True)
    for line in notes(replay):
        console.print(line, style="dim", soft_wrap=True)


def subtitle(replay: Replay) -> str:
    """Of what the replay is, in a sentence."""
    return (
        f"{_counted(replay.requests, 'request')} from {replay.start} to {replay.stop}, on "
        f"{_counted(replay.nodes, 'node')} in {_counted(len(replay.zones), 'zone')}."
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def policy_rows(replay: Replay) -> Rows:
    """A row for each policy, the oracle last."""
    results = (*replay.policies, replay.oracle)
    unit, unit_g = mass_unit(max(result.emissions_g for result in results))
    heads = (
        *("policy", f"{unit}CO2eq", f"regret {unit}", "regret"),
        *("ms median", "ms p99", "SLO misses", "waited", "ms waited"),
    )
    return heads, [_policy_row(result, unit_g) for result in results]


def _policy_row(result: PolicyResult, unit_g: float) -> tuple[str, ...]:
    return (
        result.name,
        number(result.emissions_g / unit_g),
        number(result.regret_g / unit_g),
        percent(result.regret),
        f"{result.latency_median_ms:.1f}",
        f"{result.latency_p99_ms:.1f}",
        percent(result.misses / result.requests),
        percent(result.waited / result.requests),
        number(result.waited_mean_ms),
    )


def use_rows(replay: Replay) -> Rows:
    """Which nodes each policy uses: how many, how much the busiest, and where."""
    heads = ("policy", "nodes used", "busiest", *(f"in {zone.name}" for zone in replay.zones))
    return heads, [
        (
            result.name,
            f"{result.nodes_used:,}",
            percent(result.busiest_share),
            *(percent(share) for share in result.zone_use.values()),
        )
        for result in (*replay.policies, replay.oracle)
    ]


def zone_rows(replay: Replay) -> Rows:
    """A row for each zone."""
    return ("zone", "nodes", "requests", "SLO ms", "g/kWh", "missing values", "UTC offset, h"), [
        (
            zone.name,
            f"{zone.nodes:,}",
            f"{zone.requests:,}",
            f"{zone.slo_ms:g}",
            number(zone.intensity_g_per_kwh),
            f"{zone.missing:,}",
            f"{zone.utc_offset_h:+g}",
        )
        for zone in replay.zones
    ]


def worth_rows(replay: Replay) -> Rows:
    """A row for each tolerated latency."""
    heads = ("extra latency", "saved", "moved", *(f"from {zone.name}" for zone in replay.zones))
    return heads, [
        (
            f"{worth.extra_ms:g} ms",
            percent(worth.saving),
            percent(worth.moved),
            *(percent(saving) for saving in worth.saving_by_zone.values()),
        )
        for worth in replay.worth
    ]


def period_rows(replay: Replay, by: Period) -> Rows:
    """Emissions of each policy by month, or by hour of the day."""
    results = (*replay.policies, replay.oracle)
    columns = [result.by_month_g if by == "month" else result.by_hour_g for result in results]
    names = replay.months if by == "month" else [f"{hour:02}:00 UTC" for hour in range(24)]
    unit, unit_g = mass_unit(max(max(column) for column in columns))
    return (f"{unit}CO2eq by {by}", *(result.name for result in results)), [
        (name, *(number(column[place] / unit_g) for column in columns))
        for place, name in enumerate(names)
    ]


def worth_text(replay: Replay) -> str:
    """What moving work is worth, in a sentence."""
    if len(replay.zones) == 1:
        return "There is one zone: no work moves."
    said = [f"{percent(worth.saving)} at {worth.extra_ms:g} ms" for worth in replay.worth]
    return (
        "Moving work between these grids is worth "
        + (", ".join(said[:-1]) + " and " if said[1:] else "")
        + f"{said[-1]} of tolerated extra latency: what an oracle emits less with the nodes of "
        "all zones than with those of each request's own."
    )


def notes(replay: Replay) -> Iterator[str]:
    """How the figures came about."""
    yield (
        "Modelled: energy is node power x time; grams are energy x the intensity of each slice of "
        "time x PUE, and the embodied share; idle power and the network's are not counted. By "
        "month and hour: of a request's arrival, in UTC."
    )
    yield (
        "The oracle knows every intensity to come and the work of each request, and meets the SLO "
        "with the least grams wherever a node can, as if none were ever busy: no request that "
        "meets its SLO emits less. A policy that emits less in all misses SLOs."
    )
    missing = sum(zone.missing for zone in replay.zones)
    if missing:
        yield (
            f"{missing:,} values of the traces are missing: policies saw the last one known, and "
            "grams are counted on the straight line between its neighbours."
        )
    by_wait = sorted(replay.policies, key=lambda result: result.waited_mean_ms)
    if not by_wait[-1].waited:
        yield "Capacity was ample: no request waited under any policy."
        return
    said = [
        f"under {result.name} {percent(result.waited / replay.requests)} of the requests, "
        f"{number(result.waited_mean_ms)} ms on average over all, the longest "
        f"{number(result.waited_longest_ms)} ms"
        for result in (by_wait[-1], *by_wait[:-1][:1])
    ]
    yield f"Requests waited for a slot or for room, the longest and the least: {'; '.join(said)}."


def percent(share: float) -> str:
    """A share in %, small ones not rounded to nothing."""
    text = f"{100 * share:.2f}"
    if share and float(text) == 0:
        return "<0.01 %" if share > 0 else ">-0.01 %"
    return f"{float(text) + 0.0:.2f} %"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = plain_table(heads, heads[:1])
    table.collapse_padding = True
    fold_text(table)
    for row in rows:
        table.add_row(*row)
    return table
