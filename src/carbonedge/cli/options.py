"""Options that several commands share."""

from __future__ import annotations

import click

from carbonedge.scheduling import Task

__all__ = [
    "address",
    "all_cuts",
    "as_json",
    "cluster_file",
    "cpu_cores",
    "input_file",
    "intensity",
    "ledger",
    "memory_mb",
    "meter",
    "mode",
    "model_file",
    "plot_file",
    "profiles",
    "requests",
    "runtime",
    "slo_ms",
    "threads",
    "time_ms",
]

model_file = click.argument("model", type=click.Path())
cluster_file = click.option(
    "--cluster", "cluster_path", required=True, type=click.Path(), help="Nodes and links (TOML)."
)
mode = click.option(
    "--mode",
    type=click.Choice(["performance", "balanced", "green"]),
    default="green",
    show_default=True,
    help="What the split is for.",
)
slo_ms = click.option("--slo-ms", type=float, help="The latency that the split may not exceed.")
requests = click.option(
    "--requests",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many to run in each mode.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of ONNX Runtime within an operator.",
)
input_file = click.option(
    "--input",
    "input_path",
    type=click.Path(),
    help="The input of every request, an .npz by name; made up without it.",
)
profiles = click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="[NODE=]FILE",
    help="What `carbonedge profile` measured here before, or on NODE itself, whose times it "
    "then is; may be given several times.",
)
all_cuts = click.option(
    "--all-cuts",
    is_flag=True,
    help="Cut within what ONNX Runtime fuses too. Its parts take longer, and the plan does not "
    "know how much: `carbonedge run` shows it.",
)
cpu_cores = click.option(
    "--cpu-cores",
    type=float,
    default=Task().cpu_cores,
    show_default=True,
    help="What the task needs.",
)
memory_mb = click.option(
    "--memory-mb",
    type=float,
    default=Task().memory_mb,
    show_default=True,
    help="What the task needs, in MB of 10^6 bytes.",
)
time_ms = click.option(
    "--time-ms",
    type=float,
    help="What the task takes at speed 1: a node without avg_time_ms is given this divided by "
    "its speed. Required where there is such a node.",
)
plot_file = click.option(
    "--plot",
    "plot_path",
    type=click.Path(),
    help="Save a plot too, .png or .svg; needs the extra [plot].",
)
intensity = click.option(
    "--intensity",
    metavar="SOURCE",
    help="Where the intensity of each node's zone comes from: static:380, trace:FILE, "
    "trace:FILE@TIME (played from then on), country, electricitymaps, watttime, uk, "
    "carbon-aware-sdk:ACCOUNTING:FACTORS:URL; several with commas, the first that answers; or none. In place of "
    "[intensity] in the cluster file.",
)
meter = click.option(
    "--meter",
    metavar="METER",
    help="What counts energy: auto, or one that `carbonedge meters` lists, replay:FILE, or none: "
    "node power x time. In place of [meter] in the cluster file.",
)
runtime = click.option(
    "--runtime",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where the split runs: in this process, or under Ray on the machines of its nodes, which "
    "needs the extra [ray].",
)
address = click.option(
    "--address",
    metavar="ADDRESS",
    help="Of the Ray cluster, HOST:PORT; auto for the one on this machine. Without it a local Ray "
    "is started, whose processes stand in for the nodes.",
)
ledger = click.option(
    "--ledger",
    "ledger_path",
    type=click.Path(),
    help="Write every inference down in this file, for `carbonedge report`.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
