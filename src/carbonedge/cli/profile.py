"""``carbonedge profile``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from carbonedge.cli import options
from carbonedge.cli.inputs import print_made_up, read_feed
from carbonedge.cli.tables import print_profile
from carbonedge.cli.writing import writing
from carbonedge.planning import ModelGraph, Profile, load_model, measure
from carbonedge.planning.samples import for_request
from carbonedge.planning.session import quiet_options

__all__ = ["profile"]


@click.command()
@options.model_file
@click.option(
    "-o", "--output", type=click.Path(), help="Where to keep it, for --profile of plan and run."
)
@options.input_file
@options.threads
@options.as_json
def profile(
    model: str, output: str | None, input_path: str | None, threads: int, as_json: bool
) -> None:
    """Measure on this machine how long each operator of MODEL takes."""
    # Before anything is measured.
    if output is not None and not Path(output).parent.is_dir():
        raise ValueError(
            f"cannot write the profile {output!r}: its folder is not there; make it, or name "
            "another file"
        )
    graph = load_model(model)
    declared = graph.inputs
    graph, feed = for_request(graph, read_feed(input_path, graph))
    measured = measure(graph, feed=feed, sess_options=quiet_options(threads))
    if output is not None:
        with writing("the profile", output):
            Path(output).write_text(measured.to_json() + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(_document(graph, measured), indent=2))
        return
    click.echo(graph.summary())
    if input_path is None:
        print_made_up(declared, graph.inputs)
    print_profile(graph, measured)


def _document(model: ModelGraph, measured: Profile) -> dict[str, object]:
    rows = zip(model.operators, measured.time_ms.tolist(), strict=True)
    return {
        "conditions": dataclasses.asdict(measured.conditions),
        "inputs": measured.inputs,
        "run_ms": measured.run_ms,
        "overhead_ms": measured.overhead_ms,
        "operators": [
            {"name": op.name, "op_type": op.op_type, "macs": op.macs, "time_ms": time_ms}
            for op, time_ms in rows
        ],
        "positions": sorted(measured.positions),
    }
