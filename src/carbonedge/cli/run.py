"""``carbonedge run``."""

from __future__ import annotations

import click

from carbonedge.cli import options
from carbonedge.cli.comparison import run_and_print
from carbonedge.cli.npz import read_npz
from carbonedge.cluster import Cluster
from carbonedge.planning import load_model
from carbonedge.runtime.feeds import FeedChecker

__all__ = ["run"]


@click.command()
@options.model_file
@options.cluster_file
@options.mode
@options.requests
@click.option(
    "--input", "input_path", type=click.Path(), help="The input of every request, an .npz by name."
)
@options.slo_ms
@options.threads
@options.as_json
def run(
    model: str,
    cluster_path: str,
    mode: str,
    requests: int,
    input_path: str | None,
    slo_ms: float | None,
    threads: int,
    as_json: bool,
) -> int:
    """Run MODEL on a cluster, routed whole by the scheduler and split by the planner."""
    cluster = Cluster.from_toml(cluster_path)
    graph = load_model(model)
    feed = None
    if input_path is not None:
        feed = read_npz(input_path)
        FeedChecker(graph.inputs).check(feed)
    return run_and_print(
        graph,
        cluster,
        modes=(mode,),
        split_mode=mode,
        requests=requests,
        slo_ms=slo_ms,
        feed=feed,
        threads=threads,
        as_json=as_json,
    )
