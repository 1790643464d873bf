"""``carbonedge schedule``."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import click

from carbonedge.cli import options
from carbonedge.cli.tables import print_ranking
from carbonedge.cli.watching import read_cluster
from carbonedge.exceptions import InfeasibleError
from carbonedge.experiments import Ranking, rank_nodes
from carbonedge.scheduling import MODES, SCORINGS, Task
from carbonedge.scheduling.explanation import Explanation
from carbonedge.scheduling.scheduler import MAX_LOAD

__all__ = ["schedule"]


@click.command()
@options.cluster_file
@options.intensity
@click.option(
    "--mode",
    type=click.Choice(list(MODES)),
    default="green",
    show_default=True,
    help="Whose weights the components get; constrained scoring has none.",
)
@click.option(
    "--scoring",
    type=click.Choice(SCORINGS),
    default="normalized",
    show_default=True,
    help="How components become a score.",
)
@options.cpu_cores
@options.memory_mb
@click.option(
    "--slo-ms",
    type=float,
    help="The latency that the task tolerates; only constrained scoring heeds it.",
)
@click.option(
    "--max-load",
    type=float,
    default=MAX_LOAD,
    show_default=True,
    help="Nodes above it are passed over.",
)
@click.option(
    "--max-network-latency-ms",
    type=float,
    default=math.inf,
    help="Nodes above it are passed over; none are unless it is given.",
)
@options.time_ms
@options.as_json
def schedule(
    cluster_path: str,
    intensity: str | None,
    mode: str,
    scoring: str,
    cpu_cores: float,
    memory_mb: float,
    slo_ms: float | None,
    max_load: float,
    max_network_latency_ms: float,
    time_ms: float | None,
    as_json: bool,
) -> None:
    """Show what a decision makes of every node, the best first.

    Each candidate stands with its score and the components of it, and the latency and
    emissions predicted; each node passed over with the reason. Predictions come from each
    node's avg_time_ms, or from --time-ms where the cluster file gives none. Where no node can
    take the task the exit code is 2.
    """
    cluster = read_cluster(cluster_path, intensity)
    ranking = rank_nodes(
        cluster.nodes,
        # JSON has no infinity; None says the same.
        Task(
            cpu_cores=cpu_cores, memory_mb=memory_mb, slo_ms=None if slo_ms == math.inf else slo_ms
        ),
        mode=mode,
        scoring=scoring,
        max_load=max_load,
        max_network_latency_ms=max_network_latency_ms,
        time_ms=time_ms,
    )
    if as_json:
        click.echo(json.dumps(_document(ranking), indent=2))
    else:
        print_ranking(ranking)
    if ranking.infeasible is not None:
        raise InfeasibleError(ranking.infeasible)


def _document(ranking: Ranking) -> dict[str, Any]:
    weighted = ranking.mode is not None
    return {
        "task": dataclasses.asdict(ranking.task),
        "mode": ranking.mode,
        "scoring": ranking.scoring,
        "method": "modelled",
        "assumed_time_ms": ranking.assumed_time_ms,
        "chosen": ranking.candidates[0].node if ranking.candidates else None,
        "nodes": [_entry(node, weighted) for node in (*ranking.candidates, *ranking.passed_over)],
    }


def _entry(node: Explanation, weighted: bool) -> dict[str, Any]:
    takes = node.refusal is None
    return {
        "node": node.node,
        "score": node.score if takes else None,
        "components": node.components if takes and weighted else None,
        "latency_ms": node.latency_ms,
        "energy_j": node.energy_j,
        "emissions_g": node.emissions_g,
        "refusal": node.refusal,
    }
