"""``carbonedge plan``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from carbonedge.cli import options
from carbonedge.cli.inputs import print_made_up, read_feed, read_profiles
from carbonedge.cli.tables import print_front, print_plan
from carbonedge.cli.watching import read_cluster
from carbonedge.cli.weights import WeightsOption
from carbonedge.cli.writing import writing
from carbonedge.experiments import compare_with_front, save_front_plot
from carbonedge.experiments.figures import check_plot_path
from carbonedge.planning import (
    Plan,
    load_model,
    partition,
    partition_for_mode,
)
from carbonedge.planning.costs import SOURCES, given_costs
from carbonedge.planning.problem import TIME_LIMIT_S
from carbonedge.planning.search import OBJECTIVES, Limits, prices_of
from carbonedge.planning.session import quiet_options
from carbonedge.planning.strategies import STRATEGIES

__all__ = ["plan"]

MOST_CUTS = 10


@click.command()
@options.model_file
@options.cluster_file
@options.intensity
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    help="What the plan has the least of, or the most throughput.  [default: emissions]",
)
@click.option(
    "--weights",
    type=WeightsOption(),
    help="What a ms, a J and a g count, such as latency=1,emissions=2e6; for the objective "
    "weighted, which it stands for.",
)
@click.option(
    "--mode",
    type=click.Choice(["performance", "balanced", "green"]),
    help="Instead of an objective: least latency, a compromise, or least emissions.",
)
@options.slo_ms
@click.option("--max-stages", type=int, help="The plan may not have more.")
@click.option(
    "--source",
    metavar="NODE",
    help="Where inputs arise and outputs return, so that their way counts.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="exact",
    show_default=True,
    help="The exact search, or a baseline to hold it against.",
)
@click.option(
    "--time-limit",
    "time_limit_s",
    metavar="SECONDS",
    type=float,
    default=TIME_LIMIT_S,
    show_default=True,
    help="After this the search gives the best plan so far and says how far off it may be.",
)
@click.option(
    "--pareto",
    is_flag=True,
    help="Every plan that none betters in both latency and emissions, beside the baselines and "
    "the whole model on each node.",
)
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
@options.plot_file
@options.as_json
def plan(
    model: str,
    cluster_path: str,
    intensity: str | None,
    objective: str | None,
    weights: dict[str, float] | None,
    mode: str | None,
    slo_ms: float | None,
    max_stages: int | None,
    source: str | None,
    strategy: str,
    time_limit_s: float,
    pareto: bool,
    costs: str,
    profiles: tuple[str, ...],
    all_cuts: bool,
    input_path: str | None,
    threads: int,
    plot_path: str | None,
    as_json: bool,
) -> None:
    """Print where MODEL would be cut and what that would cost, without serving requests.

    With --plot the picture shows the plan beside all that none betters in both latency and
    emissions, the baselines, and the whole model on each node.
    """
    if weights is not None and objective is None:
        objective = "weighted"
    _check_together(objective, mode, strategy, pareto)
    # Before anything is measured.
    prices_of(objective or "emissions", weights)
    Limits(slo_ms, max_stages, time_limit_s)
    if plot_path is not None:
        check_plot_path(plot_path)
    cluster = read_cluster(cluster_path, intensity)
    if source is not None:
        cluster.index(source)
    graph = load_model(model)
    declared = graph.inputs
    profile, node_profiles = read_profiles(profiles, cluster)
    graph, table = given_costs(
        costs,
        graph,
        cluster.nodes,
        feed=read_feed(input_path, graph),
        profile=profile,
        node_profiles=node_profiles,
        all_cuts=all_cuts,
        sess_options=quiet_options(threads),
    )

    limits: dict[str, Any] = {
        "slo_ms": slo_ms,
        "max_stages": max_stages,
        "source": source,
        "time_limit_s": time_limit_s,
        "costs": table,
    }
    front = compare_with_front(graph, cluster, **limits) if pareto or plot_path else None
    found = None
    if mode is not None:
        found = partition_for_mode(graph, cluster, mode, **limits)
    elif not pareto:
        found = partition(
            graph,
            cluster,
            objective=objective or "emissions",
            weights=weights,
            strategy=strategy,
            **limits,
        )
    if front is not None and plot_path is not None:
        with writing("the plot", plot_path):
            save_front_plot(front, plot_path, chosen=found)
    if as_json:
        document = found.to_dict() if found else front.to_dict() if front else {}
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(graph.summary())
    if input_path is None and costs == "measured" and not profiles:
        print_made_up(declared, graph.inputs)
    if found is not None:
        print_plan(found)
    elif front is not None:
        print_front(front)
    said = _parted([found] if found else front.plans if front else [])
    if said is not None:
        click.echo(said)
    if plot_path is not None:
        click.echo(f"The plot is in {plot_path}.")


def _parted(plans: Sequence[Plan]) -> str | None:
    """What plans do not know of the time that their cuts cost."""
    if any(plan.parting is None for plan in plans):
        which = "Where a cut parts what ONNX Runtime fuses, which nobody looked at"
    else:
        parted = sorted({cut for plan in plans for cut in plan.parting or ()})
        if not parted:
            return None
        shown = ", ".join(map(str, parted[:MOST_CUTS])) + (", ..." * (len(parted) > MOST_CUTS))
        which = f"Where the model is cut at {shown}, what ONNX Runtime fuses is parted"
    return f"{which}: the stages beside it take longer than is said here (see --all-cuts)."


def _check_together(objective: str | None, mode: str | None, strategy: str, pareto: bool) -> None:
    if mode is not None and objective is not None:
        raise ValueError("--mode stands for an objective: give it, or --objective or --weights")
    if mode is not None and strategy != "exact":
        raise ValueError(f"--mode is planned exactly: give --objective with --strategy {strategy}")
    if pareto and (mode is not None or objective is not None or strategy != "exact"):
        raise ValueError(
            "--pareto gives the plans for whatever latency and emissions count: leave out "
            "--mode, --objective, --weights and --strategy"
        )
