"""A replay as one page of HTML that needs nothing else."""

from __future__ import annotations

import carbonedge
from carbonedge.cli.pages import html_list, html_page, html_plot, html_table, html_text
from carbonedge.cli.replay_tables import (
    Rows,
    notes,
    percent,
    period_rows,
    policy_rows,
    subtitle,
    use_rows,
    worth_rows,
    worth_text,
    zone_rows,
)
from carbonedge.experiments.replay import Replay
from carbonedge.experiments.replay.plots import (
    hours_figure,
    latency_figure,
    months_figure,
    worth_figure,
)

__all__ = ["replay_page"]

NODE_USE = (
    "How much of its slots' time the busiest node ran, and the share of requests by the zone they "
    "ran in."
)


def replay_page(replay: Replay) -> str:
    """The whole page.

    Raises
    ------
    BackendUnavailableError
        If matplotlib is not installed.
    """
    plots = (
        html_plot(
            "latency",
            "Emissions against latency",
            latency_figure(replay),
            "A policy left of and below another is better in both. Below the oracle stand only those "
            "that miss SLOs.",
        ),
        html_plot(
            "worth",
            "What moving work is worth",
            worth_figure(replay),
            "Saved by the oracle with the nodes of all zones, against those of each request's own.",
        ),
        html_plot("months", "By month", months_figure(replay), "By the month a request came in."),
        html_plot(
            "hours",
            "By hour of the day",
            hours_figure(replay),
            "Emissions by the hour a request came in, and mean intensities.",
        ),
    )
    parts = [
        f"<h1>Replay</h1>\n<p>{html_text(subtitle(replay))}</p>",
        _cards(replay),
        '<div class="plots">\n' + "\n".join(plots) + "\n</div>",
        "<h2>Policies</h2>",
        _table(policy_rows(replay)),
        "<h2>Node use</h2>",
        f"<p>{NODE_USE}</p>",
        _table(use_rows(replay)),
        "<h2>What moving work is worth</h2>",
        f"<p>{html_text(worth_text(replay))}</p>",
        _table(worth_rows(replay)),
        "<h2>Zones</h2>",
        _table(zone_rows(replay)),
        "<details>\n<summary>By month</summary>",
        _table(period_rows(replay, "month")),
        "</details>\n<details>\n<summary>By hour of the day</summary>",
        _table(period_rows(replay, "hour")),
        "</details>\n<h2>How the figures came about</h2>",
        html_list(notes(replay)),
        f'<p class="soft">Made by carbonedge {html_text(carbonedge.__version__)}.</p>',
    ]
    return html_page("Replay of recorded carbon intensities", parts)


def _cards(replay: Replay) -> str:
    cards = [(f"{replay.requests:,}", "requests"), (f"{replay.nodes:,}", "nodes")]
    cards += [
        (percent(result.regret), f"above the oracle's emissions: {result.name}")
        for result in replay.policies
        if not result.misses
    ]
    cards += [
        (percent(worth.saving), f"saved by moving, at {worth.extra_ms:g} ms more")
        for worth in replay.worth
        if worth.saving > 0
    ]
    items = "\n".join(
        f"<li><b>{html_text(value)}</b>{html_text(what)}</li>" for value, what in cards
    )
    return f'<ul class="cards">\n{items}\n</ul>'


def _table(rows: Rows) -> str:
    return html_table(*rows, text={0})
