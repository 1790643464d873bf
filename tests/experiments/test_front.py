from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from carbonedge import Cluster, Link, ModelGraph, Node, load_model, partition
from carbonedge.experiments import Front, compare_with_front, light_model, save_front_plot
from carbonedge.experiments.front_plot import front_figure
from carbonedge.planning import operator_costs


@pytest.fixture(scope="module")
def model() -> ModelGraph:
    return load_model(light_model("squeezenet"))


@pytest.fixture
def cluster(paper_nodes: list[Node]) -> Cluster:
    pairs = itertools.combinations([node.name for node in paper_nodes], 2)
    return Cluster(paper_nodes, [Link(*pair, bandwidth_mbps=1000) for pair in pairs])


@pytest.fixture
def front(model: ModelGraph, cluster: Cluster) -> Front:
    return compare_with_front(model, cluster, costs=operator_costs(model, cluster.nodes, "macs"))


def labels(front: Front) -> list[str]:
    (legend,) = front_figure(front).legends
    return [text.get_text() for text in legend.get_texts()]


def test_no_baseline_is_below_the_front(front: Front) -> None:
    assert [(b.name, b.whole) for b in front.baselines] == [
        ("paper", False),
        ("greedy", False),
        ("node-high", True),
        ("node-medium", True),
        ("node-green", True),
    ]
    for baseline in front.baselines:
        assert baseline.plan is not None
        not_slower = [
            plan.emissions_g
            for plan in front.plans
            if plan.latency_ms <= baseline.plan.latency_ms * (1 + 1e-9)
        ]
        assert baseline.more_emissions is not None
        assert baseline.more_emissions >= 0
        assert baseline.plan.emissions_g == pytest.approx(
            (1 + baseline.more_emissions) * min(not_slower)
        )


def test_the_ends_of_a_front_are_on_it(front: Front) -> None:
    over = {b.name: b.more_emissions for b in front.baselines if b.whole}
    assert over["node-high"] == 0
    assert over["node-green"] == 0


def test_what_cannot_run_says_why(model: ModelGraph, cluster: Cluster) -> None:
    small = replace(cluster.nodes[1], memory_mb=1)
    nodes = Cluster([cluster.nodes[0], small, cluster.nodes[2]], cluster.links)
    costs = operator_costs(model, nodes.nodes, "macs")
    front = compare_with_front(model, nodes, costs=costs)
    medium = front.baselines[3]
    assert medium.plan is None
    assert medium.obstacle == "its stage on node 'node-medium' needs 33.134 MB of 1 MB"
    assert "whole model on one node (1 cannot)" in labels(front)
    paper = front.baselines[0]
    assert paper.obstacle is not None
    assert "strategy 'paper' finds no plan" in paper.obstacle
    assert "strategy paper: no plan" in labels(front)
    assert front.to_dict()["baselines"][0]["plan"] is None


def test_limits_are_the_fronts(model: ModelGraph, cluster: Cluster) -> None:
    costs = operator_costs(model, cluster.nodes, "macs")
    front = compare_with_front(model, cluster, costs=costs, slo_ms=400, max_stages=2)
    assert all(plan.latency_ms <= 400 for plan in front.plans)
    plans = [b.plan for b in front.baselines if b.plan is not None]
    assert max(plan.latency_ms for plan in plans) > 400
    assert max(len(plan.stages) for plan in (*plans, *front.plans)) == 2


def test_the_picture_shows_every_plan(front: Front, model: ModelGraph, cluster: Cluster) -> None:
    costs = operator_costs(model, cluster.nodes, "macs")
    chosen = partition(model, cluster, objective="throughput", costs=costs)
    axes = front_figure(front, chosen=chosen).axes[0]
    assert axes.get_xlabel() == "latency of one inference, ms"
    assert axes.get_ylabel() == "emissions of one inference, µgCO2eq"
    line, paper, greedy, whole, star = axes.lines
    assert list(line.get_xdata()) == [plan.latency_ms for plan in front.plans]
    assert list(line.get_ydata()) == [plan.emissions_g / 1e-6 for plan in front.plans]
    assert [len(marks.get_xdata()) for marks in (paper, greedy, whole, star)] == [1, 1, 3, 1]
    assert star.get_xdata()[0] == chosen.latency_ms
    assert [text.get_text() for text in axes.texts] == [node.name for node in cluster.nodes]
    for (low, high), values in (
        (axes.get_xlim(), [x for each in axes.lines for x in each.get_xdata()]),
        (axes.get_ylim(), [y for each in axes.lines for y in each.get_ydata()]),
    ):
        assert low <= min(values) < max(values) < high


def test_names_cover_neither_each_other_nor_break_as_formulas(model: ModelGraph) -> None:
    nodes = [
        Node(
            f"a$b_{{c${i}",
            cpu_cores=1,
            memory_mb=512,
            power_w=10,
            intensity_g_per_kwh=500,
            avg_time_ms=100 + i / 100,
        )
        for i in range(6)
    ]
    cluster = Cluster(nodes)
    front = compare_with_front(model, cluster, costs=operator_costs(model, nodes, "macs"))
    figure = front_figure(front)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 6
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_extremes_are_drawn_too(model: ModelGraph, cluster: Cluster) -> None:
    clean = Cluster([replace(node, intensity_g_per_kwh=0) for node in cluster.nodes], cluster.links)
    costs = operator_costs(model, clean.nodes, "macs")
    front = compare_with_front(model, clean, costs=costs)
    assert len(front.plans) == 1
    assert front.baselines[0].more_emissions is None
    front_figure(front).draw_without_rendering()
    slow = Cluster([*cluster.nodes, replace(cluster.nodes[0], name="slow", avg_time_ms=1e5)])
    costs = operator_costs(model, slow.nodes, "macs")
    axes = front_figure(compare_with_front(model, slow, costs=costs)).axes[0]
    assert axes.get_xscale() == "log"


def test_a_picture_is_saved_as_its_name_says(front: Front, tmp_path: Path) -> None:
    save_front_plot(front, tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    save_front_plot(front, tmp_path / "front.svg")
    assert ET.parse(tmp_path / "front.svg").getroot().tag.endswith("svg")
    with pytest.raises(ValueError, match=r"name a file that ends in \.png or \.svg"):
        save_front_plot(front, tmp_path / "front.pdf")
