"""``carbonedge plan``."""

from __future__ import annotations

import click

from carbonedge.cli import options
from carbonedge.cli.tables import print_plan
from carbonedge.cluster import Cluster
from carbonedge.planning import load_model, operator_costs, partition_for_mode
from carbonedge.planning.costs import SOURCES

__all__ = ["plan"]


@click.command()
@options.model_file
@options.cluster_file
@options.mode
@options.slo_ms
@click.option(
    "--costs",
    type=click.Choice(SOURCES),
    default="measured",
    show_default=True,
    help="Where operator times come from; all but measured share out each node's avg_time_ms.",
)
@options.threads
@options.as_json
def plan(
    model: str,
    cluster_path: str,
    mode: str,
    slo_ms: float | None,
    costs: str,
    threads: int,
    as_json: bool,
) -> None:
    """Print where MODEL would be cut and what that would cost, without serving requests."""
    import onnxruntime

    cluster = Cluster.from_toml(cluster_path)
    graph = load_model(model)
    sess_options = onnxruntime.SessionOptions()
    sess_options.intra_op_num_threads = threads
    sess_options.log_severity_level = 4
    table = operator_costs(graph, cluster.nodes, costs, sess_options=sess_options)
    found = partition_for_mode(graph, cluster, mode, slo_ms=slo_ms, costs=table)
    if as_json:
        click.echo(found.to_json())
        return
    click.echo(graph.summary())
    print_plan(found)
