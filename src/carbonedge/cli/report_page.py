"""A report as one page of HTML that needs nothing else."""

from __future__ import annotations

import math
import os
from pathlib import Path

import carbonedge
from carbonedge.carbon.ledger_tables import HOUR_S
from carbonedge.carbon.ledger_window import Window, read_window
from carbonedge.carbon.report import summary
from carbonedge.carbon.report_data import Grouping, Report, time_text
from carbonedge.carbon.sci import Sci, sci
from carbonedge.cli.pages import html_list, html_page, html_plot, html_table, html_text
from carbonedge.cli.report_tables import number, window_text, with_unit
from carbonedge.experiments.figures import mass_unit
from carbonedge.experiments.report_plots import (
    history_figure,
    load_figure,
    nodes_figure,
    plot_step_s,
    step_name,
)

__all__ = ["report_page"]

MOST_ROWS = 200
MOST_POINTS = 400
TITLES: dict[Grouping, str] = {
    "node": "By node",
    "zone": "By zone",
    "model": "By model",
    "hour": "By hour",
}


def report_page(path: str | os.PathLike[str], window: Window, *, mixed: bool = False) -> str:
    """The whole page.

    Parameters
    ----------
    path
        The ledger.
    window
        What of it to show, in hours.
    mixed
        As for `report`.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    ValueError
        If intensities would be mixed.
    """
    by_node = summary(window, by="node", mixed=mixed)
    groups = {by: summary(window, by=by, mixed=mixed) for by in TITLES}
    scored = sci(by_node)
    parts = [
        f"<h1>Carbon report</h1>\n<p>{html_text(_subtitle(path, by_node))}</p>",
    ]
    if by_node.total.stages:
        parts += [
            _cards(by_node, scored),
            _plots(path, window, by_node),
            *(_group_table(groups[by], title) for by, title in TITLES.items()),
        ]
    parts += [_sci(scored), _provenance(by_node)]
    return html_page(f"Carbon report: {Path(path).name}", parts)


def _subtitle(path: str | os.PathLike[str], report: Report) -> str:
    total = report.total
    if not total.stages:
        return f"No stage ran {window_text(report)} in {os.fspath(path)}."
    asked = "" if report.since_s is report.until_s is None else f" ({window_text(report)})"
    return (
        f"{total.inferences:,} inferences from {time_text(report.first_s)} to "
        f"{time_text(report.last_s)}{asked}, in {os.fspath(path)}."
    )


def _grams(grams: float | None) -> str:
    if not grams:
        return "-" if grams is None else "0 g"
    unit, unit_g = mass_unit(grams)
    return f"{number(grams / unit_g)} {unit}"


def _cards(report: Report, scored: Sci) -> str:
    total = report.total
    cards = (
        (_grams(total.emissions_g), f"CO2eq in all ({total.method})"),
        (_grams(scored.score_g), f"CO2eq per inference, the SCI score ({total.method})"),
        (number(total.inferences_per_g), "inferences per gram"),
        (f"{number(total.energy.total_j)} J", "of nodes, links and facilities"),
        (f"{number(total.latency_ms)} ms", "an inference, its stages one after another"),
        (number(total.intensity_g_per_kwh), "gCO2eq/kWh, the mean intensity"),
    )
    items = "\n".join(
        f"<li><b>{html_text(value)}</b>{html_text(what)}</li>" for value, what in cards
    )
    return f'<ul class="cards">\n{items}\n</ul>'


def _plots(path: str | os.PathLike[str], window: Window, by_node: Report) -> str:
    assert by_node.first_s is not None
    assert by_node.last_s is not None
    step_s = plot_step_s(by_node.first_s, by_node.last_s)
    if step_s < HOUR_S:
        # So short a time is worth reading entry by entry, to show what happened in it.
        until_s = None if math.isinf(window.until_s) else window.until_s
        window = read_window(path, by_node.first_s, until_s, step_s=step_s)
        load_step_s = step_s
    else:
        load_step_s = max(HOUR_S, plot_step_s(by_node.first_s, by_node.last_s, MOST_POINTS))
    method = by_node.total.method
    points = (
        f"A point for each node and {step_name(load_step_s)}. Work that follows clean energy "
        "stands high on the left."
    )
    figures = (
        ("history", "Emissions over time", history_figure(window, step_s), f"Grams: {method}."),
        ("nodes", "Emissions by node", nodes_figure(by_node.groups), f"Grams: {method}."),
        ("load", "Intensity and load", load_figure(window, load_step_s), points),
    )
    return (
        '<div class="plots">\n' + "\n".join(html_plot(*figure) for figure in figures) + "\n</div>"
    )


def _group_table(report: Report, title: str) -> str:
    unit, unit_g = mass_unit(report.total.emissions_g)
    shown = report.groups[-MOST_ROWS:] if report.by == "hour" else report.groups[:MOST_ROWS]
    rows = [
        (
            group.name or "-",
            f"{group.inferences:,}",
            number(group.emissions_g / unit_g),
            number(group.operational_g / unit_g),
            number(group.transfer_g / unit_g),
            number(group.embodied_g / unit_g),
            number(group.inferences_per_g),
            number(group.intensity_g_per_kwh),
            number(group.energy.total_j),
            number(group.latency_ms),
            group.method,
        )
        for group in (*shown, report.total)
    ]
    table = html_table(
        (
            *(str(report.by), "inferences", f"{unit}CO2eq", f"operational {unit}"),
            *(f"links {unit}", f"embodied {unit}", "inferences per g", "g/kWh", "J", "ms", "how"),
        ),
        rows,
        caption=""
        if len(shown) == len(report.groups)
        else f"{len(shown)} of {len(report.groups)}; carbonedge report --by {report.by} --csv "
        "gives all.",
        text={0, 10},
        total=True,
    )
    if report.by == "hour":
        return f"<details>\n<summary>{title}</summary>\n{table}\n</details>"
    return f"<h2>{title}</h2>\n{table}"


def _sci(scored: Sci) -> str:
    terms = "\n".join(
        f"<div><dt>{html_text(figure.symbol)}</dt>"
        f"<dd>{html_text(figure.name)}<small>{html_text(figure.method)}</small></dd>"
        f"<dd>{html_text(' '.join(with_unit(figure)))}</dd></div>"
        for figure in scored.figures
    )
    return "\n".join(
        (
            "<h2>Software carbon intensity (ISO/IEC 21031:2024)</h2>",
            "<p>SCI = (O + M) per R, of one inference.</p>",
            f'<dl class="terms">\n{terms}\n</dl>',
            "<p>Counted:</p>",
            html_list(scored.boundary or ("nothing: no stage ran",)),
            "<p>Left out:</p>",
            html_list(scored.left_out),
        )
    )


def _provenance(report: Report) -> str:
    unit, unit_g = mass_unit(report.total.emissions_g)
    energy = html_table(
        ("energy by", "J", f"{unit}CO2eq", "how"),
        [
            (use.source, number(use.energy_j), number(use.operational_g / unit_g), use.method)
            for use in report.energy_sources
        ],
        text={0, 3},
    )
    intensity = html_table(
        (
            *("intensity by", "zone", "kind", "accounting", "factors", "g/kWh", "J"),
            *(f"{unit}CO2eq", "how"),
        ),
        [
            (
                use.source.source,
                use.source.zone or "-",
                use.source.kind,
                use.source.accounting,
                use.source.factors,
                number(use.intensity_g_per_kwh),
                number(use.energy_j),
                number(use.operational_g / unit_g),
                use.method,
            )
            for use in report.intensity_sources
        ],
        text={0, 1, 2, 3, 4, 8},
    )
    note = (
        "Joules are those of nodes, without PUE; grams are operational emissions, PUE in. Grams of "
        "links and embodied ones are modelled, and emulated on an emulated node. Made by "
        f"carbonedge {carbonedge.__version__}."
    )
    return (
        f"<h2>Where the figures are from</h2>\n{energy}\n<br>\n{intensity}\n"
        f'<p class="soft">{html_text(note)}</p>'
    )
