"""``carbonedge top``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator

import click
from rich.live import Live

from carbonedge._validation import positive
from carbonedge.cli.console import LEAST_WIDTH, to_stdout
from carbonedge.cli.top_table import survey_view
from carbonedge.runtime.ray.connection import Connection
from carbonedge.runtime.ray.survey import Survey, Surveyor

__all__ = ["top"]


@click.command()
@click.option(
    "--address",
    default="auto",
    show_default=True,
    metavar="ADDRESS",
    help="Of the Ray cluster, HOST:PORT; auto for the one on this machine.",
)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks; rates are means over that time.",
)
@click.option("--once", is_flag=True, help="Look twice, print what was between, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, or one a line.")
def top(address: str, every_s: float, once: bool, as_json: bool) -> None:
    """Show what the nodes of all sessions on a Ray cluster do now.

    Load, free memory, queue, requests/s, mean ms of a stage, W, g/kWh and g/s of each node, the
    round trip from here to it, and which are silent; Ctrl-C ends it. W are the joules per second
    that inference drew: what a node draws while nothing runs is not in them.
    """
    positive("--every", every_s)  # not a number is within any range
    with contextlib.closing(Connection(address)) as connection:
        surveys = _surveys(Surveyor(connection), every_s)
        if once or as_json:
            next(surveys)  # rates are from one look to the next
        if as_json:
            for survey in surveys:
                document = dataclasses.asdict(survey)
                click.echo(json.dumps(document, indent=2 if once else None))
                if once:
                    return
        elif once:
            to_stdout(LEAST_WIDTH).print(survey_view(next(surveys)))
        else:
            _show(surveys)


def _surveys(surveyor: Surveyor, every_s: float) -> Iterator[Survey]:
    while True:
        began_s = time.monotonic()
        yield surveyor.look()
        time.sleep(max(0.0, began_s + every_s - time.monotonic()))


def _show(surveys: Iterator[Survey]) -> None:
    console = to_stdout()
    if not console.is_terminal:
        for survey in surveys:
            console.print(survey_view(survey))
        return
    with Live(console=console, auto_refresh=False) as live:
        for survey in surveys:
            live.update(survey_view(survey), refresh=True)
