"""The terminal, and tables that fit it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table

__all__ = ["LEAST_WIDTH", "fold_text", "plain_table", "to_stdout"]

PLAIN_WIDTH = 120
"""Of output that goes to no terminal, where rich would assume 80."""

LEAST_WIDTH = 80
"""Of tables of numbers: in a narrower terminal lines break, for a number cut short misleads."""


def to_stdout(least_width: int = 0) -> Console:
    """A console that prints what it is given as it is, as wide as the terminal."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    # Names are the user's: brackets and colons in them mean nothing to rich.
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    if least_width:  # once set, a width no longer follows the terminal's
        console.width = max(console.width, least_width)
    return console


def plain_table(columns: Sequence[str], text: Collection[str]) -> Table:
    """A table without lines; columns of text stand to the left, numbers to the right."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        is_text = column in text
        table.add_column(column, justify="left" if is_text else "right", no_wrap=is_text)
    return table


def fold_text(table: Table) -> None:
    """Names that are too wide fold before a number gives way."""
    for column in table.columns:
        column.no_wrap = column.justify == "right"
        column.overflow = "fold"
