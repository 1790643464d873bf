"""The paper's experiment as one page of HTML."""

from __future__ import annotations

import carbonedge
from carbonedge.cli.pages import html_page, html_plot, html_table, html_text
from carbonedge.cli.paper_tables import (
    PaperTable,
    beyond_tables,
    goals_table,
    how_lines,
    paper_tables,
)
from carbonedge.experiments.paper import PaperResult, conclusions
from carbonedge.experiments.paper.plots import efficiency_figure, front_figure
from carbonedge.experiments.plots import sweep_figure

__all__ = ["paper_page"]

TITLE = "The CarbonEdge paper, run"


def paper_page(result: PaperResult) -> str:
    """The whole page.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    first = result.models[0]
    plots = [
        html_plot(
            "efficiency",
            "Figure 2: carbon efficiency",
            efficiency_figure(first),
            f"{first.label}, scoring paper.",
        ),
        html_plot(
            "sweep",
            "Figure 3: the weight of carbon",
            sweep_figure(result.sweeps["reference"]),
            "At times computed from the paper's ranges of S_P and S_C; its jump is at 0.50.",
        ),
        *(
            html_plot(
                f"front{number}",
                f"{model.label}: the front, and what was run",
                front_figure(model),
                f"Whiskers: 95 %, of {result.repeats} repeats.",
            )
            for number, model in enumerate(result.models)
        ),
    ]
    return html_page(
        TITLE,
        [
            f"<h1>{TITLE}</h1>",
            *(f"<p>{html_text(line)}</p>" for line in how_lines(result)),
            _table(goals_table(conclusions(result))),
            '<div class="plots">\n' + "\n".join(plots) + "\n</div>",
            *map(_table, (*paper_tables(result), *beyond_tables(result))),
            _made_by(),
        ],
    )


def _made_by() -> str:
    return (
        f'<p class="soft">Made by carbonedge {carbonedge.__version__}; the paper is '
        '<a href="https://arxiv.org/abs/2603.27420">arXiv 2603.27420</a>.</p>'
    )


def _table(one: PaperTable) -> str:
    text = {place for place, name in enumerate(one.columns) if name in one.text}
    note = f'\n<p class="soft">{html_text(one.note)}</p>' if one.note else ""
    return f"<h2>{html_text(one.title)}</h2>\n{html_table(one.columns, one.rows, text=text)}{note}"
