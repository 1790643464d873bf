"""What was to be shown, and whether it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from carbonedge.experiments.paper.published import GREEN_REDUCTION, NODE_USE, SCHEDULING_MS
from carbonedge.experiments.paper.result import ModelResult, PaperResult

__all__ = ["Conclusion", "conclusions"]

MOST_ABOVE_LEAST = 0.01
MOST_EXCESS_PREDICTED, MOST_EXCESS_RUN = 0.02, 0.05
MOST_ERROR = 0.10
MOST_SCHEDULING_MS = 0.003
BETWEEN = "between node-high and node-green in latency and carbon"
US_PER_MS = 1e3


@dataclass(frozen=True, slots=True)
class Conclusion:
    """One goal.

    Parameters
    ----------
    what
        For people.
    goal, figure
        In words, numbers in.
    reached
        Whether the figure meets the goal.
    """

    what: str
    goal: str
    figure: str
    reached: bool


def conclusions(result: PaperResult) -> list[Conclusion]:
    """Every goal of the experiment, in one order. Where nodes were not throttled they did not
    differ, and no goal of theirs is reached whatever came out.
    """
    of_nodes = [one for part in (_choices, _carbon, _plans) for one in part(result)]
    if not result.throttled:
        of_nodes = [
            dataclasses.replace(one, figure=f"{one.figure} (unthrottled)", reached=False)
            for one in of_nodes
        ]
    return [*of_nodes, *_scheduling(result)]


def _choices(result: PaperResult) -> Iterator[Conclusion]:
    first = result.models[0]
    wrong = [
        f"{mode}: {_use(first.row(mode, 'paper').node_use)}"
        for mode, published in NODE_USE.items()
        if first.row(mode, "paper").node_use != published
    ]
    yield Conclusion(
        f"Table V, {first.label}, scoring paper",
        "identical",
        "; ".join(wrong) or "identical",
        not wrong,
    )
    for model in result.models:
        if model.loaded is not None:
            yield _balanced(model)
    if not result.throttled:
        yield Conclusion(
            f"balanced, {first.label}, normalized, node-high busy with other work",
            BETWEEN,
            "not looked at",
            False,
        )


def _balanced(model: ModelResult) -> Conclusion:
    assert model.loaded is not None, "it was looked at"
    rows = {(r.routing.name, r.routing.scoring): r for r in model.loaded.routed}
    high, green = rows["node-high", None], rows["node-green", None]
    balanced = rows["balanced", "normalized"]
    between = all(
        low.mean < its.mean < top.mean
        for low, its, top in (
            (high.latency_ms, balanced.latency_ms, green.latency_ms),
            (green.emissions_g, balanced.emissions_g, high.emissions_g),
        )
    )
    load = model.loaded.load["node-high"]
    return Conclusion(
        f"balanced, {model.label}, normalized, node-high {load:.0%} busy with other work",
        BETWEEN,
        f"{_use(balanced.node_use)}; {high.latency_ms.mean:.3g} < "
        f"{balanced.latency_ms.mean:.3g} < {green.latency_ms.mean:.3g} ms; "
        f"{green.emissions_g.mean:.3g} < {balanced.emissions_g.mean:.3g} < "
        f"{high.emissions_g.mean:.3g} g",
        between,
    )


def _carbon(result: PaperResult) -> Iterator[Conclusion]:
    for model in result.models:
        green = model.row("green", "normalized")
        reduction, above = model.reduction(green), model.above_least(green)
        yield Conclusion(
            f"green against monolithic, {model.label}",
            f">= {GREEN_REDUCTION:.1%} less carbon",
            f"{reduction:.1%}",
            reduction >= GREEN_REDUCTION,
        )
        yield Conclusion(
            f"green against the least possible, {model.label}",
            f"<= {MOST_ABOVE_LEAST:.0%} above",
            f"{above:z.2%}",
            above <= MOST_ABOVE_LEAST,
        )


def _plans(result: PaperResult) -> Iterator[Conclusion]:
    for model in result.models:
        run = max(tried.excess for tried in model.tried)
        yield Conclusion(
            f"emissions at {model.asked} latency targets, {len(model.targets)} of them run, "
            f"{model.label}",
            f"within {MOST_EXCESS_PREDICTED:.0%} of the front predicted, {MOST_EXCESS_RUN:.0%} run",
            f"{model.most_excess:z.2%} and {run:z.2%}",
            model.most_excess <= MOST_EXCESS_PREDICTED and run <= MOST_EXCESS_RUN,
        )
        latency = max((one.latency_error for one in model.tried), key=abs)
        emissions = max((one.emissions_error for one in model.tried), key=abs)
        yield Conclusion(
            f"predicted against measured, {len(model.tried)} plans, {model.label}",
            f"within {MOST_ERROR:.0%}",
            f"latency {latency:+.1%}, emissions {emissions:+.1%} at worst",
            max(abs(latency), abs(emissions)) <= MOST_ERROR,
        )


def _scheduling(result: PaperResult) -> Iterator[Conclusion]:
    back_to_back_ms = result.scheduling_us / US_PER_MS
    between = [row.scheduling_us for model in result.models for row in model.routed]
    slowest_ms = max(one for one in between if one is not None) / US_PER_MS
    yield Conclusion(
        "scheduling a task, the slowest way of routing",
        f"<= {MOST_SCHEDULING_MS} ms (the paper: {SCHEDULING_MS})",
        f"{back_to_back_ms:.4f} ms back to back, {slowest_ms:.4f} between requests, caches cold",
        back_to_back_ms <= MOST_SCHEDULING_MS,
    )


def _use(shares: object) -> str:
    assert isinstance(shares, dict)
    return ", ".join(f"{name} {share:.0f} %" for name, share in shares.items() if share)
