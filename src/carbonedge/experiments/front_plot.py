"""The plot of a front and its baselines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from carbonedge.experiments.figures import (
    check_plot_path,
    mass_unit,
    new_figure,
    save_figure,
    shortened,
)
from carbonedge.experiments.front import Front
from carbonedge.planning import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["front_figure", "save_front_plot"]

FRONT_COLOUR, WHOLE_COLOUR, CHOSEN_COLOUR = "#1b6f5c", "0.25", "#d4a017"
STRATEGY_MARKS = {"paper": ("X", "#b5541c"), "greedy": ("^", "#5b4a9e")}
NAME_POINTS = 9
"""Size of names, of which a letter takes about 0.6 in width."""
MARK_POINTS = 5
"""Half the size of a mark."""
NAME_OFFSETS = (
    (7, 7),
    (9, -4),
    (7, 19),
    (-20, 10),
    (7, -17),
    (7, 31),
    (-20, -20),
    (7, -29),
    (7, 43),
)
"""In points from the mark; the first at which a name covers none before it is taken."""
WIDE = 20
"""Latencies or emissions that differ by more are drawn on a logarithmic axis."""
MOST_MARKS = 60
"""Longer fronts are drawn as a line without a mark for each plan."""


def save_front_plot(
    front: Front, path: str | os.PathLike[str], *, chosen: Plan | None = None
) -> None:
    """Write the plot of a front to a file.

    Parameters
    ----------
    front
        From `compare_with_front`.
    path
        Ends in .png or .svg, which says what is written.
    chosen
        A plan to point out.

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
    save_figure(front_figure(front, chosen=chosen), path)


def front_figure(front: Front, *, chosen: Plan | None = None) -> Figure:
    """Emissions against latency: the front, the baselines, and the model whole on each node.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(9, 6)
    axes = figure.subplots()
    baselines = [baseline.plan for baseline in front.baselines if baseline.plan is not None]
    shown = [*front.plans, *baselines, *([chosen] if chosen else [])]
    unit, unit_g = mass_unit(max(plan.emissions_g for plan in shown))

    def points(plans: Sequence[Plan]) -> tuple[list[float], list[float]]:
        return [p.latency_ms for p in plans], [p.emissions_g / unit_g for p in plans]

    splits = sum(len(plan.stages) > 1 for plan in front.plans)
    axes.plot(
        *points(front.plans),
        color=FRONT_COLOUR,
        drawstyle="steps-post",
        marker="o" if len(front.plans) <= MOST_MARKS else None,
        markersize=4,
        linewidth=1.5,
        label=f"front: {_counted(len(front.plans), 'plan')}, {splits} of them split",
    )
    for name, (mark, colour) in STRATEGY_MARKS.items():
        made = [b.plan for b in front.baselines if b.name == name and not b.whole and b.plan]
        said = _counted(len(made[0].stages), "stage") if made else "no plan"
        axes.plot(
            *points(made),
            mark,
            color=colour,
            markersize=8,
            label=f"strategy {name}: {said}",
            zorder=4,
        )
    whole = [b for b in front.baselines if b.whole and b.plan is not None]
    unable = sum(b.whole and b.plan is None for b in front.baselines)
    if whole:
        axes.plot(
            *points([b.plan for b in whole if b.plan is not None]),
            "s",
            color=WHOLE_COLOUR,
            markersize=12,
            fillstyle="none",
            markeredgewidth=1.5,
            label="whole model on one node" + (f" ({unable} cannot)" if unable else ""),
            zorder=3,
        )
    if chosen is not None:
        axes.plot(
            *points([chosen]),
            "*",
            color=CHOSEN_COLOUR,
            markeredgecolor="black",
            markersize=15,
            label=f"plan chosen: {_counted(len(chosen.stages), 'stage')}",
            zorder=5,
        )
    axes.set_xlabel("latency of one inference, ms")
    axes.set_ylabel(f"emissions of one inference, {unit}CO2eq")
    proven = "" if front.plans[0].optimal else ", as far as was found in time"
    axes.set_title(f"What splitting buys: no plan lies below the front{proven}", loc="left")
    _scale(axes, *points(shown))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    _name_points(
        figure,
        axes,
        [(shortened(b.name), *points([b.plan])) for b in whole if b.plan is not None],
        list(zip(*points(baselines), strict=True)),
    )
    return figure


def _scale(axes: Axes, latencies_ms: Sequence[float], emissions: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    for axis, values, set_limits in (
        ("x", latencies_ms, axes.set_xlim),
        ("y", emissions, axes.set_ylim),
    ):
        low, high = min(values), max(values)
        if low > 0 and high / low > WIDE:
            axes.set(**{f"{axis}scale": "log"})
            set_limits(low / 1.3, high * 1.6)
            ticks = getattr(axes, f"{axis}axis")
            ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ticks.set_major_formatter("{x:g}")
            ticks.set_minor_formatter(NullFormatter())
        else:
            room = 0.12 * (high - low) or 0.1 * high or 1.0
            # More to the right and on top, where names stand.
            set_limits(max(0.0, low - room), high + 1.5 * room)


def _name_points(
    figure: Figure,
    axes: Axes,
    named: Sequence[tuple[str, list[float], list[float]]],
    marked: Sequence[tuple[float, float]],
) -> None:
    """Write names beside points so that they cover neither marks nor each other."""
    figure.draw_without_rendering()
    points_per_pixel = 72 / figure.dpi
    edge = axes.bbox.x1 * points_per_pixel
    taken: list[tuple[float, float, float, float]] = []
    for mark in marked:
        across, up = axes.transData.transform(mark) * points_per_pixel
        taken.append(
            (across - MARK_POINTS, up - MARK_POINTS, across + MARK_POINTS, up + MARK_POINTS)
        )
    for name, (x,), (y,) in named:
        across, up = axes.transData.transform((x, y)) * points_per_pixel
        width, height = 0.6 * NAME_POINTS * len(name), 1.2 * NAME_POINTS
        # Right of the mark where there is room, else left of it.
        boxes = [
            (offset, (across + right, up + above, across + right + width, up + above + height))
            for side in (0.0, -width - 2 * NAME_OFFSETS[0][0])
            for offset in ((right + side, above) for right, above in NAME_OFFSETS)
            for right, above in (offset,)
        ]
        offset, box = next(
            (
                (at, box)
                for at, box in boxes
                if box[2] <= edge and not any(_overlap(box, other) for other in taken)
            ),
            boxes[0],
        )
        taken.append(box)
        axes.annotate(
            name,
            (x, y),
            xytext=offset,
            textcoords="offset points",
            fontsize=NAME_POINTS,
            color=WHOLE_COLOUR,
            # Names are the user's: dollars in them are no formula.
            parse_math=False,
            # The layout for which room was found is to stay.
            in_layout=False,
        )


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
