from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from remote import A_THEN_B, CLUSTER, FEED, MODEL, NODES

from carbonedge import Cluster, Link, load_model
from carbonedge.runtime.ray.member import Member
from carbonedge.runtime.ray.stages import RayStages
from carbonedge.runtime.ray.worker import StageTaken

SLOW_B = Cluster(
    [NODES["a"], dataclasses.replace(NODES["b"], speed=0.5)],
    [Link("a", "b", bandwidth_mbps=8, latency_ms=3, energy_j_per_mb=100)],
)
RUNS = [tuple(StageTaken(1.0, 4.0, None, 0.5)), tuple(StageTaken(2.0, 6.0, None, 0.1))]
ANSWER = {"y": np.zeros(4, np.float32)}


def stages(*, scaled: bool) -> RayStages:
    members = {node.name: Member(node, None) for node in CLUSTER.nodes}
    return RayStages(None, load_model(MODEL), SLOW_B, A_THEN_B, members, scaled=scaled)


def test_on_machines_of_their_own_ways_take_what_stages_leave() -> None:
    taken = stages(scaled=False).taken(FEED, ANSWER, RUNS, 7.0, 16.0)
    assert (taken.began_s, taken.times_ms, taken.portions) == (7.0, [4.0, 6.0], [None, None])
    # Into the first stage, between the two, and back: 6 ms together, of which one way counts.
    assert taken.transfers == [(pytest.approx(2.0), pytest.approx(0.5 * 100))]


def test_an_answer_that_nobody_saw_come_took_what_the_links_say() -> None:
    taken = stages(scaled=False).taken(FEED, ANSWER, RUNS, 7.0, None)
    assert taken.times_ms == [4.0, 6.0]
    assert taken.transfers == [(pytest.approx(3 + 500), pytest.approx(50))]


def test_where_workers_stand_in_times_are_the_nodes_and_the_links_own() -> None:
    taken = stages(scaled=True).taken(FEED, ANSWER, RUNS, 7.0, 16.0)
    assert taken.times_ms == [4.0, 12.0]
    assert taken.transfers == [(pytest.approx(3 + 500), pytest.approx(50))]
