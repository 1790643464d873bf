from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from remote import A_THEN_B, CLUSTER, FEED, MODEL, NODES

from carbonedge import Cluster, Link, Plan, load_model
from carbonedge.runtime.ray.member import Member
from carbonedge.runtime.ray.stages import RayStages
from carbonedge.runtime.ray.worker import StageTaken

SLOW_B = Cluster(
    [NODES["a"], dataclasses.replace(NODES["b"], speed=0.5)],
    [Link("a", "b", bandwidth_mbps=8, latency_ms=3, energy_j_per_mb=100)],
)
RUNS = [tuple(StageTaken(1.0, 4.0, None, 0.5)), tuple(StageTaken(2.0, 6.0, None, 0.1))]
ANSWER = {"y": np.zeros(4, np.float32)}


def stages(*, scaled: bool, plan: Plan = A_THEN_B) -> RayStages:
    members = {node.name: Member(node, None) for node in CLUSTER.nodes}
    return RayStages(None, load_model(MODEL), SLOW_B, plan, members, scaled=scaled)


def test_on_machines_of_their_own_ways_take_what_stages_leave() -> None:
    taken = stages(scaled=False).taken(FEED, ANSWER, RUNS, 7.0, 16.0)
    assert (taken.began_s, taken.times_ms, taken.portions) == (7.0, [4.0, 6.0], [None, None])
    # Into the first stage, between the two, and back: 6 ms together, of which one way counts.
    assert taken.transfers == [(pytest.approx(2.0), pytest.approx(0.5 * 100))]


def test_what_links_of_a_local_cluster_hold_up_is_their_own() -> None:
    first = StageTaken(1.0, 4.0, None, 0.5)
    last = StageTaken(2.0, 6.0, None, 0.1, came_ms=30.0)
    taken = stages(scaled=False).taken(FEED, ANSWER, [tuple(first), tuple(last)], 7.0, 46.0)
    assert taken.times_ms == [4.0, 6.0]
    assert taken.transfers == [(pytest.approx(2.0 + 30.0), pytest.approx(50))]


def test_so_are_those_from_and_to_the_source() -> None:
    plan = dataclasses.replace(A_THEN_B, source="b")
    its = stages(scaled=False, plan=plan)
    ends = [(spec.comes_from, spec.goes_to) for spec in its._specs]
    assert ends == [("b", None), ("a", None)]  # its source is where the last stage is
    runs = [tuple(StageTaken(1.0, 4.0, None, 0.5, came_ms=20.0)), RUNS[1]]
    assert [hop.target.name for hop in its.hops] == ["b", "a"]
    ways_ms = [ms for ms, _ in its.taken(FEED, ANSWER, runs, 7.0, 36.0).transfers]
    assert ways_ms == [pytest.approx(2.0), pytest.approx(2.0 + 20.0)]
    back = stages(scaled=False, plan=dataclasses.replace(A_THEN_B, source="a"))
    assert [(spec.comes_from, spec.goes_to) for spec in back._specs] == [(None, None), ("a", "a")]
    runs = [RUNS[0], tuple(StageTaken(2.0, 6.0, None, 0.1, came_ms=9.0, went_ms=20.0))]
    ways_ms = [ms for ms, _ in back.taken(FEED, ANSWER, runs, 7.0, 45.0).transfers]
    assert ways_ms == [pytest.approx(2.0 + 9.0), pytest.approx(2.0 + 20.0)]


def test_an_answer_that_nobody_saw_come_took_what_the_links_say() -> None:
    taken = stages(scaled=False).taken(FEED, ANSWER, RUNS, 7.0, None)
    assert taken.times_ms == [4.0, 6.0]
    assert taken.transfers == [(pytest.approx(3 + 500), pytest.approx(50))]


def test_where_workers_stand_in_times_are_the_nodes_and_the_links_own() -> None:
    taken = stages(scaled=True).taken(FEED, ANSWER, RUNS, 7.0, 16.0)
    assert taken.times_ms == [4.0, 12.0]
    assert taken.transfers == [(pytest.approx(3 + 500), pytest.approx(50))]
