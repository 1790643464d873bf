"""``carbonedge nodes``."""

from __future__ import annotations

import dataclasses
import json

import click

from carbonedge.cli import options
from carbonedge.cli.tables import print_cluster
from carbonedge.cli.watching import read_cluster

__all__ = ["nodes"]


@click.command()
@click.argument("cluster", type=click.Path())
@options.intensity
@options.as_json
def nodes(cluster: str, intensity: str | None, as_json: bool) -> None:
    """Show a cluster file as it was understood, with the intensities of now."""
    understood = read_cluster(cluster, intensity)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(understood), indent=2))
    else:
        print_cluster(understood)
