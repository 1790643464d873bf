from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from entries import NOON_S, entry, intensity, origin

from carbonedge.carbon.entry import Entry
from carbonedge.carbon.ledger import Ledger
from carbonedge.carbon.ledger_window import Window, read_window
from carbonedge.carbon.report import summary
from carbonedge.experiments.report_plots import (
    COLOURS,
    MOST_BARS,
    MOST_PANELS,
    STEPS_S,
    history_figure,
    load_figure,
    nodes_figure,
    plot_step_s,
    step_name,
    svg_text,
)


def window(path: Path, entries: Sequence[Entry], step_s: float = 3600.0) -> Window:
    with Ledger(path) as ledger:
        for one in entries:
            ledger.append(one)
    return read_window(path, step_s=step_s)


def spread(nodes: int) -> list[Entry]:
    """An entry an hour, each node in turn, the first the heaviest."""
    return [
        entry(
            NOON_S + 3600 * number,
            number,
            origin=origin(f"node-{number % nodes}", plan=str(number % nodes)),
            intensity=intensity(100.0 + number),
            operational_g=1e-3 / (1 + number % nodes),
            embodied_g=0.0,
            transfer_g=0.0,
        )
        for number in range(3 * nodes)
    ]


def test_steps_are_multiples_of_all_smaller_ones() -> None:
    for small, large in itertools.combinations(STEPS_S, 2):
        assert large % small == 0


@pytest.mark.parametrize("span_s", [0, 1, 59, 3600, 86_400, 30 * 86_400, 365 * 86_400])
def test_a_plot_has_as_many_steps_as_can_be_told_apart(span_s: float) -> None:
    assert span_s <= 60 * plot_step_s(NOON_S, NOON_S + span_s)


@pytest.mark.parametrize(
    ("step_s", "name"),
    [
        (1, "second"),
        (5, "5 seconds"),
        (60, "minute"),
        (900, "15 minutes"),
        (3600, "hour"),
        (10_800, "3 hours"),
        (86_400, "day"),
        (604_800, "week"),
        (2_419_200, "4 weeks"),
    ],
)
def test_steps_are_named(step_s: float, name: str) -> None:
    assert step_name(step_s) == name


@pytest.mark.parametrize("nodes", [1, 3, 20])
def test_bars_over_time_stack_up_to_all_emissions(nodes: int, tmp_path: Path) -> None:
    read = window(tmp_path / "ledger.db", spread(nodes))
    figure = history_figure(read, 21_600)
    (axes,) = figure.axes
    assert axes.get_ylabel() == "mgCO2eq per 6 hours"
    total_mg = sum(bar.get_height() for bars in axes.containers for bar in bars)
    assert total_mg == pytest.approx(summary(read).total.emissions_g * 1e3)
    for bars in axes.containers:
        for below, bar in zip(axes.containers[0], bars, strict=True):
            assert below.get_x() == bar.get_x()
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[0] == "node-0"
    assert len(named) == min(nodes, len(COLOURS) + 1)
    assert ("others" in named) == (nodes > len(COLOURS))


@pytest.mark.parametrize("nodes", [1, 3, 20])
def test_bars_of_nodes_add_up_to_all_emissions(nodes: int, tmp_path: Path) -> None:
    read = summary(window(tmp_path / "ledger.db", spread(nodes)), by="node")
    (axes,) = nodes_figure(read.groups).axes
    total_mg = sum(bar.get_width() for bars in axes.containers for bar in bars)
    assert total_mg == pytest.approx(read.total.emissions_g * 1e3)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "node-0"
    assert len(names) == min(nodes, MOST_BARS + 1)


@pytest.mark.parametrize("nodes", [1, 3, 20])
def test_points_of_load_stand_within_their_panels(nodes: int, tmp_path: Path) -> None:
    figure = load_figure(window(tmp_path / "ledger.db", spread(nodes)), 3600)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == min(nodes, MOST_PANELS)
    for axes in panels:
        (points,) = axes.lines
        assert len(points.get_xdata()) == 3
        assert all(0 <= x <= axes.get_xlim()[1] for x in points.get_xdata())
        assert list(points.get_ydata()) == [1, 1, 1]
        lowest, highest = axes.get_ylim()
        assert lowest == 0
        assert highest > 1


def test_the_same_figure_is_the_same_text(tmp_path: Path) -> None:
    read = window(tmp_path / "ledger.db", spread(3))
    first, second = (svg_text(history_figure(read, 3600), "history") for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
