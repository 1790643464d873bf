"""``carbonedge plan``."""

from __future__ import annotations

import click

from carbonedge.cli import options
from carbonedge.cli.inputs import read_feed, read_profiles
from carbonedge.cli.tables import print_plan
from carbonedge.cluster import Cluster
from carbonedge.planning import load_model, operator_costs, partition_for_mode, sized
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
@options.profiles
@options.all_cuts
@options.input_file
@options.threads
@options.as_json
def plan(
    model: str,
    cluster_path: str,
    mode: str,
    slo_ms: float | None,
    costs: str,
    profiles: tuple[str, ...],
    all_cuts: bool,
    input_path: str | None,
    threads: int,
    as_json: bool,
) -> None:
    """Print where MODEL would be cut and what that would cost, without serving requests."""
    import onnxruntime

    cluster = Cluster.from_toml(cluster_path)
    graph = load_model(model)
    feed = read_feed(input_path, graph)
    if feed is not None:
        graph = sized(graph, feed)
    sess_options = onnxruntime.SessionOptions()
    sess_options.intra_op_num_threads = threads
    sess_options.log_severity_level = 4
    profile, node_profiles = read_profiles(profiles, cluster)
    table = operator_costs(
        graph,
        cluster.nodes,
        costs,
        feed=feed,
        profile=profile,
        node_profiles=node_profiles,
        all_cuts=all_cuts,
        sess_options=sess_options,
    )
    found = partition_for_mode(graph, cluster, mode, slo_ms=slo_ms, costs=table)
    if as_json:
        click.echo(found.to_json())
        return
    click.echo(graph.summary())
    print_plan(found)
