"""``carbonedge verify``."""

from __future__ import annotations

import json

import click

from carbonedge.cli import options
from carbonedge.cli.npz import read_npz
from carbonedge.cli.tables import print_verification
from carbonedge.runtime.verification import verify as verify_folder

__all__ = ["verify"]

UNFAITHFUL = 1


@click.command()
@options.model_file
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--input", "input_path", type=click.Path(), help="A request, an .npz by input name.")
@options.as_json
def verify(model: str, folder: str, input_path: str | None, as_json: bool) -> int:
    """Run MODEL and the stages that split put into DIR, and compare their outputs."""
    feed = None if input_path is None else read_npz(input_path)
    verification = verify_folder(model, folder, feed)
    if as_json:
        click.echo(json.dumps(verification.to_dict(), indent=2))
    else:
        print_verification(verification)
    return 0 if verification.faithful else UNFAITHFUL
