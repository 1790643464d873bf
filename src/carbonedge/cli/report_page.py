"""A report as one page of HTML that needs nothing else."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import carbonedge
from carbonedge.carbon.ledger_tables import HOUR_S
from carbonedge.carbon.ledger_window import Window, read_window
from carbonedge.carbon.report import summary
from carbonedge.carbon.report_data import Grouping, Report, time_text
from carbonedge.carbon.sci import Sci, sci
from carbonedge.cli.report_tables import number, window_text, with_unit
from carbonedge.experiments.figures import mass_unit
from carbonedge.experiments.report_plots import (
    history_figure,
    load_figure,
    nodes_figure,
    plot_step_s,
    step_name,
    svg_text,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report_page"]

MOST_ROWS = 200
MOST_POINTS = 400
TITLES: dict[Grouping, str] = {
    "node": "By node",
    "zone": "By zone",
    "model": "By model",
    "hour": "By hour",
}

STYLE = """
:root { --ink: #1d2622; --soft: #5a6660; --line: #dfe5e1; --accent: #1b6f5c; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 70rem; background: #fff;
  color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; }
p { margin: .3rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .7rem; margin: 1.2rem 0 0; padding: 0; list-style: none; }
.cards li { padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .5rem;
  border-top: 3px solid var(--accent); font-size: .85rem; color: var(--soft); }
.cards b { display: block; font-size: 1.3rem; line-height: 1.3; color: var(--ink); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1.5rem 2rem; margin-top: 1.5rem; align-items: start; }
figure { margin: 0; max-width: 32rem; }
figure h2 { margin: 0; }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; white-space: normal; vertical-align: bottom; }
.text { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 9.5rem; }
.terms { margin: .6rem 0; max-width: 46rem; }
.terms div { display: grid; grid-template-columns: 2.6rem 1fr auto; gap: 0 .7rem;
  padding: .4rem 0; border-bottom: 1px solid var(--line); }
.terms dt { font-weight: 600; }
.terms dd { margin: 0; overflow-wrap: anywhere; }
.terms dd + dd { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.terms small { display: block; color: var(--soft); }
.sum td { font-weight: 600; border-bottom: 0; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
summary { cursor: pointer; font-size: 1.2rem; font-weight: 600; margin: 2.2rem 0 .6rem; }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""


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
        f"<h1>Carbon report</h1>\n<p>{_text(_subtitle(path, by_node))}</p>",
    ]
    if by_node.total.stages:
        parts += [
            _cards(by_node, scored),
            _plots(path, window, by_node),
            *(_group_table(groups[by], title) for by, title in TITLES.items()),
        ]
    parts += [_sci(scored), _provenance(by_node)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Carbon report: {_text(Path(path).name)}</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _text(value: object) -> str:
    return escape(str(value).encode(errors="replace").decode())


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
    items = "\n".join(f"<li><b>{_text(value)}</b>{_text(what)}</li>" for value, what in cards)
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
    return '<div class="plots">\n' + "\n".join(_plot(*figure) for figure in figures) + "\n</div>"


def _plot(name: str, title: str, figure: Figure, caption: str) -> str:
    svg = svg_text(figure, name).replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    return f"<figure>\n<h2>{title}</h2>\n{svg}<figcaption>{_text(caption)}</figcaption>\n</figure>"


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
    table = _table(
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
        f"<div><dt>{_text(figure.symbol)}</dt>"
        f"<dd>{_text(figure.name)}<small>{_text(figure.method)}</small></dd>"
        f"<dd>{_text(' '.join(with_unit(figure)))}</dd></div>"
        for figure in scored.figures
    )
    return "\n".join(
        (
            "<h2>Software carbon intensity (ISO/IEC 21031:2024)</h2>",
            "<p>SCI = (O + M) per R, of one inference.</p>",
            f'<dl class="terms">\n{terms}\n</dl>',
            "<p>Counted:</p>",
            _list(scored.boundary or ("nothing: no stage ran",)),
            "<p>Left out:</p>",
            _list(scored.left_out),
        )
    )


def _provenance(report: Report) -> str:
    unit, unit_g = mass_unit(report.total.emissions_g)
    energy = _table(
        ("energy by", "J", f"{unit}CO2eq", "how"),
        [
            (use.source, number(use.energy_j), number(use.operational_g / unit_g), use.method)
            for use in report.energy_sources
        ],
        text={0, 3},
    )
    intensity = _table(
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
        f'<p class="soft">{_text(note)}</p>'
    )


def _list(lines: Iterable[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{_text(line)}</li>" for line in lines) + "\n</ul>"


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text: set[int],
    caption: str = "",
    total: bool = False,
) -> str:
    """A table whose columns are numbers, but for those that are text, and end in a total."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if place in text else ''}>{_text(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f"<thead><tr>{cells('th', columns)}</tr></thead>", "<tbody>"]
    for number_, row in enumerate(rows, start=1):
        last = " class=sum" if total and number_ == len(rows) else ""
        lines.append(f"<tr{last}>{cells('td', row)}</tr>")
    head = f"<caption>{_text(caption)}</caption>\n" if caption else ""
    return f'<div class="scroll"><table>\n{head}' + "\n".join(lines) + "\n</tbody></table></div>"
