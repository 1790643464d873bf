"""``carbonedge run``."""

from __future__ import annotations

import click

from carbonedge.cli import options
from carbonedge.cli.comparison import run_and_print
from carbonedge.cli.inputs import read_feed, read_profiles
from carbonedge.cli.watching import meter_settings, watched
from carbonedge.experiments.comparison import Remote
from carbonedge.planning import load_model

__all__ = ["run"]


@click.command()
@options.model_file
@options.cluster_file
@options.mode
@options.requests
@options.input_file
@options.slo_ms
@options.profiles
@options.all_cuts
@options.threads
@options.runtime
@options.address
@options.meter
@options.intensity
@options.ledger
@options.as_json
def run(
    model: str,
    cluster_path: str,
    mode: str,
    requests: int,
    input_path: str | None,
    slo_ms: float | None,
    profiles: tuple[str, ...],
    all_cuts: bool,
    threads: int,
    runtime: str,
    address: str | None,
    meter: str | None,
    intensity: str | None,
    ledger_path: str | None,
    as_json: bool,
) -> int:
    """Run MODEL on a cluster, routed whole by the scheduler and split by the planner.

    What is routed runs in this process, which stands in for the nodes; see --runtime for the
    split.
    """
    if address is not None and runtime != "ray":
        raise click.UsageError(
            f"--address {address} is that of a Ray cluster: add --runtime ray, or leave it out"
        )
    graph = load_model(model)
    feed = read_feed(input_path, graph)
    remote = Remote(address, meter_settings(cluster_path, meter)) if runtime == "ray" else None
    with watched(cluster_path, meter=meter, intensity=intensity, ledger=ledger_path) as monitor:
        profile, node_profiles = read_profiles(profiles, monitor.cluster)
        return run_and_print(
            graph,
            monitor.cluster,
            modes=(mode,),
            split_mode=mode,
            requests=requests,
            slo_ms=slo_ms,
            feed=feed,
            threads=threads,
            profile=profile,
            node_profiles=node_profiles,
            all_cuts=all_cuts,
            monitor=monitor,
            remote=remote,
            as_json=as_json,
        )
