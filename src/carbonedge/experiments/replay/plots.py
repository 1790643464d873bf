"""The plots of a replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from carbonedge.experiments.figures import mass_unit, new_figure, shortened, tidy_axes
from carbonedge.experiments.replay.results import PolicyResult, Replay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["hours_figure", "latency_figure", "months_figure", "worth_figure"]

WIDTH = 4.8
"""In inches: a telephone's, where letters are then as large as those around the plot."""

ORACLE_COLOUR = "#1d2622"
COLOURS = {
    "performance": "#b5541c",
    "balanced": "#d4a017",
    "green": "#6b8e23",
    "constrained": "#1b6f5c",
    "always-cleanest": "#5b4a9e",
    "always-nearest": "#a33b5e",
}
MARKERS = {
    "performance": "s",
    "balanced": "D",
    "green": "o",
    "constrained": "P",
    "always-cleanest": "^",
    "always-nearest": "v",
}
DASHES = {"always-nearest": (0, (5, 3)), "always-cleanest": (0, (5, 3))}
"""Their lines often lie upon another policy's, which shows through."""
ZONE_COLOURS = ("#2f6db5", "#b5541c", "#1b6f5c", "#a33b5e", "#d4a017", "#5b4a9e", "#6b8e23")
MOST_ZONES = len(ZONE_COLOURS)
MANY_MONTHS = 8


def months_figure(replay: Replay) -> Figure:
    """Emissions of each policy by month.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(WIDTH, 3.6)
    axes = figure.subplots()
    _draw_emissions(axes, replay, lambda result: result.by_month_g, "month")
    places = range(len(replay.months))
    every = -(-len(replay.months) // 12)
    shown = [place for place in places if place % every == 0]
    axes.set_xticks(
        shown,
        [replay.months[place] for place in shown],
        rotation=45 if len(replay.months) > MANY_MONTHS // 2 else 0,
        rotation_mode="anchor",
        ha="right" if len(replay.months) > MANY_MONTHS // 2 else "center",
    )
    _legend(figure, axes, 3)
    return figure


def hours_figure(replay: Replay) -> Figure:
    """Emissions of each policy by hour of the day, above the intensity of each zone.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(WIDTH, 5.6)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    _draw_emissions(above, replay, lambda result: result.by_hour_g, "hour of the day")
    for zone, colour in zip(replay.zones, ZONE_COLOURS, strict=False):
        below.plot(range(24), zone.by_hour_g_per_kwh, color=colour, label=shortened(zone.name, 20))
    highest = max(max(zone.by_hour_g_per_kwh) for zone in replay.zones)
    # Room for the names of zones.
    below.set_ylim(0, 1.4 * highest or 1.0)
    below.set_ylabel("intensity, gCO2eq/kWh")
    below.set_xlabel("hour of the day, UTC")
    below.set_xticks(range(0, 24, 3))
    tidy_axes(below, "both")
    below.legend(ncols=2, frameon=False, fontsize=8, handlelength=1.2, loc="upper center")
    _legend(figure, above, 3)
    return figure


def latency_figure(replay: Replay) -> Figure:
    """Emissions of each policy against its latency, from the median to the 99th percentile.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(WIDTH, 3.8)
    axes = figure.subplots()
    unit, unit_g = mass_unit(_most(replay, lambda result: (result.emissions_g,)))
    for result, colour, _ in _styled(replay):
        grams = result.emissions_g / unit_g
        marker = MARKERS.get(result.name, "*")
        axes.plot(
            (result.latency_median_ms, result.latency_p99_ms),
            (grams, grams),
            color=colour,
            linewidth=1.5,
            alpha=0.6,
        )
        axes.plot(
            result.latency_median_ms,
            grams,
            marker,
            color=colour,
            markersize=8,
            markerfacecolor="none",
            markeredgewidth=1.8,
            label=result.name,
        )
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08)
    axes.set_xlabel("latency, ms: median (marker) to 99th percentile")
    axes.set_ylabel(f"{unit}CO2eq in all")
    tidy_axes(axes, "both")
    _legend(figure, axes, 3)
    return figure


def worth_figure(replay: Replay) -> Figure:
    """What running requests in other zones saves, by the extra latency that is tolerated.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    figure = new_figure(WIDTH, 3.6)
    axes = figure.subplots()
    places = range(len(replay.worth))
    axes.bar(
        places,
        [100 * worth.saving for worth in replay.worth],
        width=0.6,
        color="#cfe0d9",
        label="all requests",
    )
    zones = [zone.name for zone in replay.zones][:MOST_ZONES]
    for place, (zone, colour) in enumerate(zip(zones, ZONE_COLOURS, strict=False)):
        beside = (place + 0.5) / len(zones) - 0.5
        axes.plot(
            [at + 0.5 * beside for at in places],
            [100 * worth.saving_by_zone[zone] for worth in replay.worth],
            "o",
            color=colour,
            markersize=5,
            label=f"from {shortened(zone, 20)}",
        )
    axes.set_xticks(
        places, [f"{worth.extra_ms:g} ms\n{worth.saving:.1%}" for worth in replay.worth]
    )
    axes.set_xlabel("latency tolerated above the nearest node, and saved in all")
    axes.set_ylabel("emissions saved, %")
    axes.set_ylim(0, max(10.0, *(_savings(replay))) * 1.12)
    tidy_axes(axes, "y")
    _legend(figure, axes, 3)
    return figure


def _savings(replay: Replay) -> Iterator[float]:
    for worth in replay.worth:
        yield from (100 * saving for saving in (worth.saving, *worth.saving_by_zone.values()))


def _styled(replay: Replay) -> Iterator[tuple[PolicyResult, str, Any]]:
    """Each policy, the oracle last, with its colour and the pattern of its line."""
    for result in replay.policies:
        yield result, COLOURS[result.name], DASHES.get(result.name, "-")
    yield replay.oracle, ORACLE_COLOUR, ":"


def _most(replay: Replay, values: Callable[[PolicyResult], Sequence[float]]) -> float:
    return max(max(values(result)) for result in (*replay.policies, replay.oracle))


def _draw_emissions(
    axes: Axes, replay: Replay, values: Callable[[PolicyResult], Sequence[float]], per: str
) -> None:
    unit, unit_g = mass_unit(_most(replay, values))
    for result, colour, dashes in _styled(replay):
        grams = [value / unit_g for value in values(result)]
        axes.plot(
            range(len(grams)),
            grams,
            color=colour,
            linestyle=dashes,
            linewidth=1.8,
            marker="o" if len(grams) == 1 else None,
            label=result.name,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{unit}CO2eq per {per}")
    tidy_axes(axes, "both")


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=1.6,
        columnspacing=1.2,
    )
