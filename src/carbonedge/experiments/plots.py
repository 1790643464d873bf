"""The plot of a sweep."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from carbonedge.experiments.figures import (
    check_plot_path,
    mass_unit,
    new_figure,
    save_figure,
    shortened,
)
from carbonedge.experiments.sweep import SWEPT, Choice, Step, Sweep, starts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["save_sweep_plot", "sweep_figure"]

COLOURS = {"paper": "#b5541c", "normalized": "#1b6f5c"}
HEADROOM = 1.1
SLANTED_GAP = 0.1
"""Between names, in weight of carbon; nearer ones stand upright."""
SMALLEST_GAP = 0.024
"""Names nearer than that to the one before would cover it and are left out."""


def save_sweep_plot(sweep: Sweep, path: str | os.PathLike[str]) -> None:
    """Write the plot of a sweep to a file.

    Parameters
    ----------
    sweep
        From `sweep_carbon`.
    path
        Ends in one of `PLOT_SUFFIXES`, which says what is written.

    Raises
    ------
    ValueError
        If it ends otherwise.
    BackendUnavailableError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    check_plot_path(path)
    save_figure(sweep_figure(sweep), path)


def sweep_figure(sweep: Sweep) -> Figure:
    """Emissions above latency, a column for each scoring, the nodes' names on top.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(10, 6)
    figure.suptitle("Where a task goes as carbon counts for more")
    axes = figure.subplots(2, len(SWEPT), sharex=True, sharey="row", squeeze=False)
    unit, unit_g = mass_unit(_highest(sweep, lambda choice: choice.emissions_g))
    for (above, below), scoring in zip(axes.T, SWEPT, strict=True):
        _draw(above, sweep, scoring, lambda choice: choice.emissions_g / unit_g)
        _draw(below, sweep, scoring, lambda choice: choice.latency_ms)
        _name_nodes(above, sweep, scoring)
        above.set_title(f"scoring: {scoring}", fontweight="bold")
        below.set_xlabel("weight of carbon, w_C")
    axes[0, 0].set_ylabel(f"emissions per task, {unit}CO2eq")
    axes[1, 0].set_ylabel("latency per task, ms")
    return figure


def _highest(sweep: Sweep, value: Callable[[Choice], float]) -> float:
    return max(value(choice) for step in sweep.steps for choice in step.choices.values())


def _draw(axes: Axes, sweep: Sweep, scoring: str, value: Callable[[Choice], float]) -> None:
    colour = COLOURS[scoring]
    axes.step(
        [step.weights.carbon for step in sweep.steps],
        [value(step.choices[scoring]) for step in sweep.steps],
        where="post",
        color=colour,
        linewidth=2,
    )
    for step in starts(sweep, scoring):
        axes.axvline(step.weights.carbon, color="0.6", linewidth=0.8, linestyle=":")
        axes.plot(step.weights.carbon, value(step.choices[scoring]), "o", color=colour)
    axes.set_ylim(0, _highest(sweep, value) * HEADROOM or 1)
    # An offset factored out by matplotlib would land on the nodes' names.
    axes.yaxis.set_major_formatter("{x:.4g}")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _name_nodes(axes: Axes, sweep: Sweep, scoring: str) -> None:
    named: list[Step] = []
    narrowest = 1.0
    for step in starts(sweep, scoring):
        gap = step.weights.carbon - named[-1].weights.carbon if named else 1.0
        if gap >= SMALLEST_GAP:
            named.append(step)
            narrowest = min(narrowest, gap)
    slanted = narrowest >= SLANTED_GAP
    names = axes.secondary_xaxis("top")
    names.set_xticks(
        [step.weights.carbon for step in named],
        [shortened(step.choices[scoring].node) for step in named],
        rotation=30 if slanted else 90,
        rotation_mode="anchor",
        ha="left",
        va="baseline" if slanted else "center",
        fontsize=9 if slanted else 7,
        color=COLOURS[scoring],
        # Names are the user's: dollars in them are no formula.
        parse_math=False,
    )
    names.spines["top"].set_visible(False)
