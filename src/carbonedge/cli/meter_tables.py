"""What is printed of meters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from carbonedge.carbon.energy import MeterStatus
from carbonedge.carbon.energy.choice import AUTOMATIC
from carbonedge.cli.console import plain_table, to_stdout

__all__ = ["print_meters"]

TEXT_COLUMNS = ("meter", "available", "joules are", "covers", "not there", "why")


def print_meters(found: Sequence[MeterStatus]) -> None:
    """Print which meters there are, which are not and why."""
    console = to_stdout()
    table = plain_table(("meter", "available", "joules are", "us/read", "covers"), TEXT_COLUMNS)
    _fold_last(table)
    for meter in found:
        table.add_row(
            meter.name,
            "yes" if meter.available else "no",
            meter.method or "-",
            "-" if meter.read_us is None else f"{meter.read_us:.1f}",
            _covers(meter.covers) or "-",
        )
    console.print(table)
    absent = plain_table(("not there", "why"), TEXT_COLUMNS)
    _fold_last(absent)
    for meter in found:
        if not meter.available:
            absent.add_row(meter.name, meter.reason)
    if absent.rows:
        console.print()
        console.print(absent)
    there = {meter.name for meter in found if meter.available}
    firsts = [[kind for kind in group if kind in there][:1] for group in AUTOMATIC]
    taken = [kind for first in firsts for kind in first]
    console.print()
    console.print(
        f'The meter "auto" takes {" and ".join(taken) or "none of them"}. '
        "us/read: median of reads 60 ms apart.",
        style="dim",
        soft_wrap=True,
    )


def _covers(counters: Mapping[str, Sequence[str]]) -> str:
    """Components, with the names of counters that say more."""
    return ", ".join(
        component if list(names) == [component] else f"{component} ({', '.join(names)})"
        for component, names in counters.items()
    )


def _fold_last(table: Table) -> None:
    """Where the terminal is narrow only the last column folds; the others are short."""
    for column in table.columns:
        column.no_wrap = True
    table.columns[-1].no_wrap = False
    table.columns[-1].overflow = "fold"
