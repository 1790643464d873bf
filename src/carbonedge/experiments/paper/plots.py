"""The figures of the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbonedge.experiments.figures import mass_unit, new_figure, tidy_axes
from carbonedge.experiments.paper.published import TABLE_2, over_monolithic
from carbonedge.experiments.paper.result import ModelResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["efficiency_figure", "front_figure"]

OURS_COLOUR, PUBLISHED_COLOUR, FRONT_COLOUR = "#1b6f5c", "0.72", "#1b6f5c"
SCORING_MARKS = {
    "paper": ("s", "#b5541c"),
    "normalized": ("o", "#2f6db5"),
    "constrained": ("^", "#7a4fa3"),
}
BAR = 0.38


def efficiency_figure(model: ModelResult) -> Figure:
    """Figure 2: inferences per gram over monolithic's, published and here.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    mine = {
        one.routing.name: 1 / (1 - model.reduction(one))
        for one in model.routed
        if one.routing.name in TABLE_2 and one.routing.scoring in ("paper", None)
    }
    names = [name for name in TABLE_2 if name in mine]
    places = range(len(names))
    for offset, values, colour, label in (
        (-BAR / 2, [over_monolithic(name) for name in names], PUBLISHED_COLOUR, "published"),
        (BAR / 2, [mine[name] for name in names], OURS_COLOUR, "here"),
    ):
        bars = axes.bar(
            [place + offset for place in places], values, BAR, color=colour, label=label
        )
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    axes.axhline(1, color="0.4", linewidth=0.8)
    axes.set_xticks(list(places), names)
    axes.set_ylabel("inferences per gram,\nmonolithic = 1")
    axes.margins(y=0.15)
    tidy_axes(axes, "y")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def front_figure(model: ModelResult) -> Figure:
    """The exact front, the plans that were run, and where each mode lies.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    highest_g = max(
        *(plan.emissions_g for plan in model.front),
        *(one.emissions_g.mean for one in model.routed),
    )
    unit, unit_g = mass_unit(highest_g)
    axes.plot(
        [plan.latency_ms for plan in model.front],
        [plan.emissions_g / unit_g for plan in model.front],
        drawstyle="steps-post",
        color=FRONT_COLOUR,
        linewidth=1.5,
        label=f"exact front, predicted: {len(model.front)} plans",
    )
    for number, one in enumerate(model.tried):
        axes.errorbar(
            one.latency_ms.mean,
            one.emissions_g.mean / unit_g,
            xerr=one.latency_ms.half_width,
            yerr=(one.emissions_g.half_width or 0) / unit_g,
            fmt="D",
            markersize=5,
            color=FRONT_COLOUR,
            elinewidth=0.8,
            capsize=2,
            label=None if number else "plans of it, run",
        )
    for scoring, (mark, colour) in SCORING_MARKS.items():
        rows = [one for one in model.routed if one.routing.scoring == scoring]
        axes.plot(
            [one.latency_ms.mean for one in rows],
            [one.emissions_g.mean / unit_g for one in rows],
            mark,
            color=colour,
            fillstyle="none",
            markersize=10 if scoring == "paper" else 7,
            markeredgewidth=1.4,
            label=f"modes, scoring {scoring}",
        )
    monolithic = model.row("monolithic")
    axes.plot(
        monolithic.latency_ms.mean,
        monolithic.emissions_g.mean / unit_g,
        "k+",
        markersize=11,
        label="monolithic",
    )
    axes.set_xlabel("latency of one inference, ms")
    axes.set_ylabel(f"emissions of one inference, {unit}CO2eq")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    tidy_axes(axes, "both")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
