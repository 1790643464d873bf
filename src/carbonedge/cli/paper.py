"""``carbonedge paper``."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console

from carbonedge._optional import optional
from carbonedge.cli import options
from carbonedge.cli.paper_page import paper_page
from carbonedge.cli.paper_tables import print_paper
from carbonedge.cli.writing import writing
from carbonedge.exceptions import BackendUnavailableError
from carbonedge.experiments.paper import FULL, QUICK, read_models, read_photos, run_paper
from carbonedge.experiments.paper.document import as_document
from carbonedge.experiments.paper.export import export_models

__all__ = ["paper"]


@click.command()
@click.argument("models", nargs=-1, type=click.Path())
@click.option("--quick", is_flag=True, help="10 photos and 5 plans a model, for 50 and 9.")
@click.option(
    "--photos",
    "photos_path",
    type=click.Path(),
    help="A folder of photos of your own; crops of those of scikit-image without it.",
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(),
    help="A folder for paper.json and paper.html; needs the extra [plot].",
)
@options.as_json
def paper(
    models: tuple[str, ...],
    quick: bool,
    photos_path: str | None,
    output_path: str | None,
    as_json: bool,
) -> None:
    """Run the experiment of the CarbonEdge paper, and what goes beyond it.

    MODELS are ONNX files that take one photo of 224 x 224. Without them MobileNetV2,
    MobileNetV4-conv-small and EfficientNet-B0 are exported, which needs torch and timm: see
    benches/models/export.py. Its three nodes are workers of a local Ray with the CPU quota and the
    memory of each, where the system lets us; needs the extra [paper].
    """
    extent = QUICK if quick else FULL
    if output_path is not None:
        # Before minutes go by.
        optional("matplotlib", "plot", BackendUnavailableError)
        with writing("into the folder", output_path):
            Path(output_path).mkdir(parents=True, exist_ok=True)
    photos = read_photos(extent.photos, photos_path)
    with _exported(models) as paths, _saying() as advance:
        result = run_paper(read_models(paths), photos, extent, advance=advance)
    document = json.dumps(as_document(result), indent=2)
    if output_path is not None:
        for name, content in (("paper.json", document + "\n"), ("paper.html", paper_page(result))):
            path = Path(output_path, name)
            with writing("the result", str(path)):
                path.write_text(content, encoding="utf-8")
    if as_json:
        click.echo(document)
    else:
        print_paper(result)
        if output_path is not None:
            click.echo(f"\nAll of it is in {Path(output_path, 'paper.html')} and paper.json.")


@contextlib.contextmanager
def _exported(given: Sequence[str]) -> Iterator[Sequence[str | Path]]:
    """The files that were given, or new ones that go as this is left."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="carbonedge-") as folder:
        yield export_models(folder)


@contextlib.contextmanager
def _saying() -> Iterator[Callable[[str], None]]:
    """What comes next, on stderr where that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield status.update
