"""``carbonedge intensity``."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import click

from carbonedge.carbon.intensity import (
    CountryAverages,
    Intensity,
    Signal,
    open_cluster_signal,
    open_signal,
    seconds,
)
from carbonedge.carbon.intensity.choice import SPECS
from carbonedge.carbon.intensity.times import moment
from carbonedge.cli import options
from carbonedge.cli.intensity_tables import print_forecast, print_intensity
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["intensity"]

DAY_H = 24.0
YEAR_H = 366 * DAY_H
HOUR_S = 3600.0


class Hours(click.FloatRange):
    """How many; what else follows the option is most likely the zone."""

    name = "number of hours (ZONE goes before --forecast)"


@click.command()
@click.argument("zone")
@click.option(
    "--forecast",
    "hours",
    is_flag=False,
    flag_value=DAY_H,
    type=Hours(min=0, min_open=True, max=YEAR_H),
    metavar="[HOURS]",
    help="The hours to come rather than the value now; 24 where HOURS is left out, after ZONE.",
)
@click.option(
    "--from",
    "spec",
    metavar="SOURCE",
    help=f"Who to ask: any of {', '.join(SPECS)}; or several with commas between, the preferred "
    "first. Averages of countries, from codecarbon, without it.",
)
@click.option(
    "--cluster", "cluster_path", type=click.Path(), help="Ask the source of a cluster file (TOML)."
)
@click.option("--at", "time", metavar="TIME", help="Such as 2022-06-01T00:00Z, rather than now.")
@options.as_json
def intensity(
    zone: str,
    hours: float | None,
    spec: str | None,
    cluster_path: str | None,
    time: str | None,
    as_json: bool,
) -> None:
    """Show the carbon intensity of a grid zone, and where the figure is from."""
    signal = _signal(spec, cluster_path)
    time_s = None if time is None else seconds(moment(time))
    if hours is None:
        value = signal.at(zone, time_s)
        if as_json:
            click.echo(json.dumps(_document(value), indent=2))
        else:
            print_intensity(value)
        return
    start_s = seconds(time_s)
    end_s = start_s + hours * HOUR_S
    values = signal.forecast(zone, start_s, end_s)
    if as_json:
        document = {"zone": zone, "forecast": [_document(value) for value in values]}
        click.echo(json.dumps(document, indent=2))
    else:
        print_forecast(values, start_s, end_s)


def _signal(spec: str | None, cluster_path: str | None) -> Signal:
    if spec is not None and cluster_path is not None:
        raise click.UsageError("--from and --cluster both name a source: give one of them")
    if spec is not None:
        return open_signal(spec)
    if cluster_path is not None:
        signal = open_cluster_signal(cluster_path)
        if signal is None:
            raise click.UsageError(
                f"{cluster_path} has no table [intensity]: add one with a source, or give --from"
            )
        return signal
    try:
        return CountryAverages()
    except IntensityUnavailableError as error:
        raise click.UsageError(
            f"no source is given: name one by --from, any of {', '.join(SPECS)} (averages of "
            f"countries would do without; {error})"
        ) from error


def _document(value: Intensity) -> dict[str, Any]:
    """As plain values; JSON has no infinity, and none says the same of what holds always."""
    return {
        name: None if isinstance(field, float) and math.isinf(field) else field
        for name, field in dataclasses.asdict(value).items()
    }
