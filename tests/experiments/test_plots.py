from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carbonedge import BackendUnavailableError, Node, Task
from carbonedge.experiments import Sweep, save_sweep_plot, sweep_carbon
from carbonedge.experiments.plots import sweep_figure


@pytest.fixture
def sweep(paper_nodes: list[Node]) -> Sweep:
    return sweep_carbon(paper_nodes, Task())


def names_on_top(sweep: Sweep) -> list[list[str]]:
    figure = sweep_figure(sweep)
    figure.draw_without_rendering()
    return [
        [tick.get_text() for tick in child.get_xticklabels()]
        for axes in figure.axes[:2]
        for child in axes.child_axes
    ]


def test_each_panel_draws_what_was_predicted(sweep: Sweep) -> None:
    figure = sweep_figure(sweep)
    panels = figure.axes
    assert [axes.get_title() for axes in panels[:2]] == ["scoring: paper", "scoring: normalized"]
    assert panels[0].get_ylabel() == "emissions per task, µgCO2eq"
    assert panels[2].get_ylabel() == "latency per task, ms"
    for column, scoring in enumerate(("paper", "normalized")):
        choices = [step.choices[scoring] for step in sweep.steps]
        emissions, latency = panels[column].lines[0], panels[column + 2].lines[0]
        np.testing.assert_allclose(emissions.get_ydata(), [1e6 * c.emissions_g for c in choices])
        np.testing.assert_allclose(latency.get_ydata(), [c.latency_ms for c in choices])
        assert latency.get_drawstyle() == "steps-post"


def test_nodes_are_named_where_the_choice_changes(sweep: Sweep) -> None:
    assert names_on_top(sweep) == [["node-high", "node-green"]] * 2


def test_names_are_shown_as_they_are_but_short(paper_nodes: list[Node]) -> None:
    odd = ("a$b_{c$", "m", "x" * 100)
    nodes = [replace(node, name=name) for node, name in zip(paper_nodes, odd, strict=True)]
    assert names_on_top(sweep_carbon(nodes, Task()))[0] == ["a$b_{c$", "x" * 29 + "..."]


def test_names_that_would_cover_others_are_left_out() -> None:
    nodes = [
        Node(
            f"n{i}",
            cpu_cores=1,
            memory_mb=512,
            power_w=10,
            intensity_g_per_kwh=700 / (1 + i) ** 1.5,
            avg_time_ms=100 + 10 * i,
        )
        for i in range(40)
    ]
    named = names_on_top(sweep_carbon(nodes, Task(), steps=1001))[1]
    assert 2 <= len(named) <= 42
    assert named[0] == "n0"


def test_nothing_emitted_is_drawn_too(paper_nodes: list[Node]) -> None:
    clean = [replace(node, intensity_g_per_kwh=0) for node in paper_nodes]
    panels = sweep_figure(sweep_carbon(clean, Task())).axes
    assert panels[0].get_ylim() == (0, 1)


@pytest.mark.parametrize("name", ["sweep.png", "sweep.PNG"])
def test_a_png_is_saved(name: str, sweep: Sweep, tmp_path: Path) -> None:
    save_sweep_plot(sweep, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_an_svg_is_saved(sweep: Sweep, tmp_path: Path) -> None:
    save_sweep_plot(sweep, tmp_path / "sweep.svg")
    assert ET.parse(tmp_path / "sweep.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", ["sweep.pdf", "sweep", ".png"])
def test_other_files_are_refused(name: str, sweep: Sweep, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name a file that ends in \.png or \.svg"):
        save_sweep_plot(sweep, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_missing_matplotlib_says_what_to_install(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BackendUnavailableError, match=r'pip install "carbonedge\[plot\]"'):
        save_sweep_plot(sweep, tmp_path / "sweep.png")
