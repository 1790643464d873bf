"""``carbonedge meters``."""

from __future__ import annotations

import dataclasses
import json

import click

from carbonedge.carbon.energy import survey
from carbonedge.cli import options
from carbonedge.cli.meter_tables import print_meters

__all__ = ["meters"]


@click.command()
@options.as_json
def meters(as_json: bool) -> None:
    """Show the energy meters of this machine, and why others are not there.

    Each is opened and read a few times, which takes a few seconds.
    """
    found = survey()
    if as_json:
        click.echo(json.dumps({"meters": [dataclasses.asdict(each) for each in found]}, indent=2))
    else:
        print_meters(found)
