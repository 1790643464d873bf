"""What is shown of the workers on a Ray."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from carbonedge.cli.console import fold_text, plain_table
from carbonedge.runtime.ray.survey import Activity, Survey

__all__ = ["survey_view"]

FIGURES = (
    *("load", "MB free", "queue", "req/s", "stage ms"),
    *("W", "g/kWh", "g/s", "round trip ms"),
)
TEXT_COLUMNS = ("session", "node")
NO_SESSION = (
    "No session runs there: open one with InferenceSession(model, cluster, "
    'runtime="ray", address=...).'
)
NOTE = (
    "W and g/s are of inference alone: what nodes draw while nothing runs is not in them. Together, "
    "each request counts once."
)


def survey_view(survey: Survey) -> RenderableType:
    """The sums, which a low terminal is to show first, and a row for each node."""
    return Group(*_parts(survey))


def _parts(survey: Survey) -> Iterator[RenderableType]:
    nodes = survey.nodes
    sessions = {node.session for node in nodes}
    if not nodes:
        yield Text(f"Ray {survey.address}")
        yield Text(NO_SESSION)
        return
    silent = [node for node in nodes if node.silent is not None]
    yield Text(
        f"Ray {survey.address}: {_count(len(sessions), 'session')}, "
        f"{_count(len(nodes), 'node')}, {len(silent) or 'none'} silent"
    )
    yield Text(
        f"Together {_figure(survey.requests_per_s, '.1f')} requests/s, "
        f"{_figure(survey.power_w, '.3f')} W, {_figure(survey.emissions_g_per_s, '.3e')} gCO2eq/s"
    )
    yield Text()
    names = TEXT_COLUMNS if len(sessions) > 1 else TEXT_COLUMNS[1:]
    table = plain_table((*names, *FIGURES), TEXT_COLUMNS)
    table.collapse_padding = True
    fold_text(table)
    for node in nodes:
        who = (node.session, node.node) if len(sessions) > 1 else (node.node,)
        table.add_row(*who, *_figures(node))
    yield table
    for node in silent:
        yield Text(f"{node.node} is silent: {node.silent}")
    yield Text(NOTE, style="dim")


def _figures(node: Activity) -> list[str]:
    if node.silent is not None:
        return [*["-"] * (len(FIGURES) - 1), "silent"]
    return [
        _figure(node.load, ".2f"),
        _figure(node.memory_free_mb, ".0f"),
        _figure(node.queue, "d"),
        _figure(node.requests_per_s, ".1f"),
        _figure(node.stage_ms, ".2f"),
        _figure(node.power_w, ".3f"),
        _figure(node.intensity_g_per_kwh, "g"),
        _figure(node.emissions_g_per_s, ".2e"),
        _figure(node.round_trip_ms, ".2f"),
    ]


def _figure(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
