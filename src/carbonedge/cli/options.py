"""Options that several commands share."""

from __future__ import annotations

import click

__all__ = ["as_json", "cluster_file", "mode", "model_file", "requests", "slo_ms", "threads"]

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
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
