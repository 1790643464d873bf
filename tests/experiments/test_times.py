from __future__ import annotations

from dataclasses import replace

import pytest

from carbonedge import Node
from carbonedge.experiments.times import with_times


def test_only_nodes_without_a_time_are_given_one(paper_nodes: list[Node]) -> None:
    high, medium, green = paper_nodes
    untimed = replace(green, avg_time_ms=0, speed=0.4)
    timed, assumed_ms = with_times([high, untimed, medium], 200)
    assert timed == (high, replace(untimed, avg_time_ms=500), medium)
    assert assumed_ms == {"node-green": 500}


def test_times_of_their_own_need_no_other(paper_nodes: list[Node]) -> None:
    assert with_times(paper_nodes, None) == (tuple(paper_nodes), {})


def test_a_time_that_is_missing_or_wrong_is_named(paper_nodes: list[Node]) -> None:
    with pytest.raises(ValueError, match="avg_time_ms of 'node-high' is 0"):
        with_times([replace(paper_nodes[0], avg_time_ms=0), *paper_nodes[1:]], None)
    with pytest.raises(ValueError, match="time_ms is -1"):
        with_times(paper_nodes, -1)
