"""``carbonedge demo``."""

from __future__ import annotations

import click

from carbonedge.cli import options
from carbonedge.cli.comparison import run_and_print
from carbonedge.experiments import light_model, paper_cluster
from carbonedge.planning import load_model

__all__ = ["demo"]

MODES = ("performance", "balanced", "green")


@click.command()
@options.requests
@options.as_json
def demo(requests: int, as_json: bool) -> int:
    """Run SqueezeNet on the paper's three nodes, in each mode and split."""
    return run_and_print(
        load_model(light_model("squeezenet")),
        paper_cluster(),
        modes=MODES,
        split_mode="balanced",
        requests=requests,
        as_json=as_json,
    )
