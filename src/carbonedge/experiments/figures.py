"""What all plots have in common; matplotlib is loaded by the first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from carbonedge.exceptions import BackendUnavailableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PLOT_SUFFIXES",
    "check_plot_path",
    "mass_unit",
    "new_figure",
    "save_figure",
    "shortened",
    "tidy_axes",
]

PLOT_SUFFIXES = (".png", ".svg")

LONGEST_NAME = 32
MASS_UNITS_G = (("g", 1.0), ("mg", 1e-3), ("µg", 1e-6), ("ng", 1e-9))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendUnavailableError(
            'matplotlib is not installed: pip install "carbonedge[plot]"'
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def check_plot_path(path: str | os.PathLike[str]) -> None:
    """Check that a name says what is to be written.

    Raises
    ------
    ValueError
        If it ends in none of `PLOT_SUFFIXES`.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in PLOT_SUFFIXES:
        raise ValueError(
            f"the plot {os.fspath(path)!r} ends in {suffix!r}: "
            f"name a file that ends in {' or '.join(PLOT_SUFFIXES)}"
        )


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file whose name was checked.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure.savefig(path, format=Path(path).suffix.lower().removeprefix("."), dpi=150)


def mass_unit(most_g: float) -> tuple[str, float]:
    """The largest unit in which the highest emissions are 1 or more, else the smallest."""
    return next((unit for unit in MASS_UNITS_G if most_g >= unit[1]), MASS_UNITS_G[-1])


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that leaves room for the plot."""
    return name if len(name) <= longest else name[: longest - 3] + "..."


def tidy_axes(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """A light grid behind what is drawn, and no frame above and to the right of it."""
    axes.grid(axis=grid, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
