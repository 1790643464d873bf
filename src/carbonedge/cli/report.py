"""``carbonedge report``."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from carbonedge.carbon.ledger_window import read_window
from carbonedge.carbon.report import summary
from carbonedge.carbon.report_data import GROUPINGS, Grouping
from carbonedge.carbon.sci import sci
from carbonedge.cli import options
from carbonedge.cli.report_page import report_page
from carbonedge.cli.report_tables import print_csv, print_report, print_sci
from carbonedge.cli.writing import writing

__all__ = ["report"]

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Seconds since 1970 of ISO 8601, in UTC unless it says otherwise, or of so long ago."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if ago:
        return time.time() - float(ago[1]) * UNITS_S[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time: give one such as 2026-11-26, 2026-11-26T08:30+01:00, 24h or 7d"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@click.command()
@click.argument("ledger", type=click.Path())
@click.option(
    "--since",
    callback=_moment,
    metavar="TIME",
    help="Stages that began then or later: ISO 8601, in UTC unless it says otherwise, or 90s, "
    "30m, 24h, 7d, 2w ago.",
)
@click.option(
    "--until", callback=_moment, metavar="TIME", help="Stages that began before then, likewise."
)
@click.option("--by", type=click.Choice(GROUPINGS), help="Report on each of them too.")
@click.option(
    "--mixed",
    is_flag=True,
    help="Add up average with marginal intensities, and lifecycle with direct factors.",
)
@click.option(
    "--sci", "with_sci", is_flag=True, help="State the SCI score (ISO/IEC 21031:2024) too."
)
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option(
    "--html",
    "html_path",
    type=click.Path(),
    help="Save a page with plots too; needs the extra [plot].",
)
def report(
    ledger: str,
    since: float | None,
    until: float | None,
    by: Grouping | None,
    mixed: bool,
    with_sci: bool,
    as_json: bool,
    as_csv: bool,
    html_path: str | None,
) -> None:
    """Report what the inferences in LEDGER cost, and how each figure came about.

    The ledger is read only, also while it is written to. Grams of which parts came about
    differently say what share was measured, modelled and emulated.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other: give one")
    if as_csv and with_sci:
        raise click.UsageError("--sci is no table of groups: leave out --csv, or take --json")
    window = read_window(ledger, since, until)
    reported = summary(window, by=by, mixed=mixed)
    if html_path is not None:
        page = report_page(ledger, window, mixed=mixed)
        with writing("the page", html_path):
            Path(html_path).write_text(page, encoding="utf-8")
    if as_json:
        document = reported.to_dict() | ({"sci": sci(reported).to_dict()} if with_sci else {})
        click.echo(json.dumps(document, indent=2))
    elif as_csv:
        print_csv(reported)
    else:
        print_report(reported)
        if with_sci:
            print_sci(sci(reported))
        if html_path is not None:
            click.echo(f"The page is in {html_path}.")
