from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pytest
from photo_model import photo_model

from carbonedge import InferenceSession, Node, Task, load_model
from carbonedge.carbon import Footprint, Share
from carbonedge.experiments.paper import PaperModel, Photos
from carbonedge.experiments.paper.calibration import time_whole
from carbonedge.experiments.paper.published import NODE_USE
from carbonedge.experiments.paper.routing import (
    Repeat,
    Routing,
    answer_photos,
    back_to_back_us,
    routings,
    summed_up,
)

MODEL = PaperModel("MobileNetV2", load_model(photo_model()), "photo")
PHOTOS = Photos(tuple(np.zeros((1, 3, 224, 224), np.float32) for _ in range(20)), "none")


class Steady:
    """A session whose node takes the same time for each request."""

    def __init__(self, node: Node, time_ms: float) -> None:
        energy_j = node.power_w * time_ms / 1e3
        grams = energy_j * node.known_intensity() / 3.6e6
        self.footprint = Footprint(1, {node.name: Share(time_ms, energy_j, grams)}, Share())

    def run_with_footprint(self, _: None, feed: Mapping[str, Any]) -> tuple[list[Any], Footprint]:
        assert list(feed) == [MODEL.input]
        return [], self.footprint


def answer(
    way: Routing,
    nodes: list[Node],
    sessions: dict[str, InferenceSession],
    scale: float = 1.0,
) -> Repeat:
    (repeat,) = answer_photos(MODEL, [way], nodes, sessions, PHOTOS, scale=scale)
    return repeat


def steady(nodes: list[Node], scale: float) -> dict[str, InferenceSession]:
    return {
        node.name: cast(InferenceSession, Steady(node, node.avg_time_ms * scale)) for node in nodes
    }


@pytest.mark.parametrize("mode", NODE_USE)
def test_algorithm_1_uses_the_nodes_of_table_v(mode: str, paper_nodes: list[Node]) -> None:
    (way,) = (one for one in routings(254.85) if (one.name, one.scoring) == (mode, "paper"))
    repeats = [answer(way, paper_nodes, steady(paper_nodes, 1.0)) for _ in range(3)]
    assert summed_up(way, paper_nodes, repeats).node_use == NODE_USE[mode]


def test_algorithm_1_depends_on_how_fast_the_host_is(paper_nodes: list[Node]) -> None:
    """Thirty times as fast, green would go to node-high, unless it sees the paper's times."""
    way = Routing("green", next(w.weights for w in routings(1.0) if w.name == "green"), "paper")
    # In proportion to their share of a core, as here.
    times_ms = (254.85, 424.75, 637.125)
    fast = [
        dataclasses.replace(node, avg_time_ms=time_ms / 30)
        for node, time_ms in zip(paper_nodes, times_ms, strict=True)
    ]
    sessions = steady(fast, 1.0)
    assert dict(answer(way, fast, sessions).chosen) == {"node-high": 20}
    scaled = answer(way, fast, sessions, scale=30.0)
    assert dict(scaled.chosen) == {"node-green": 20}


def test_green_saves_all_that_can_be_saved_where_all_nodes_need_the_same_energy(
    paper_nodes: list[Node],
) -> None:
    times_ms = {"node-high": 8.0, "node-medium": 8.0 / 0.6, "node-green": 8.0 / 0.4}
    nodes = [dataclasses.replace(n, avg_time_ms=times_ms[n.name]) for n in paper_nodes]
    sessions = steady(nodes, 1.0)
    ways = {(one.name, one.scoring): one for one in routings(times_ms["node-medium"])}
    green, monolithic = (
        answer(ways[way], nodes, sessions).footprint.emissions_g
        for way in (("green", "normalized"), ("monolithic", None))
    )
    assert 1 - green / monolithic == pytest.approx(1 - 380 / 530)


def test_every_request_is_counted_once(paper_nodes: list[Node]) -> None:
    sessions = steady(paper_nodes, 1.0)
    for way in routings(424.75):
        repeats = [answer(way, paper_nodes, sessions) for _ in range(2)]
        routed = summed_up(way, paper_nodes, repeats)
        assert sum(routed.node_use.values()) == pytest.approx(100)
        for repeat in repeats:
            assert sum(repeat.chosen.values()) == repeat.footprint.inferences == 20
            by_node = repeat.footprint.by_node.items()
            taken = {name: share.time_ms for name, share in by_node}
            for name, count in repeat.chosen.items():
                one_ms = next(n.avg_time_ms for n in paper_nodes if n.name == name)
                assert taken[name] == pytest.approx(count * one_ms)
        total = repeats[0].footprint
        assert routed.emissions_g.mean == pytest.approx(total.emissions_g / 20)
        assert routed.energy_j.mean == pytest.approx(total.energy_j / 20)


class Noting(Steady):
    """One that notes whose turn it was."""

    def __init__(self, node: Node, noted: list[str]) -> None:
        super().__init__(node, 1.0)
        self._name, self._noted = node.name, noted

    def run_with_footprint(self, _: None, feed: Mapping[str, Any]) -> tuple[list[Any], Footprint]:
        self._noted.append(self._name)
        return super().run_with_footprint(None, feed)


def test_what_is_compared_takes_turns_at_each_photo(paper_nodes: list[Node]) -> None:
    noted: list[str] = []
    sessions = {n.name: cast(InferenceSession, Noting(n, noted)) for n in paper_nodes}
    high, green = Routing("a", node="node-high"), Routing("b", node="node-green")
    answer_photos(MODEL, [high, green], paper_nodes, sessions, PHOTOS)
    assert noted == ["node-high", "node-green"] * len(PHOTOS.tensors)
    noted.clear()
    time_whole(MODEL, sessions, PHOTOS)
    assert noted == [node.name for node in paper_nodes] * len(PHOTOS.tensors)


def test_monolithic_is_on_node_medium_and_constrained_keeps_its_latency(
    paper_nodes: list[Node],
) -> None:
    sessions = steady(paper_nodes, 1.0)
    ways = {(one.name, one.scoring): one for one in routings(424.75)}
    monolithic = answer(ways["monolithic", None], paper_nodes, sessions)
    constrained = answer(ways["constrained", "constrained"], paper_nodes, sessions)
    assert dict(monolithic.chosen) == dict(constrained.chosen) == {"node-medium": 20}
    assert monolithic.scheduling_us is None
    assert constrained.scheduling_us is not None


def modes(scoring: str) -> Iterator[Routing]:
    return (one for one in routings(424.75) if one.scoring == scoring)


def test_more_weight_on_carbon_never_emits_more_under_normalized(paper_nodes: list[Node]) -> None:
    sessions = steady(paper_nodes, 1.0)
    ways = sorted(modes("normalized"), key=lambda way: way.weights.carbon)
    emissions = [answer(way, paper_nodes, sessions).footprint.emissions_g for way in ways]
    assert [way.name for way in ways] == ["performance", "balanced", "green"]
    assert all(less <= more for more, less in itertools.pairwise(emissions))


def test_placing_a_task_takes_some_time(paper_nodes: list[Node]) -> None:
    for way in itertools.chain(modes("paper"), modes("constrained")):
        assert back_to_back_us(way, paper_nodes, Task(slo_ms=600)) > 0
