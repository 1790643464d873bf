"""What all printed tables have in common."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from carbonedge.experiments.sweep import SWEPT

__all__ = ["LEAST_WIDTH", "fold_text", "new_console", "new_table"]

PLAIN_WIDTH = 120
"""Of output that goes to no terminal, where rich would assume 80."""

LEAST_WIDTH = 80
"""Of tables of numbers: in a narrower terminal lines break, for a number cut short misleads."""

TEXT_COLUMNS = (
    "",
    "mode",
    "placement",
    "node use",
    "node",
    "zone",
    "link",
    "then crosses",
    "runs on",
    "baseline",
    "passed over",
    "type",
    "slowest",
    "why",
    "file",
    "takes",
    "gives",
    "model",
    "hour",
    "how",
    "energy by",
    "intensity by",
    "what",
    "unit",
    *SWEPT,
)


def new_console(least_width: int = 0) -> Console:
    """A console on stdout, as wide as the terminal but at least so wide."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    # Names are the user's: brackets and colons in them mean nothing to rich.
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, least_width)
    return console


def fold_text(table: Table) -> None:
    """Names that are too wide fold before a number gives way."""
    for column in table.columns:
        column.no_wrap = column.justify == "right"
        column.overflow = "fold"


def new_table(*columns: str) -> Table:
    """A table without lines, its numbers to the right."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        text = column in TEXT_COLUMNS
        table.add_column(column, justify="left" if text else "right", no_wrap=text)
    return table
