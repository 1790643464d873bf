"""Tables and progress bars for people."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from carbonedge.cluster import Cluster
from carbonedge.experiments.comparison import NOTE, TOLERANCE, Comparison
from carbonedge.experiments.sweep import SWEPT, Sweep, starts
from carbonedge.planning import Plan

__all__ = ["print_cluster", "print_comparison", "print_plan", "print_sweep", "progress"]

PLAIN_WIDTH = 120
"""Of output that goes to no terminal, where rich would assume 80."""

TEXT_COLUMNS = ("mode", "placement", "node use", "node", "zone", "link", "then crosses", *SWEPT)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, none when it is no terminal; yields what moves it on."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def print_comparison(comparison: Comparison) -> None:
    """Print the table of modes, the split and how true it is."""
    console = _console()
    table = _table(
        "mode", "placement", "node use", "ms median", "ms p95", "J", "gCO2eq", "inf/g", "us/task"
    )
    for row in comparison.rows:
        table.add_row(
            row.mode,
            row.placement,
            _percentages(row.node_use),
            f"{row.latency_median_ms:.2f}",
            f"{row.latency_p95_ms:.2f}",
            f"{row.energy_j:.4f}",
            f"{row.emissions_g:.3e}",
            "inf" if row.inferences_per_g is None else f"{row.inferences_per_g:,.0f}",
            "-" if row.scheduling_us is None else f"{row.scheduling_us:.2f}",
        )
    console.print(comparison.model)
    if comparison.rows:
        console.print(table)
    if not comparison.interrupted and all(row.placement == "split" for row in comparison.rows):
        console.print("No node holds the whole model: it runs split only.")
    console.print("J, gCO2eq and inf/g are per inference. " + NOTE, style="dim", soft_wrap=True)
    if comparison.plan is not None:
        console.print()
        print_plan(comparison.plan)
    if comparison.largest_difference is not None:
        console.print(
            f"Largest difference between split and whole output: "
            f"{comparison.largest_difference:.2g} of its spread (at most {TOLERANCE:g} allowed).",
            soft_wrap=True,
        )
    if comparison.interrupted:
        console.print("Interrupted: these are the requests answered until then.")


def print_plan(plan: Plan) -> None:
    """Print the stages of a plan and what crosses between them."""
    console = _console()
    table = _table("stage", "node", "operators", "ms", "J", "gCO2eq", "then crosses")
    for number, stage in enumerate(plan.stages):
        last = number == len(plan.transfers)
        table.add_row(
            str(number),
            stage.node,
            f"{stage.start}..{stage.stop}",
            f"{stage.time_ms:.2f}",
            f"{stage.energy_j:.4f}",
            f"{stage.emissions_g:.3e}",
            "" if last else f"{plan.transfers[number].mb:.3f} MB",
        )
    proof = "proven least" if plan.optimal else f"within {100 * plan.gap:.2g} % of the least"
    if plan.objective == "throughput":
        proof = proof.replace("least", "most")
    console.print(table)
    console.print(
        f"One inference: {plan.latency_ms:.2f} ms, {plan.energy_j:.4f} J, "
        f"{plan.emissions_g:.3e} gCO2eq, {plan.throughput_rps:.1f} requests/s when pipelined; "
        f"{proof} {plan.objective} ({plan.costs} costs, modelled energy).",
        soft_wrap=True,
    )


def print_cluster(cluster: Cluster) -> None:
    """Print nodes and links."""
    console = _console()
    table = _table("node", "cores", "MB", "W", "idle W", "g/kWh", "zone", "PUE", "speed", "g/h")
    for node in cluster.nodes:
        intensity = node.intensity_g_per_kwh
        table.add_row(
            node.name,
            f"{node.cpu_cores:g}",
            f"{node.memory_mb:g}",
            f"{node.power_w:g}",
            f"{node.idle_power_w:g}",
            "unknown" if intensity is None else f"{intensity:g}",
            node.zone or "",
            f"{node.pue:g}",
            f"{node.speed:g}",
            f"{node.embodied_g_per_hour:g}",
        )
    console.print(table)
    if not cluster.links:
        console.print("No links: a model cannot be split over these nodes.")
        return
    links = _table("link", "Mbit/s", "ms", "J/MB")
    for link in cluster.links:
        one_way = any(
            (other.source, other.target) == (link.target, link.source) for other in cluster.links
        )
        links.add_row(
            f"{link.source} {'->' if one_way else '<->'} {link.target}",
            f"{link.bandwidth_mbps:g}",
            f"{link.latency_ms:g}",
            f"{link.energy_j_per_mb:g}",
        )
    console.print(links)


def print_sweep(sweep: Sweep, mode: str) -> None:
    """Print the choices at each weight of carbon, and where they change."""
    console = _console()
    intervals = len(sweep.steps) - 1
    digits = 2 if 100 % intervals == 0 else len(str(intervals)) + 1
    table = _table("w_C", *(column for scoring in SWEPT for column in (scoring, "ms", "gCO2eq")))
    for column in table.columns:
        # Two names a row may be too wide: they fold before a number gives way.
        column.no_wrap = column.justify == "right"
        column.overflow = "fold"
    for step in sweep.steps:
        cells = []
        for scoring in SWEPT:
            choice = step.choices[scoring]
            cells += [choice.node, f"{choice.latency_ms:.2f}", f"{choice.emissions_g:.3e}"]
        table.add_row(f"{step.weights.carbon:.{digits}f}", *cells)
    console.print(table)
    console.print()
    for scoring in SWEPT:
        runs = [
            f"{step.choices[scoring].node} from {step.weights.carbon:.{digits}f}"
            for step in starts(sweep, scoring)
        ]
        console.print(f"{scoring}: {', '.join(runs)}", soft_wrap=True)
    console.print(
        f"Predicted for a task of {sweep.task.cpu_cores:g} CPU cores and "
        f"{sweep.task.memory_mb:g} MB; the other weights keep the proportions of {mode}.",
        style="dim",
        soft_wrap=True,
    )
    if sweep.assumed_time_ms:
        times = ", ".join(
            f"{name} {time_ms:.2f} ms" for name, time_ms in sweep.assumed_time_ms.items()
        )
        console.print(f"Times assumed from speeds: {times}.", style="dim", soft_wrap=True)


def _console() -> Console:
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    # Names are the user's: brackets in them mean nothing to rich.
    return Console(width=width, highlight=False, markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        text = column in TEXT_COLUMNS
        table.add_column(column, justify="left" if text else "right", no_wrap=text)
    return table


def _percentages(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
