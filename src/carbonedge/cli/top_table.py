"""What is shown of the workers on a Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from carbonedge.cli.console import fold_text, plain_table
from carbonedge.runtime.ray.survey import Activity, Survey

__all__ = ["survey_view"]

FIGURES = (
    *("load", "MB free", "queue", "req/s", "stage ms"),
    *("W", "g/kWh", "g/s", "round trip ms"),
)
TEXT_COLUMNS = ("session", "node")
LEAST_NAME = 8
"""Names fold down to that before a figure gives way."""
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
    yield _Rows(nodes, TEXT_COLUMNS if len(sessions) > 1 else TEXT_COLUMNS[1:])
    for node in silent:
        yield Text(f"{node.node} is silent: {node.silent}")
    if survey.time_source is not None:
        yield Text(f"Nodes are emulated; times are {survey.time_source}.", style="dim")
    yield Text(NOTE, style="dim")


class _Rows:
    """A row for each node, with the figures that there is room for: one cut short misleads."""

    def __init__(self, nodes: Sequence[Activity], names: Sequence[str]) -> None:
        self._nodes = nodes
        self._names = names

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        shown = len(FIGURES)
        while shown > 1 and self._least_width(shown) > options.max_width:
            shown -= 1
        yield self._table(shown)
        if shown < len(FIGURES):
            yield Text(f"In a wider terminal: {', '.join(FIGURES[shown:])}", style="dim")

    def _cells(self, shown: int) -> list[list[str]]:
        return [
            [*(getattr(node, name) for name in self._names), *_figures(node, shown)]
            for node in self._nodes
        ]

    def _least_width(self, shown: int) -> int:
        headed = [[*self._names, *FIGURES[:shown]], *self._cells(shown)]
        widths = [max(map(cell_len, column)) for column in zip(*headed, strict=True)]
        for name in range(len(self._names)):
            widths[name] = min(widths[name], LEAST_NAME)
        return sum(widths) + len(widths) - 1

    def _table(self, shown: int) -> Table:
        table = plain_table((*self._names, *FIGURES[:shown]), TEXT_COLUMNS)
        table.collapse_padding = True
        fold_text(table)
        for row in self._cells(shown):
            table.add_row(*row)
        return table


def _figures(node: Activity, shown: int) -> list[str]:
    if node.silent is not None:
        return [*["-"] * (shown - 1), "silent"]
    figures = [
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
    return figures[:shown]


def _figure(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
