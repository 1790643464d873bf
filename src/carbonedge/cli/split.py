"""``carbonedge split``."""

from __future__ import annotations

import click

from carbonedge.cli import options
from carbonedge.cli.tables import print_manifest
from carbonedge.cli.writing import writing
from carbonedge.planning.stage_files import split_to_folder

__all__ = ["split"]


class _Positions(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them."""

    name = "CUT[,CUT...]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            return tuple(int(position) for position in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not whole numbers with commas between them", param, ctx)


@click.command()
@options.model_file
@click.option(
    "--at",
    "positions",
    required=True,
    type=_Positions(),
    help="Operators before each cut, such as 10,25.",
)
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(), help="Where the stages go."
)
@options.as_json
def split(model: str, positions: tuple[int, ...], folder: str, as_json: bool) -> None:
    """Write MODEL's stages to a folder, each an ONNX model of its own, with a manifest."""
    with writing("stages to", folder):
        manifest = split_to_folder(model, positions, folder)
    if as_json:
        click.echo(manifest.to_json(), nl=False)
    else:
        print_manifest(manifest)
