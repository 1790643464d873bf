"""``carbonedge replay``."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from carbonedge._optional import optional
from carbonedge.carbon.intensity.times import stamp
from carbonedge.cli import options
from carbonedge.cli.replay_page import replay_page
from carbonedge.cli.replay_tables import PERIODS, Period, print_replay
from carbonedge.cli.tables import progress
from carbonedge.cli.writing import writing
from carbonedge.cluster import Cluster
from carbonedge.exceptions import BackendUnavailableError
from carbonedge.experiments.replay import (
    PATTERNS,
    POLICIES,
    Arrivals,
    Fleet,
    Grid,
    arrivals_of_csv,
    read_grid,
    read_zones,
    synthetic_arrivals,
)
from carbonedge.experiments.replay import replay as replayed
from carbonedge.scheduling import Task

__all__ = ["replay"]

OF_THE_OUTPUT = ("as_json", "by", "folder")
"""Options that change nothing of what is found."""


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Seconds since 1970 of ISO 8601, in UTC unless it says otherwise."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time: give one such as 2022-06-01 or 2022-06-01T08:30+02:00"
        ) from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@click.command()
@click.option(
    "--trace",
    required=True,
    type=click.Path(),
    help="Recorded intensities: a folder of .csv files, each named after its zone or with a column "
    "of zones, or one file.",
)
@options.cluster_file
@click.option("--requests-per-hour", type=float, help="From all zones together.")
@click.option(
    "--pattern",
    type=click.Choice(PATTERNS),
    default="flat",
    show_default=True,
    help="How many come when: at one rate, or by the local hour of their zone, 80 % more at 15:00 "
    "and 80 % fewer at 03:00.",
)
@click.option(
    "--arrivals",
    "arrivals_path",
    type=click.Path(),
    help="Recorded requests in place of made-up ones: a .csv file of timestamp, zone and perhaps "
    "count.",
)
@click.option(
    "--from",
    "start_s",
    callback=_moment,
    metavar="TIME",
    help="Requests from then on: ISO 8601, in UTC unless it says otherwise. From the first "
    "intensity on without it.",
)
@click.option("--until", "stop_s", callback=_moment, metavar="TIME", help="Requests until then.")
@click.option(
    "--copies",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many nodes each in the cluster file stands for.",
)
@options.time_ms
@click.option(
    "--slo-ms",
    type=float,
    help="The latency that requests tolerate; without it, 50 ms above what the best node of their "
    "own zone takes.",
)
@click.option(
    "--zone-latency-ms",
    type=float,
    default=40.0,
    show_default=True,
    help="Round trip between zones that the cluster file has no [[zone_latency]] of.",
)
@click.option(
    "--work-spread",
    type=float,
    default=0.0,
    show_default=True,
    help="How unlike requests are: standard deviation of the logarithm of their time, which the "
    "oracle knows and schedulers do not.",
)
@options.cpu_cores
@options.memory_mb
@click.option(
    "--policy",
    "policies",
    type=click.Choice(POLICIES),
    multiple=True,
    help="Replay this one; may be given several times. All without it.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--by", type=click.Choice(PERIODS), help="Print the emissions by it too.")
@options.as_json
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(),
    help="Save replay.json and replay.html in this folder; the page's plots need the extra [plot].",
)
def replay(
    trace: str,
    cluster_path: str,
    requests_per_hour: float | None,
    pattern: str,
    arrivals_path: str | None,
    start_s: float | None,
    stop_s: float | None,
    copies: int,
    time_ms: float | None,
    slo_ms: float | None,
    zone_latency_ms: float,
    work_spread: float,
    cpu_cores: float,
    memory_mb: float,
    policies: tuple[str, ...],
    seed: int,
    by: Period | None,
    as_json: bool,
    folder: str | None,
) -> None:
    """Play recorded carbon intensities and requests through the scheduler, in simulated time.

    The modes performance, balanced and green, constrained scoring within the SLO, always the
    cleanest and always the nearest node stand beside an oracle that knows the whole trace. The
    same seed gives the same to the last digit.
    """
    if (requests_per_hour is None) == (arrivals_path is None):
        raise click.UsageError("give one of --requests-per-hour and --arrivals")
    if folder is not None:
        # Said now rather than after all the work.
        optional("matplotlib.figure", "plot", BackendUnavailableError)
        with writing("into the folder", folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
    task = Task(cpu_cores=cpu_cores, memory_mb=memory_mb)
    fleet = Fleet.of(
        Cluster.from_toml(cluster_path).nodes,
        zones=read_zones(cluster_path),
        copies=copies,
        time_ms=time_ms,
        zone_latency_ms=zone_latency_ms,
    )
    grid = read_grid(trace, fleet.zones)
    window_s = _window_s(grid, start_s, stop_s)
    arrivals: Arrivals
    if arrivals_path is None:
        assert requests_per_hour is not None
        arrivals = synthetic_arrivals(
            fleet,
            grid,
            window_s,
            requests_per_hour=requests_per_hour,
            pattern=pattern,
            work_spread=work_spread,
            seed=seed,
        )
    else:
        arrivals = arrivals_of_csv(
            arrivals_path, fleet, grid, window_s, work_spread=work_spread, seed=seed
        )
    chosen = tuple(name for name in POLICIES if name in policies) or POLICIES
    began_s = time.perf_counter()
    with progress("policies", len(chosen) + 1) as advance:
        found = replayed(
            fleet,
            grid,
            arrivals,
            window_s,
            policies=chosen,
            task=task,
            slo_ms=slo_ms,
            advance=advance,
        )
    took_s = time.perf_counter() - began_s
    given = click.get_current_context().params
    settings = {name: value for name, value in given.items() if name not in OF_THE_OUTPUT}
    document = {"settings": settings, **found.to_dict()}
    text = json.dumps(document, indent=2)
    if folder is not None:
        page = replay_page(found)
        with writing("into the folder", folder):
            Path(folder, "replay.json").write_text(text + "\n", encoding="utf-8")
            Path(folder, "replay.html").write_text(page, encoding="utf-8")
    if as_json:
        click.echo(text)
        return
    print_replay(found, by)
    click.echo(
        f"{len(chosen)} policies and the oracle, {len(arrivals):,} requests each, in {took_s:.1f} s."
    )
    if folder is not None:
        click.echo(f"The report is in {Path(folder, 'replay.html')}.")


def _window_s(grid: Grid, start_s: float | None, stop_s: float | None) -> tuple[float, float]:
    start_s = grid.start_s if start_s is None else start_s
    stop_s = grid.stop_s if stop_s is None else stop_s
    if not grid.start_s <= start_s < stop_s <= grid.stop_s:
        raise ValueError(
            f"requests from {stamp(start_s)} until {stamp(stop_s)}: the traces last from "
            f"{stamp(grid.start_s)} to {stamp(grid.stop_s)}; give a time within that"
        )
    return start_s, stop_s
