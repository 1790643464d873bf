"""Reports as tables for people, and as comma-separated values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

import click
from rich.table import Table

from carbonedge.carbon.report_data import Group, Report, time_text
from carbonedge.carbon.sci import Figure, Sci
from carbonedge.cli.console import LEAST_WIDTH, fold_text, plain_table, to_stdout
from carbonedge.experiments.figures import mass_unit

__all__ = ["number", "print_csv", "print_report", "print_sci", "window_text", "with_unit"]

MOST_ROWS = 50

CSV_COLUMNS = (
    *("stages", "inferences", "latency_ms"),
    *("cpu_j", "memory_j", "gpu_j", "machine_j", "transfer_j", "idle_j", "overhead_j"),
    *("intensity_g_per_kwh", "operational_g", "embodied_g", "transfer_g", "emissions_g"),
    *("measured_g", "modelled_g", "emulated_g", "g_per_inference", "inferences_per_g"),
)


def print_report(report: Report) -> None:
    """Print the groups, the total, and what lies behind them."""
    console = to_stdout(LEAST_WIDTH)
    if not report.total.stages:
        console.print(f"No stage ran {window_text(report)}.", soft_wrap=True)
        return
    unit, unit_g = mass_unit(report.total.emissions_g)
    name = report.by or ""
    table = plain_table(
        (
            *(name, "inferences", "ms", "J", "g/kWh", "embodied", "links"),
            *(f"{unit}CO2eq", "inf/g", "how"),
        ),
        (name, "how"),
    )
    table.collapse_padding = True
    fold_text(table)
    shown = report.groups[-MOST_ROWS:] if report.by == "hour" else report.groups[:MOST_ROWS]
    for group in (*shown, report.total):
        table.add_row(*_cells(group, unit_g))
    console.print(table)
    console.print()
    if len(shown) < len(report.groups):
        console.print(
            f"{len(shown)} of {len(report.groups)} are shown; --json and --csv give all.",
            soft_wrap=True,
        )
    for line in _notes(report, unit):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(_energy_table(report, unit, unit_g))
    console.print()
    console.print(_intensity_table(report, unit, unit_g))


def _cells(group: Group, unit_g: float) -> list[str]:
    return [
        group.name or "-",
        f"{group.inferences:,}",
        number(group.latency_ms),
        number(group.energy.total_j),
        number(group.intensity_g_per_kwh),
        number(group.embodied_g / unit_g),
        number(group.transfer_g / unit_g),
        number(group.emissions_g / unit_g),
        number(group.inferences_per_g),
        group.method,
    ]


def _notes(report: Report, unit: str) -> Iterator[str]:
    total, energy = report.total, report.total.energy
    asked = "" if report.since_s is report.until_s is None else f" ({window_text(report)})"
    yield (
        f"{total.stages:,} stages of {total.inferences:,} inferences began from "
        f"{time_text(report.first_s)} to {time_text(report.last_s)}{asked}."
    )
    if total.g_per_inference is not None:
        each_unit, each_g = mass_unit(total.g_per_inference)
        yield (
            f"One inference: {number(total.g_per_inference / each_g)} {each_unit}CO2eq "
            f"({total.method})."
        )
    parts = {
        "CPU": energy.cpu_j,
        "memory": energy.memory_j,
        "GPU": energy.gpu_j,
        "whole machines": energy.machine_j,
        "links": energy.transfer_j,
        "overhead of facilities (PUE)": energy.overhead_j,
    }
    said = ", ".join(f"{name} {number(joules)}" for name, joules in parts.items() if joules)
    idle = f"; {number(energy.idle_j)} of the nodes' is idle draw" if energy.idle_j else ""
    yield f"J: {said or 'none'}{idle}."
    yield (
        f"ms is the mean of an inference, its stages one after another; {unit}CO2eq is operational "
        "emissions, PUE in, with those embodied and of links, which are modelled, or emulated on "
        "emulated nodes."
    )


def _energy_table(report: Report, unit: str, unit_g: float) -> Table:
    table = plain_table(("energy by", "J", f"{unit}CO2eq", "%", "how"), ("energy by", "how"))
    fold_text(table)
    for use in report.energy_sources:
        share = _percentage(use.operational_g, report.total.operational_g)
        grams = number(use.operational_g / unit_g)
        table.add_row(use.source, number(use.energy_j), grams, share, use.method)
    return table


def _intensity_table(report: Report, unit: str, unit_g: float) -> Table:
    table = plain_table(
        ("intensity by", "zone", "kind", "g/kWh", "J", f"{unit}CO2eq", "%", "how"),
        ("intensity by", "zone", "kind", "how"),
    )
    fold_text(table)
    for use in report.intensity_sources:
        source = use.source
        table.add_row(
            source.source,
            source.zone or "-",
            f"{source.kind}, {source.accounting}, {source.factors}",
            number(use.intensity_g_per_kwh),
            number(use.energy_j),
            number(use.operational_g / unit_g),
            _percentage(use.operational_g, report.total.operational_g),
            use.method,
        )
    return table


def print_sci(sci: Sci) -> None:
    """Print the score, its terms, what is counted and what is left out."""
    console = to_stdout(LEAST_WIDTH)
    console.print()
    console.print("SCI by ISO/IEC 21031:2024, (O + M) per R:", soft_wrap=True)
    table = plain_table(("", "what", "value", "unit", "how"), ("", "what", "unit", "how"))
    fold_text(table)
    for figure in sci.figures:
        value, unit = with_unit(figure)
        table.add_row(figure.symbol, figure.name, value, unit, figure.method)
    console.print(table)
    console.print()
    console.print("Counted:")
    for line in sci.boundary or ("nothing: no stage ran",):
        console.print(f"  {line}", soft_wrap=True)
    console.print("Left out:")
    for line in sci.left_out:
        console.print(f"  {line}", soft_wrap=True)


def with_unit(figure: Figure) -> tuple[str, str]:
    """The value of a figure and its unit, grams in one that suits them."""
    if figure.value and figure.unit.startswith("gCO2eq") and figure.symbol != "I":
        unit, unit_g = mass_unit(figure.value)
        return number(figure.value / unit_g), unit + figure.unit.removeprefix("g")
    return number(figure.value), figure.unit


def print_csv(report: Report) -> None:
    """Print the groups, or the total where nothing is grouped by."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([report.by or "group", *CSV_COLUMNS])
    for group in report.groups if report.by else (report.total,):
        values = group.to_dict()
        methods = {f"{name}_g": grams for name, grams in values["g_by_method"].items()}
        values = values | values["energy"] | methods
        writer.writerow([group.name, *(values[column] for column in CSV_COLUMNS)])
    click.echo(text.getvalue(), nl=False)


def window_text(report: Report) -> str:
    """The time that was asked for, in words."""
    since, until = time_text(report.since_s), time_text(report.until_s)
    if since and until:
        return f"from {since} until {until}"
    if since:
        return f"since {since}"
    return f"until {until}" if until else "at any time"


def number(value: float | None) -> str:
    """Four digits of it, or all before the point; all of what is counted."""
    if value is None:
        return "-"
    if value == 0 or isinstance(value, int):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < math.inf else f"{value:#.4g}"


def _percentage(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"
