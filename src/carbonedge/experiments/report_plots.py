"""The plots of a report."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from carbonedge.carbon.ledger_window import Cell, Window
from carbonedge.carbon.report_data import Group
from carbonedge.experiments.figures import mass_unit, new_figure, shortened, tidy_axes
from carbonedge.units import MS_PER_HOUR, MS_PER_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "history_figure",
    "load_figure",
    "nodes_figure",
    "plot_step_s",
    "step_name",
    "svg_text",
]

WIDTH = 4.8
"""In inches: a telephone's, where letters are then as large as those around the plot."""
COLOURS = ("#1b6f5c", "#b5541c", "#5b4a9e", "#d4a017", "#2f6db5", "#a33b5e", "#6b8e23")
OTHERS_COLOUR = "0.65"
OTHERS = "others"
KIND_COLOURS = {"operational": "#1b6f5c", "links": "#2f6db5", "embodied": "#c9b037"}
MOST_STEPS = 60
STEPS_S = (1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800, 2_419_200)
MOST_BARS = 12
MOST_PANELS = 6
PANEL_LETTERS = 22
LEGEND_LETTERS = 50
"""As many fit side by side."""
DAY_S = 86_400
SECONDS_PER_HOUR = MS_PER_HOUR / MS_PER_S


def plot_step_s(first_s: float, last_s: float, most: int = MOST_STEPS) -> float:
    """The step in which so long a time is shown; each is a multiple of the smaller ones."""
    return next((step for step in STEPS_S if last_s - first_s <= most * step), STEPS_S[-1])


def history_figure(window: Window, step_s: float) -> Figure:
    """Emissions over time, stacked by node.

    Parameters
    ----------
    window
        In steps that the next is a multiple of.
    step_s
        What a bar stands for.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    grams: dict[str, dict[float, list[float]]] = {}
    names = _coloured(window.cells)
    for cell in window.cells:
        node = cell.origin.node if cell.origin.node in names else OTHERS
        bars = grams.setdefault(node, {})
        bars.setdefault(cell.start_s // step_s * step_s, []).append(cell.emissions_g)
    starts = sorted({start for bars in grams.values() for start in bars})
    heights = {
        node: [math.fsum(grams[node].get(start, ())) for start in starts]
        for node in (*names, OTHERS)
        if node in grams
    }
    unit, unit_g = mass_unit(max(map(sum, zip(*heights.values(), strict=True)), default=1.0))
    widest = max((len(shortened(node)) for node in heights), default=0)
    columns = max(1, LEGEND_LETTERS // (widest + 4))
    figure = new_figure(WIDTH, 2.6 + 0.2 * math.ceil(len(heights) / columns))
    axes = figure.subplots()
    bottom = [0.0] * len(starts)
    for node, height in heights.items():
        axes.bar(
            [start / DAY_S for start in starts],
            [value / unit_g for value in height],
            width=step_s / DAY_S,
            bottom=bottom,
            align="edge",
            color=names.get(node, OTHERS_COLOUR),
            linewidth=0.3,
            edgecolor="white",
            label=shortened(node),
        )
        bottom = [low + value / unit_g for low, value in zip(bottom, height, strict=True)]
    axes.set_ylabel(f"{unit}CO2eq per {step_name(step_s)}")
    _date_axis(axes)
    tidy_axes(axes, "y")
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, handlelength=1)
    return figure


def nodes_figure(groups: Sequence[Group]) -> Figure:
    """Emissions of each node, by what they are of.

    Parameters
    ----------
    groups
        Of nodes, the most emissions first.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    bars = [
        (shortened(group.name), group.operational_g, group.transfer_g, group.embodied_g)
        for group in groups[:MOST_BARS]
    ]
    if len(groups) > MOST_BARS:
        rest = groups[MOST_BARS:]
        bars.append(
            (
                f"{len(rest)} {OTHERS}",
                math.fsum(group.operational_g for group in rest),
                math.fsum(group.transfer_g for group in rest),
                math.fsum(group.embodied_g for group in rest),
            )
        )
    figure = new_figure(WIDTH, 1.1 + 0.32 * len(bars))
    axes = figure.subplots()
    unit, unit_g = mass_unit(max((sum(grams) for _, *grams in bars), default=1.0))
    left = [0.0] * len(bars)
    for place, (kind, colour) in enumerate(KIND_COLOURS.items(), start=1):
        widths = [float(bar[place]) / unit_g for bar in bars]
        if any(widths):
            axes.barh(range(len(bars)), widths, left=left, height=0.7, color=colour, label=kind)
        left = [low + width for low, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars])
    axes.invert_yaxis()
    axes.set_xlabel(f"{unit}CO2eq")
    tidy_axes(axes, "x")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, handlelength=1)
    return figure


def load_figure(window: Window, step_s: float) -> Figure:
    """Requests per hour against carbon intensity, a small plot for each of the busiest nodes.

    Parameters
    ----------
    window
        In steps that the next is a multiple of.
    step_s
        What a point stands for.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    points = _loads(window.cells, step_s)
    busiest = sorted(points, key=lambda node: (-sum(y for _, y in points[node]), node))
    shown = busiest[:MOST_PANELS]
    colours = _coloured(window.cells)
    columns = min(2, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    figure = new_figure(WIDTH, 0.9 + 1.7 * rows)
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes, node in zip(panels, shown, strict=False):
        axes.plot(
            *zip(*points[node], strict=True),
            "o",
            color=colours.get(node, OTHERS_COLOUR),
            markersize=3.5,
            alpha=0.6,
            markeredgewidth=0,
        )
        axes.set_title(shortened(node, PANEL_LETTERS), fontsize=10, loc="left")
        axes.yaxis.set_major_formatter("{x:,.6g}")
        tidy_axes(axes, "both")
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    # Limits are shared, and fitting them ends with the first that is set.
    panels[0].set_xlim(left=0)
    panels[0].set_ylim(bottom=0)
    figure.supxlabel("carbon intensity, gCO2eq/kWh", fontsize=10)
    figure.supylabel("requests per hour", fontsize=10)
    return figure


def svg_text(figure: Figure, name: str) -> str:
    """A figure as an SVG element; the same figure gives the same text.

    Parameters
    ----------
    figure
        To draw.
    name
        Keeps its identifiers apart from those of others on the page.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for words in figure.findobj(Text):
        # Names are the user's: dollars in them are no formula.
        words.set_parse_math(False)
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _coloured(cells: Iterable[Cell]) -> Mapping[str, str]:
    """The nodes with the most emissions, and their colours."""
    grams: dict[str, list[float]] = {}
    for cell in cells:
        grams.setdefault(cell.origin.node, []).append(cell.emissions_g)
    nodes = sorted(grams, key=lambda node: (-math.fsum(grams[node]), node))
    return dict(zip(nodes, COLOURS, strict=False))


def _loads(cells: Iterable[Cell], step_s: float) -> dict[str, list[tuple[float, float]]]:
    """Intensity and requests per hour of each node, at each step with energy."""
    members: dict[tuple[str, float], list[Cell]] = {}
    for cell in cells:
        key = (cell.origin.node, cell.start_s // step_s * step_s)
        members.setdefault(key, []).append(cell)
    points: dict[str, list[tuple[float, float]]] = {}
    for (node, _), some in members.items():
        joules = math.fsum(cell.energy_j for cell in some)
        if joules:
            intensity = math.fsum(cell.sums.intensity_j for cell in some) / joules
            requests = sum(cell.sums.entries for cell in some) * SECONDS_PER_HOUR / step_s
            points.setdefault(node, []).append((intensity, requests))
    return points


def step_name(step_s: float) -> str:
    """A step in words, such as ``"hour"`` or ``"5 minutes"``."""
    for unit_s, unit in ((604_800, "week"), (DAY_S, "day"), (3600, "hour"), (60, "minute")):
        if step_s >= unit_s and step_s % unit_s == 0:
            count = int(step_s // unit_s)
            return unit if count == 1 else f"{count} {unit}s"
    return "second" if step_s == 1 else f"{step_s:g} seconds"


def _date_axis(axes: Axes) -> None:
    from datetime import UTC

    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    formatter = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
