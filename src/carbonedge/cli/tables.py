"""Tables and progress bars for people."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from carbonedge.cli.console import LEAST_WIDTH, fold_text, plain_table, to_stdout
from carbonedge.cluster import Cluster, Link
from carbonedge.experiments.comparison import Comparison
from carbonedge.experiments.front import Front
from carbonedge.experiments.ranking import Ranking
from carbonedge.experiments.sweep import SWEPT, Sweep, starts
from carbonedge.planning import ModelGraph, Plan, Profile, Transfer
from carbonedge.planning.difference import TOLERANCE
from carbonedge.planning.manifest import End, Manifest
from carbonedge.runtime.verification import UNITS, WOBBLES, Verification
from carbonedge.scheduling import MODES, Task, Weights
from carbonedge.scheduling.explanation import Explanation

__all__ = [
    "link_name",
    "print_cluster",
    "print_comparison",
    "print_front",
    "print_manifest",
    "print_plan",
    "print_profile",
    "print_ranking",
    "print_sweep",
    "print_verification",
    "progress",
]

MOST_TIMES = 8
MOST_PLANS = 20
SLOWEST = 10
COMPONENTS = tuple(field.name for field in dataclasses.fields(Weights))

TEXT_COLUMNS = (
    "",
    "mode",
    "placement",
    "node use",
    "node",
    "zone",
    "link",
    "then crosses",
    "runs on",
    "baseline",
    "passed over",
    "type",
    "slowest",
    "why",
    "file",
    "takes",
    "gives",
    *SWEPT,
)


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
    console = to_stdout(LEAST_WIDTH)
    table = _table(
        "mode", "placement", "node use", "ms median", "ms p95", "J", "gCO2eq", "inf/g", "us/task"
    )
    fold_text(table)
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
    for line in _how(comparison):
        console.print(line, style="dim", soft_wrap=True)
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


def _how(comparison: Comparison) -> Iterator[str]:
    methods = dict.fromkeys(row.method for row in comparison.rows)
    if methods:
        yield (
            f"J, gCO2eq and inf/g are per inference and {' or '.join(methods)}. Times: "
            f"{_sources(comparison, 'time')}. Energy: {_sources(comparison, 'energy')}. "
            f"Intensity: {comparison.sources('intensity')}."
        )
    if len(methods) > 1:
        by_row = (f"{row.mode} {row.placement} {row.method}" for row in comparison.rows)
        yield f"The rows differ: {', '.join(by_row)}."
    if comparison.runtime == "ray":
        where = (
            "a local Ray, whose processes on this machine stand in for the nodes"
            if comparison.address is None
            else f"the Ray at {comparison.address}"
        )
        yield f"The split ran under {where}; what was routed ran in this process."


def _sources(comparison: Comparison, of: str) -> str:
    """Which placement is from where, unless it is one and the same."""
    placements = dict.fromkeys(row.placement for row in comparison.rows)
    by = {placement: comparison.sources(of, placement) for placement in placements}
    if len(set(by.values())) == 1:
        return comparison.sources(of)
    return "; ".join(f"{source} ({placement})" for placement, source in by.items())


def print_plan(plan: Plan) -> None:
    """Print the stages of a plan and what crosses between them."""
    console = to_stdout(LEAST_WIDTH)
    table = _table("stage", "node", "operators", "MB", "ms", "J", "gCO2eq", "then crosses")
    fold_text(table)
    ways = [*plan.transfers, plan.outputs]
    if plan.inputs is not None:
        table.add_row("", plan.inputs.source, *[""] * 5, _crossing(plan.inputs))
    for number, (stage, way) in enumerate(zip(plan.stages, ways, strict=True)):
        table.add_row(
            str(number),
            stage.node,
            f"{stage.start}..{stage.stop}",
            f"{stage.memory_mb:.2f}",
            f"{stage.time_ms:.2f}",
            f"{stage.energy_j:.4f}",
            f"{stage.emissions_g:.3e}",
            "" if way is None else _crossing(way),
        )
    if plan.outputs is not None:
        table.add_row("", plan.outputs.target)
    console.print(table)
    console.print(
        f"One inference: {plan.latency_ms:.2f} ms, {plan.energy_j:.4f} J, "
        f"{plan.emissions_g:.3e} gCO2eq, {plan.throughput_rps:.1f} requests/s when pipelined; "
        f"{_proof(plan)} ({plan.costs} costs; J and gCO2eq are modelled).",
        soft_wrap=True,
    )


def _crossing(way: Transfer) -> str:
    tensors = "1 tensor" if len(way.tensors) == 1 else f"{len(way.tensors)} tensors"
    return f"{way.mb:.3f} MB in {way.time_ms:.2f} ms, {tensors}"


def _proof(plan: Plan) -> str:
    if plan.strategy != "exact":
        return f"by strategy {plan.strategy}, of which nothing is proven"
    aim = "most throughput" if plan.objective == "throughput" else f"least {plan.objective}"
    if plan.objective == "weighted" and plan.weights is not None:
        aim = "least " + " + ".join(f"{value:g} {name}" for name, value in plan.weights.items())
    if plan.optimal:
        return f"proven {aim}"
    if plan.gap < 1:
        return f"within {100 * plan.gap:.2g} % of the {aim}, for want of time"
    return f"the {aim} found, for want of time"


def print_front(front: Front) -> None:
    """Print the plans that none betters, and what splitting buys over the baselines."""
    console = to_stdout(LEAST_WIDTH)
    plans = front.plans
    shown = _evenly(len(plans), MOST_PLANS)
    table = _table("front", "ms", "gCO2eq", "J", "req/s", "runs on")
    fold_text(table)
    for number in shown:
        table.add_row(str(number), *_measures(plans[number]), _route(plans[number]))
    console.print(table)
    few = "" if len(shown) == len(plans) else f" {len(shown)} are shown; --json gives all."
    proof = "proven" if plans[0].optimal else "as far as was found in time"
    count = "1 plan is" if len(plans) == 1 else f"{len(plans)} plans are"
    console.print(
        f"{count} bettered by none in latency and emissions, {proof}.{few}", soft_wrap=True
    )
    console.print()
    baselines = _table("baseline", "ms", "gCO2eq", "J", "req/s", "over front", "runs on")
    fold_text(baselines)
    for baseline in front.baselines:
        name = "whole" if baseline.whole else baseline.name
        if baseline.plan is None:
            cells = [*["-"] * 5, f"none: {baseline.obstacle}"]
        else:
            more = baseline.more_emissions
            over = "-" if more is None else _more(more)
            cells = [*_measures(baseline.plan), over, _route(baseline.plan)]
        baselines.add_row(name, *cells)
    console.print(baselines)
    console.print(
        "over front: emissions more than those of the greenest plan of the front that is not "
        f"slower ({plans[0].costs} costs; J and gCO2eq are modelled).",
        style="dim",
        soft_wrap=True,
    )


def _more(share: float) -> str:
    if share == 0:
        return "on it"
    return f"+{100 * share:.1f} %" if share >= 1e-3 else f"+{100 * share:.1g} %"


def _evenly(count: int, most: int) -> list[int]:
    """Positions, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]


def _measures(plan: Plan) -> list[str]:
    return [
        f"{plan.latency_ms:.2f}",
        f"{plan.emissions_g:.3e}",
        f"{plan.energy_j:.4f}",
        f"{plan.throughput_rps:.1f}",
    ]


def _route(plan: Plan) -> str:
    """Where the operators of a plan run; the last range ends with the model."""
    if len(plan.stages) == 1:
        return f"{plan.stages[0].node}, whole"
    return ", ".join(f"{stage.node} {stage.start}..{stage.stop}" for stage in plan.stages)


def print_profile(model: ModelGraph, profile: Profile) -> None:
    """Print where the time of a run goes: by type of operator, and the slowest ones."""
    console = to_stdout()
    kinds = _table("type", "operators", "million MACs", "ms", "%")
    by_type: dict[str, list[int]] = {}
    for position, operator in enumerate(model.operators):
        by_type.setdefault(operator.op_type, []).append(position)
    rows = [(float(profile.time_ms[members].sum()), members) for members in by_type.values()]
    for time_ms, members in sorted(rows, reverse=True):
        work = sum(model.operators[position].macs for position in members)
        kinds.add_row(
            model.operators[members[0]].op_type,
            str(len(members)),
            f"{work / 1e6:.1f}",
            f"{time_ms:.3f}",
            f"{100 * time_ms / profile.run_ms:.1f}",
        )
    slowest = _table("slowest", "type", "position", "ms", "%")
    for position in profile.time_ms.argsort()[::-1][:SLOWEST]:
        operator, time_ms = model.operators[position], profile.time_ms[position]
        slowest.add_row(
            operator.name,
            operator.op_type,
            str(position),
            f"{time_ms:.3f}",
            f"{100 * time_ms / profile.run_ms:.1f}",
        )
    console.print(kinds)
    console.print()
    console.print(slowest)
    conditions = profile.conditions
    threads = conditions.threads or "all"
    console.print(
        f"One run: {profile.run_ms:.3f} ms, {profile.overhead_ms:.3f} ms of them beside the "
        f"operators. {conditions.cpu}, threads: {threads}, ONNX Runtime "
        f"{conditions.onnxruntime}; {len(profile.positions)} of {len(model.cuts)} cuts part "
        "nothing that is fused.",
        soft_wrap=True,
    )


def print_manifest(manifest: Manifest) -> None:
    """Print the stages that were written."""
    console = to_stdout(LEAST_WIDTH)
    table = _table("file", "operators", "takes", "gives")
    fold_text(table)
    for stage in manifest.stages:
        table.add_row(
            stage.file, f"{stage.start}..{stage.stop}", _named(stage.inputs), _named(stage.outputs)
        )
    console.print(table)


def _named(ends: Sequence[End]) -> str:
    return ", ".join(
        end.name if end.shape is None else f"{end.name} {list(end.shape)}" for end in ends
    )


def print_verification(verification: Verification) -> None:
    """Print whether stages answer as the whole does, and if not where."""
    console = to_stdout()
    said = f"{verification.stages} stages of {verification.model}"
    if verification.equal:
        console.print(f"{said}: every output is equal to the whole's bit for bit.", soft_wrap=True)
        return
    console.print(
        f"{said}: largest difference from the whole {verification.largest_difference:.2g} of the "
        f"output's spread (at most {verification.tolerance:.2g} allowed).",
        soft_wrap=True,
    )
    if verification.tolerance > TOLERANCE:
        console.print(
            f"More than {TOLERANCE:g} is allowed where that is {UNITS} units in the last place, "
            f"times the root of the number of cuts, or {WOBBLES} times what ONNX Runtime's own "
            "optimisation changes.",
            soft_wrap=True,
        )
    for output in verification.outputs:
        if not output.equal:
            console.print(
                f"  {output.name}: {output.largest_difference:.2g} of at most "
                f"{output.tolerance:.2g}",
                soft_wrap=True,
            )


def print_cluster(cluster: Cluster) -> None:
    """Print nodes and links."""
    console = to_stdout()
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
        links.add_row(
            link_name(cluster, link),
            f"{link.bandwidth_mbps:g}",
            f"{link.latency_ms:g}",
            f"{link.energy_j_per_mb:g}",
        )
    console.print(links)


def link_name(cluster: Cluster, link: Link) -> str:
    """Both ends, and whether it leads both ways."""
    one_way = any(
        (other.source, other.target) == (link.target, link.source) for other in cluster.links
    )
    return f"{link.source} {'->' if one_way else '<->'} {link.target}"


def print_sweep(sweep: Sweep, mode: str) -> None:
    """Print the choices at each weight of carbon, and where they change."""
    console = to_stdout(LEAST_WIDTH)
    intervals = len(sweep.steps) - 1
    digits = 2 if 100 % intervals == 0 else len(str(intervals)) + 1
    table = _table("w_C", *(column for scoring in SWEPT for column in (scoring, "ms", "gCO2eq")))
    fold_text(table)
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
        f"Predicted for {_described(sweep.task)}, gCO2eq modelled; the other weights keep the "
        f"proportions of {mode}.",
        style="dim",
        soft_wrap=True,
    )
    _print_assumed(console, sweep.assumed_time_ms)


def print_ranking(ranking: Ranking) -> None:
    """Print the candidates, the nodes passed over, and what made the order."""
    console = to_stdout(LEAST_WIDTH)
    if ranking.candidates:
        console.print(_candidates(ranking))
    if ranking.passed_over:
        if ranking.candidates:
            console.print()
        console.print(_passed_over(ranking.passed_over))
    console.print()
    if ranking.candidates:
        why = "highest score" if ranking.mode else "least emissions, of equals the fastest"
        console.print(f"> {ranking.candidates[0].node} is chosen: {why}.", soft_wrap=True)
    for line in _remarks(ranking):
        console.print(line, style="dim", soft_wrap=True)
    _print_assumed(console, ranking.assumed_time_ms)


def _remarks(ranking: Ranking) -> Iterator[str]:
    task, mode = ranking.task, ranking.mode
    if ranking.candidates and mode is not None:
        weights = [
            f"{weight:g} {name}" for name, weight in zip(COMPONENTS, MODES[mode], strict=True)
        ]
        yield f"score = {' + '.join(weights)} ({mode})"
    if ranking.candidates and ranking.scoring == "normalized":
        yield (
            "Components run from 0, the worst of the candidates, to 1, the best; "
            "one in which all are equal is 0."
        )
    if mode is None:
        yield "Under constrained scoring the weights of a mode count for nothing."
    elif task.slo_ms is not None:
        yield f"Only constrained scoring heeds slo_ms {task.slo_ms:g}."
    within = f" within {task.slo_ms:g} ms" if mode is None and task.slo_ms is not None else ""
    yield (
        f"Predicted for {_described(task)}{within}, by {ranking.scoring} scoring; gCO2eq is "
        "modelled."
    )


def _candidates(ranking: Ranking) -> Table:
    scores = () if ranking.mode is None else ("score", *COMPONENTS)
    table = _table("", "node", *scores, "ms", "gCO2eq")
    # All of it is to fit beside a name in 80 columns.
    table.collapse_padding = True
    fold_text(table)
    for place, node in enumerate(ranking.candidates):
        cells = [_ms(node.latency_ms), f"{node.emissions_g:.3e}"]
        if scores:
            components = [f"{node.components[name]:.3f}" for name in COMPONENTS]
            cells = [f"{node.score:.4f}", *components, *cells]
        table.add_row("" if place else ">", node.node, *cells)
    return table


def _passed_over(nodes: Sequence[Explanation]) -> Table:
    table = _table("passed over", "ms", "gCO2eq", "why")
    fold_text(table)
    for node in nodes:
        table.add_row(
            node.node, _ms(node.latency_ms), f"{node.emissions_g:.3e}", node.refusal or ""
        )
    return table


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 1e6 else f"{value:.3e}"


def _described(task: Task) -> str:
    return f"a task of {task.cpu_cores:g} CPU cores and {task.memory_mb:g} MB"


def _print_assumed(console: Console, assumed_time_ms: Mapping[str, float]) -> None:
    if assumed_time_ms:
        times = [f"{name} {time_ms:.2f} ms" for name, time_ms in assumed_time_ms.items()]
        if len(times) > MOST_TIMES:
            times[MOST_TIMES:] = [f"{len(times) - MOST_TIMES} more"]
        console.print(
            f"Times assumed from speeds: {', '.join(times)}.", style="dim", soft_wrap=True
        )


def _table(*columns: str) -> Table:
    return plain_table(columns, TEXT_COLUMNS)


def _percentages(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
