from __future__ import annotations

import math

import pytest

from carbonedge.carbon import Footprint, Share
from carbonedge.carbon.footprint import together


def footprint(name: str = "a", method: str = "emulated", source: str = "here") -> Footprint:
    return Footprint(
        1,
        {name: Share(4.0, 2.0, 0.375, 0.125, 0.5)},
        Share(1.0, 0.25, 0.125),
        method=method,
        energy_source=source,
    )


def test_sums_take_nodes_and_transfers() -> None:
    one = footprint()
    assert (one.latency_ms, one.energy_j, one.emissions_g) == (5.0, 2.25, 0.625)
    assert (one.operational_g, one.embodied_g, one.idle_j) == (0.5, 0.125, 0.5)
    assert one.inferences_per_g == 1.6


def test_nothing_yet_is_no_error() -> None:
    empty = Footprint(0, {}, Share())
    assert (empty.inferences, empty.energy_j, empty.emissions_g, empty.latency_ms) == (0, 0, 0, 0)
    assert math.isinf(empty.inferences_per_g)
    assert empty.to_dict()["inferences_per_g"] is None


def test_a_footprint_says_how_it_came_about() -> None:
    document = Footprint(1, {"a": Share(4.0, 2.0, 0.5)}, Share()).to_dict()
    assert document["method"] == "emulated"
    assert "divided by the node's speed" in document["time_source"]
    assert "node power x time" in document["energy_source"]
    assert "static, average, lifecycle" in document["intensity_source"]
    assert document["by_node"]["a"]["energy_j"] == 2.0
    assert document["by_node"]["a"]["emissions_g"] == 0.5


def test_footprints_together_add_up_by_node() -> None:
    total = together(footprint(name) for name in ("a", "b", "a"))
    assert total.inferences == 3
    assert total.by_node == {
        "a": Share(8.0, 4.0, 0.75, 0.25, 1.0),
        "b": Share(4.0, 2.0, 0.375, 0.125, 0.5),
    }
    assert total.energy_j == 6.75
    assert total.latency_ms == 5.0


@pytest.mark.parametrize(
    ("methods", "weakest"),
    [
        (("measured", "measured"), "measured"),
        (("measured", "modelled"), "modelled"),
        (("emulated", "measured", "modelled"), "emulated"),
    ],
)
def test_footprints_together_are_as_good_as_the_weakest(
    methods: tuple[str, ...], weakest: str
) -> None:
    total = together(footprint(method=method, source=method) for method in methods)
    assert total.method == weakest
    assert total.energy_source == "; ".join(dict.fromkeys(methods))
