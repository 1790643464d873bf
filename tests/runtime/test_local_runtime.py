"""Placements and several requests at once under runtime "local"."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import models
import numpy as np
import onnxruntime
import pytest
from by_hour import HOUR_S, ByHour
from clock import Clock

from carbonedge import Cluster, ClusterError, InfeasibleError, InferenceSession, Link, Node, Plan
from carbonedge.runtime import local_runtime

NODES = [
    Node("quick", cpu_cores=1, memory_mb=100, power_w=40, intensity_g_per_kwh=600, avg_time_ms=10),
    Node("clean", cpu_cores=1, memory_mb=100, power_w=20, intensity_g_per_kwh=100, avg_time_ms=30),
]
CLUSTER = Cluster(NODES, [Link("quick", "clean", bandwidth_mbps=1000)])
MODEL = models.layers()
WHOLE = onnxruntime.InferenceSession(MODEL.SerializeToString())


def feed(number: int) -> dict[str, Any]:
    x = np.linspace(-1, 1, models.WIDTH, dtype=np.float32).reshape(1, -1)
    return {"x": x * np.float32(1 + number)}


def open_local(**arguments: Any) -> InferenceSession:
    return InferenceSession(MODEL, CLUSTER, costs="macs", **arguments)


def used(session: InferenceSession, **arguments: Any) -> set[str]:
    """The nodes that one request is answered on."""
    [answer], footprint = session.run_with_footprint(None, feed(0), **arguments)
    np.testing.assert_array_equal(answer, WHOLE.run(None, feed(0))[0])
    return set(footprint.by_node)


def test_replicated_puts_the_model_on_every_node_and_the_mode_chooses() -> None:
    for mode, name in (("performance", "quick"), ("green", "clean")):
        session = open_local(placement="replicated", mode=mode)
        assert [[s.node for s in plan.stages] for plan in session.plans] == [["quick"], ["clean"]]
        assert used(session) == {name}


def test_auto_chooses_among_the_plans_of_the_front_by_the_latency_of_a_request() -> None:
    session = open_local(placement="auto", slo_ms=1e3)
    plans = session.plans
    assert len(plans) > 2
    assert used(session) == {"clean"}
    assert used(session, slo_ms=plans[0].latency_ms * 1.001) == {
        stage.node for stage in plans[0].stages
    }
    with pytest.raises(InfeasibleError, match="slo_ms"):
        session.run(None, feed(0), slo_ms=1e-6)
    assert session.footprint.inferences == 2


def test_plans_that_answer_alike_give_the_same_numbers() -> None:
    session = open_local(placement="auto", slo_ms=1e3)
    for plan in session.plans:
        used(session, slo_ms=plan.latency_ms * 1.001)
    assert session.footprint.inferences == len(session.plans)


def test_a_grid_that_turns_dirty_is_left_and_returned_to() -> None:
    session = open_local(placement="replicated", scoring="constrained")
    assert used(session) == {"clean"}
    session.update("clean", intensity_g_per_kwh=1e6)
    assert used(session) == {"quick"}
    session.update("clean", intensity_g_per_kwh=100.0)
    session.run(None, feed(0))
    assert session.footprint.by_node["clean"].energy_j > 0


def test_a_signal_that_changes_by_itself_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(local_runtime, "time", clock)
    hour = int(time.time() // HOUR_S)
    later = {hour + 3: 1e6, hour + 4: 1e6}
    signal = ByHour(
        Q={hour + k: 600.0 for k in range(5)}, C={hour + k: 100.0 for k in range(3)} | later
    )
    zoned = [dataclasses.replace(node, zone=node.name[0].upper()) for node in NODES]
    session = InferenceSession(
        MODEL,
        Cluster(zoned),
        costs="macs",
        placement="replicated",
        scoring="constrained",
        intensity=signal,
    )
    assert used(session) == {"clean"}
    clock.ahead_s = 3 * HOUR_S
    assert used(session) == {"quick"}


def test_the_source_is_a_node_that_may_be_updated_though_no_stage_runs_there() -> None:
    planned = open_local(mode="green").plan
    given = dataclasses.replace(planned, source="quick")
    assert isinstance(given, Plan)
    session = open_local(plan=given)
    before_g = session.run_with_footprint(None, feed(0))[1].transfers.emissions_g
    session.update("quick", intensity_g_per_kwh=1e6)
    assert session.run_with_footprint(None, feed(0))[1].transfers.emissions_g > 10 * before_g
    with pytest.raises(ClusterError, match="nowhere"):
        session.update("nowhere", intensity_g_per_kwh=1.0)


@pytest.mark.parametrize("placement", ["partitioned", "replicated", "auto"])
def test_many_are_answered_in_order_as_they_are_asked_for(placement: str) -> None:
    session = open_local(placement=placement)
    asked = []

    def feeds() -> Iterator[dict[str, Any]]:
        for number in range(10**9):
            asked.append(number)
            yield feed(number)

    answers = session.run_many(None, feeds())
    assert asked == []
    for number in range(5):
        np.testing.assert_array_equal(next(answers)[0], WHOLE.run(None, feed(number))[0])
    assert asked == list(range(5))
    assert session.footprint.inferences == 5


def test_an_invalid_feed_is_raised_in_its_turn_and_ends_it() -> None:
    session = open_local()
    answers = session.run_many(["y"], [feed(0), feed(1), {}, feed(3)])
    assert len([next(answers), next(answers)]) == 2
    with pytest.raises(ValueError, match="'x' is missing"):
        next(answers)
    assert list(answers) == []
    assert session.footprint.inferences == 2


def test_what_is_wrong_with_the_whole_is_raised_at_once() -> None:
    session = open_local()
    with pytest.raises(ValueError, match="in_flight"):
        session.run_many(None, [feed(0)], in_flight=0)
    with pytest.raises(ValueError, match="no output 'z'"):
        session.run_many(["z"], [feed(0)])
    with pytest.raises(ValueError, match="timeout_s"):
        session.run_many(None, [feed(0)], timeout_s=0.0)


def test_a_latency_that_chooses_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="chooses among plans"):
        open_local().run(None, feed(0), slo_ms=5.0)
    with pytest.raises(ValueError, match="chooses among plans"):
        next(open_local().run_many(None, [feed(0)], slo_ms=5.0))


@pytest.mark.parametrize("placement", ["partitioned", "replicated"])
def test_requests_of_an_event_loop_are_answered_side_by_side(placement: str) -> None:
    session = open_local(placement=placement)

    async def ask() -> list[list[Any]]:
        return await asyncio.gather(*(session.run_async(None, feed(k)) for k in range(20)))

    for number, [answer] in enumerate(asyncio.run(ask())):
        np.testing.assert_array_equal(answer, WHOLE.run(None, feed(number))[0])
    assert session.footprint.inferences == 20


def test_placements_hold_under_threads() -> None:
    session = open_local(placement="auto")

    def ask(number: int) -> None:
        [answer] = session.run(None, feed(number))
        np.testing.assert_array_equal(answer, WHOLE.run(None, feed(number))[0])

    with ThreadPoolExecutor(4) as threads:
        asked = threads.map(ask, range(200))
        for number in range(50):
            session.update("clean", intensity_g_per_kwh=float(1 + number % 7 * 1000))
        assert len(list(asked)) == 200
    assert session.footprint.inferences == 200


def test_a_plan_of_ones_own_leaves_nothing_to_place() -> None:
    plan = open_local().plan
    with pytest.raises(ValueError, match="a plan was given, and placement='auto' makes its own"):
        open_local(plan=plan, placement="auto")
