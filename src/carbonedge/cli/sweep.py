"""``carbonedge sweep``."""

from __future__ import annotations

import dataclasses
import json

import click

from carbonedge.cli import options
from carbonedge.cli.tables import print_sweep
from carbonedge.cli.watching import read_cluster
from carbonedge.cli.writing import writing
from carbonedge.experiments import save_sweep_plot, sweep_carbon
from carbonedge.scheduling import MODES, Task

__all__ = ["sweep"]


@click.command()
@options.cluster_file
@options.intensity
@click.option(
    "--mode",
    type=click.Choice(list(MODES)),
    default="balanced",
    show_default=True,
    help="Whose proportions the other four weights keep.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    default=21,
    show_default=True,
    help="How many weights of carbon, from 0 to 1.",
)
@options.cpu_cores
@options.memory_mb
@options.time_ms
@options.plot_file
@options.as_json
def sweep(
    cluster_path: str,
    intensity: str | None,
    mode: str,
    steps: int,
    cpu_cores: float,
    memory_mb: float,
    time_ms: float | None,
    plot_path: str | None,
    as_json: bool,
) -> None:
    """Show where a task goes as the weight of carbon, w_C, grows from 0 to 1.

    The scorings paper and normalized stand side by side, each with the node chosen and the
    latency and emissions predicted there. Predictions come from each node's avg_time_ms, or
    from --time-ms where the cluster file gives none.
    """
    cluster = read_cluster(cluster_path, intensity)
    task = Task(cpu_cores=cpu_cores, memory_mb=memory_mb)
    swept = sweep_carbon(cluster.nodes, task, base=MODES[mode], steps=steps, time_ms=time_ms)
    if plot_path is not None:
        with writing("the plot", plot_path):
            save_sweep_plot(swept, plot_path)
    if as_json:
        document = {"mode": mode, "method": "modelled", **dataclasses.asdict(swept)}
        click.echo(json.dumps(document, indent=2))
    else:
        print_sweep(swept, mode)
        if plot_path is not None:
            click.echo(f"The plot is in {plot_path}.")
