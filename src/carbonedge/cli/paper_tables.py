"""The paper's experiment as tables, for people and for its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from carbonedge.cli.console import LEAST_WIDTH, fold_text, plain_table, to_stdout
from carbonedge.experiments.paper import Conclusion, ModelResult, PaperResult, conclusions
from carbonedge.experiments.paper.estimate import Estimate
from carbonedge.experiments.paper.published import (
    CARBON_JUMP,
    EFFICIENCY,
    NODE_USE,
    REFERENCE_MS,
    TABLE_2,
    TABLE_4,
    over_monolithic,
)
from carbonedge.experiments.paper.routing import MONOLITHIC
from carbonedge.experiments.sweep import starts
from carbonedge.planning import Plan
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = ["PaperTable", "beyond_tables", "how_lines", "paper_tables", "print_paper"]

PAPERS_MODEL = "MobileNetV2"
"""Of its Tables II and V and its Figure 2."""
MOST_FRONT = 12
"""Plans of a front that are listed."""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table with its title, and what is to be said below it.

    Parameters
    ----------
    title
        Above it.
    columns
        Their names; those in `text` stand to the left.
    rows
        A text for each column.
    text
        Which columns are no numbers.
    note
        Below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[str]
    note: str = ""


def print_paper(result: PaperResult) -> None:
    """Print every table, and what was to be shown."""
    console = to_stdout(LEAST_WIDTH)
    for line in how_lines(result):
        console.print(line, soft_wrap=True)
    for one in (*paper_tables(result), *beyond_tables(result), goals_table(conclusions(result))):
        console.print(f"\n{one.title}", style="bold", soft_wrap=True)
        # Not by name: two columns may have one.
        table = plain_table(one.columns, one.text)
        fold_text(table)
        for row in one.rows:
            table.add_row(*row)
        console.print(table)
        if one.note:
            console.print(one.note, style="dim", soft_wrap=True)


def how_lines(result: PaperResult) -> Iterator[str]:
    """How the figures came about."""
    yield (
        f"{result.requests} requests a row, {result.photos}; means of {result.repeats} repeats "
        "± Student's 95 %. Of one inference: gCO2eq, and ms of its stages and the ways between "
        "them; the caller's own way is in req/s."
    )
    first = result.models[0]
    yield f"Times: {first.time_source}, on {result.machine}."
    yield (
        f"Energy: {first.energy_source}. Joules and grams are {first.method}: they compare nodes, "
        "not products, and nothing here was metered."
    )
    if not result.throttled:
        yield (
            f"UNTHROTTLED ({result.why}): all nodes were as fast as this machine, and what "
            "follows says nothing of nodes that differ."
        )
    yield (
        f"Algorithm 1 weighs seconds against milligrams, so that its choice depends on how fast "
        f"the host is: under scoring paper it sees times x {result.scale:.1f}, as on a host "
        f"where {first.label} takes {REFERENCE_MS['node-high']} ms on node-high, which is "
        "MobileNetV2's time on the paper's."
    )


def paper_tables(result: PaperResult) -> list[PaperTable]:
    """What the paper has: its tables and figures, beside ours."""
    first = result.models[0]
    return [
        _table_2(first, result.scale),
        _table_4(result),
        _table_5(first),
        _figure_2(first),
        _figure_3(result),
    ]


def beyond_tables(result: PaperResult) -> list[PaperTable]:
    """What the paper does not have."""
    tables = []
    for model in result.models:
        tables += [_ways(model), _plans(model), _front(model)]
        if model.loaded is not None:
            tables.append(_loaded(model))
    return tables


def goals_table(goals: Sequence[Conclusion]) -> PaperTable:
    """What was to be shown, and whether it was."""
    return PaperTable(
        "What was to be shown",
        ("", "what", "goal", "here"),
        [("yes" if one.reached else "NO", one.what, one.goal, one.figure) for one in goals],
        frozenset({"", "what", "goal", "here"}),
    )


def _table_2(model: ModelResult, scale: float) -> PaperTable:
    rows = []
    for name, published in TABLE_2.items():
        one = model.row(name, None if name == "monolithic" else "paper")
        rows.append(
            (
                name,
                _pm(one.latency_ms),
                _pm(one.throughput_rps),
                _grams(one.emissions_g),
                _percent(model.reduction(one)),
                f"{published.latency_ms:.2f}",
                f"{published.throughput_rps:.2f}",
                f"{published.emissions_g:.4f}",
                _percent(published.reduction),
            )
        )
    return PaperTable(
        f"Table II: {model.label}, scoring paper",
        (
            *("mode", "ms", "req/s", "gCO2eq", "less carbon"),
            *("paper: ms", "paper: req/s", "paper: g", "paper: less"),
        ),
        rows,
        frozenset({"mode"}),
        f"The paper's figures are of {PAPERS_MODEL} on a host of some 140 W"
        + (f" that takes {scale:.0f} times as long" if model.label == PAPERS_MODEL else "")
        + ". AMP4EC here: its weights, the model whole.",
    )


def _table_4(result: PaperResult) -> PaperTable:
    rows = []
    for model in result.models:
        published = TABLE_4.get(model.label)
        for name, scoring in (("monolithic", None), ("green", "paper"), ("green", "normalized")):
            one = model.row(name, scoring)
            theirs = None if published is None else published[name == "green"]
            rows.append(
                (
                    model.label,
                    name if scoring is None else f"{name}, {scoring}",
                    _pm(one.latency_ms),
                    _grams(one.emissions_g),
                    _percent(model.reduction(one)),
                    *(
                        ("-", "-", "-")
                        if theirs is None or scoring == "normalized"
                        else (
                            f"{theirs.latency_ms:.2f}",
                            f"{theirs.emissions_g:.5f}",
                            _percent(theirs.reduction),
                        )
                    ),
                )
            )
    return PaperTable(
        "Table IV: the models",
        ("model", "mode", "ms", "gCO2eq", "less carbon", "paper: ms", "paper: g", "paper: less"),
        rows,
        frozenset({"model", "mode"}),
    )


def _table_5(model: ModelResult) -> PaperTable:
    return PaperTable(
        f"Table V: node use, {model.label}, scoring paper",
        ("mode", "here", "paper", "here, times x 1"),
        [
            (mode, _use(model.row(mode, "paper").node_use), _use(published), model.own_speed[mode])
            for mode, published in NODE_USE.items()
        ],
        frozenset({"mode", "here", "paper", "here, times x 1"}),
        "Times x 1: where Algorithm 1 would send a request by the times of this machine as they are.",
    )


def _figure_2(model: ModelResult) -> PaperTable:
    rows = []
    for name in TABLE_2:
        one = model.row(name, None if name == "monolithic" else "paper")
        rows.append(
            (
                name,
                f"{1 / one.emissions_g.mean:,.0f}",
                f"{1 / (1 - model.reduction(one)):.2f}",
                f"{EFFICIENCY[name]:.1f}" if name in EFFICIENCY else "-",
                f"{over_monolithic(name):.2f}",
            )
        )
    return PaperTable(
        f"Figure 2: carbon efficiency, {model.label}, scoring paper",
        ("mode", "inf/g", "over monolithic", "paper: inf/g", "paper: over monolithic"),
        rows,
        frozenset({"mode"}),
    )


def _figure_3(result: PaperResult) -> PaperTable:
    names = {"reference": "computed", "measured": f"times here x {result.scale:.1f}"}
    rows = []
    for key, sweep in result.sweeps.items():
        for scoring in ("paper", "normalized"):
            steps = starts(sweep, scoring)
            said = ", ".join(
                f"{step.choices[scoring].node} from {step.weights.carbon:.2f}" for step in steps
            )
            theirs = f"node-high from 0.00, node-green from {CARBON_JUMP:.2f}"
            rows.append((names[key], scoring, said, theirs if scoring == "paper" else "-"))
    return PaperTable(
        "Figure 3: the choice as the weight of carbon grows",
        ("node times", "scoring", "here", "paper"),
        rows,
        frozenset({"node times", "scoring", "here", "paper"}),
        f"Computed: {', '.join(f'{ms:g}' for ms in REFERENCE_MS.values())} ms, with which the "
        "paper's ranges of S_P and S_C come out; it prints no node's time. The other weights keep "
        "the proportions of mode performance.",
    )


def _ways(model: ModelResult) -> PaperTable:
    return PaperTable(
        f"{model.label}: each mode, and how far it is from the exact front",
        (
            *("mode", "scoring", "node use", "ms", "gCO2eq", "less carbon", "above front"),
            "us/task",
        ),
        [
            (
                one.routing.name,
                one.routing.scoring or "-",
                _use(one.node_use),
                _pm(one.latency_ms),
                _grams(one.emissions_g),
                _percent(model.reduction(one)),
                _percent(model.above_front(one)),
                "-" if one.scheduling_us is None else f"{one.scheduling_us:.1f}",
            )
            for one in model.routed
        ],
        frozenset({"mode", "scoring", "node use"}),
        "Above front: emissions over those of the greenest plan that is not slower, both predicted; "
        "below 0 for a mix of nodes, which no single plan is. constrained: the least emissions "
        f"within {_slo(model):.1f} ms. us/task: to place a request, the median.",
    )


def _slo(model: ModelResult) -> float:
    return model.row("constrained", "constrained").routing.slo_ms or 0.0


def _plans(model: ModelResult) -> PaperTable:
    tried = {one.plan.identity: one for one in model.tried}
    rows = []
    for target in model.targets:
        one = tried[target.plan.identity]
        rows.append(
            (
                f"{target.slo_ms:.1f}",
                _stages(target.plan),
                f"{one.plan.latency_ms:.2f}",
                _pm(one.latency_ms),
                f"{one.plan.emissions_g:.3e}",
                _grams(one.emissions_g),
                _percent(model.saved(one)),
                _percent(one.latency_error),
                _percent(one.emissions_error),
                _percent(one.excess),
            )
        )
    return PaperTable(
        f"{model.label}: the plan for each latency target, predicted and run",
        (
            *("within ms", "stages", "ms", "ms run", "gCO2eq", "g run", "less carbon"),
            *("ms off", "g off", "above front"),
        ),
        rows,
        frozenset({"stages"}),
        "Predicted from what the whole model took on each node between this plan's requests: where "
        "the machine was slower then than on the whole, ms can be above what they are to be "
        "within. less carbon: than monolithic between these; off: run over predicted; above "
        "front: emissions run over the front's least at that target, as the machine was then.",
    )


def _front(model: ModelResult) -> PaperTable:
    front = model.front
    count = min(MOST_FRONT, len(front))
    places = sorted({round(k * (len(front) - 1) / max(1, count - 1)) for k in range(count)})
    monolithic_g = model.whole[MONOLITHIC].emissions_g
    hop_ms_per_mb = MEGABITS_PER_MB / model.links[0].bandwidth_mbps * MS_PER_S
    return PaperTable(
        f"{model.label}: the exact front, {len(places)} of its {len(front)} plans",
        ("plan", "ms", "gCO2eq", "less carbon", "above front", "stages"),
        [
            *(_planned("front", front[k], 0.0, monolithic_g) for k in places),
            *(
                _planned(f"strategy {one.name}", one.plan, one.more_emissions, monolithic_g)
                for one in model.strategies
                if one.plan is not None
            ),
        ],
        frozenset({"plan", "stages"}),
        "All predicted: a hop takes "
        f"{model.links[0].latency_ms:.2f} ms + {hop_ms_per_mb:.2f} ms a MB, and each stage more "
        f"{model.stage_ms:.2f} ms of a core, as two other plans showed. strategy paper: AMP4EC's "
        "partitioner, by Eq. 5 and the nodes' cores.",
    )


def _planned(name: str, plan: Plan, above: float | None, monolithic_g: float) -> tuple[str, ...]:
    return (
        name,
        f"{plan.latency_ms:.2f}",
        f"{plan.emissions_g:.3e}",
        _percent(1 - plan.emissions_g / monolithic_g),
        "-" if above is None else _percent(above),
        _stages(plan),
    )


def _loaded(model: ModelResult) -> PaperTable:
    assert model.loaded is not None, "it was looked at"
    load = ", ".join(f"{name} {100 * share:.0f} %" for name, share in model.loaded.load.items())
    return PaperTable(
        f"{model.label}: balanced, while other work runs on node-high",
        ("mode", "scoring", "node use", "ms", "gCO2eq"),
        [
            (
                f"always {one.routing.name}" if one.routing.node else one.routing.name,
                one.routing.scoring or "-",
                _use(one.node_use),
                _pm(one.latency_ms),
                _grams(one.emissions_g),
            )
            for one in model.loaded.routed
        ],
        frozenset({"mode", "scoring", "node use"}),
        f"Load that nodes reported before the requests: {load}.",
    )


def _use(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0f} %" for name, share in shares.items() if share)


def _stages(plan: Plan) -> str:
    if len(plan.stages) == 1:
        return f"{plan.stages[0].node} whole"
    return ", ".join(f"{one.node} {one.start}..{one.stop}" for one in plan.stages)


def _pm(value: Estimate) -> str:
    return f"{value.mean:.2f}" + ("" if value.half_width is None else f" ± {value.half_width:.2f}")


def _grams(value: Estimate) -> str:
    if value.half_width is None:
        return f"{value.mean:.3e}"
    return f"{value.mean:.3e} ± {100 * value.half_width / value.mean:.0f} %"


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %" if abs(share) >= 5e-4 else "0.0 %"
