from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import models
import numpy as np
import pytest
import ray_machines  # noqa: F401 - one token for every Ray of this process

from carbonedge import (
    CarbonEdgeError,
    Cluster,
    InferenceSession,
    Link,
    Node,
    Plan,
    Stage,
    load_model,
)
from carbonedge.carbon.footprint import Share
from carbonedge.planning.packing import pack
from carbonedge.runtime.ray.connection import NAMESPACE, Connection, worker_name, worker_of
from carbonedge.runtime.ray.survey import Activity, Surveyor
from carbonedge.runtime.ray.worker import StageSpec, Worker
from carbonedge.runtime.session_options import Settings
from carbonedge.runtime.stages import models_of
from carbonedge.runtime.versions import versions

A = Node(
    *("rack:a",),
    cpu_cores=1,
    memory_mb=500,
    power_w=10,
    intensity_g_per_kwh=100,
    pue=1.5,
    embodied_g_per_hour=2,
)
B = Node("b", cpu_cores=1, memory_mb=500, power_w=5, intensity_g_per_kwh=300, speed=0.5)
CLUSTER = Cluster([A, B], [Link("rack:a", "b", bandwidth_mbps=1000)])
PLAN = Plan(
    *((Stage("rack:a", 0, 4, 1.0, 1.0, 1.0), Stage("b", 4, 8, 1.0, 1.0, 1.0)), ()),
    *(1.0, 1.0, 1.0, 1.0, True, 0.0, "latency", "measured"),
)
FEED = {"x": np.ones((1, models.WIDTH), np.float32)}


@pytest.fixture(scope="module")
def session() -> Iterator[InferenceSession]:
    """Under a local Ray, which stands in for both nodes."""
    with InferenceSession(
        models.layers(), CLUSTER, plan=PLAN, runtime="ray", adaptation=None
    ) as session:
        yield session


@pytest.fixture(scope="module")
def surveyor(session: InferenceSession) -> Iterator[Surveyor]:
    with contextlib.closing(Connection(None)) as connection:
        yield Surveyor(connection)


def working(node: Node, stop: int) -> Worker:
    """A worker of its first stage, without Ray."""
    worker = Worker(node, Settings(), stands_in=True)
    part = models_of(load_model(models.layers()), PLAN)[0]
    spec = StageSpec("one", (0, stop), part.inputs, part.outputs, part.outputs, 1.0)
    worker.load(spec, pack(part))
    return worker


def test_who_looks_takes_nothing_from_the_session_that_listens() -> None:
    worker = working(B, 4)
    load = worker.report().load
    for _ in range(3):
        worker.run((("one",), FEED, ()))
    told = worker.tell()
    assert (told.load, told.runs, told.requests) == (load, 3, 3)
    assert dataclasses.replace(worker.tell(), clock_s=told.clock_s) == told
    reported = worker.report()
    assert reported.stage_ms == told.stage_ms
    assert reported.stage_ms.keys() == {(0, 4)}
    assert worker.tell().stage_ms == {}
    # What took so long here takes the node of half the speed twice as long.
    assert told.busy_ms == pytest.approx(2 * 3 * told.stage_ms[0, 4])
    assert told.energy_j == pytest.approx(5 * told.busy_ms / 1000)


def test_workers_are_known_by_their_names_whatever_colons_their_nodes_have() -> None:
    assert worker_of(worker_name("5e55", "rack:a:1")) == ("5e55", "rack:a:1")
    assert worker_name("5e55", "a") != worker_name("5e55", "a")
    for stranger in ("someone", "carbonedge:", "carbonedge:5e55:a", "other:5e55:1:a"):
        assert worker_of(stranger) is None


def test_rates_are_of_what_was_done_between_two_looks(
    session: InferenceSession, surveyor: Surveyor
) -> None:
    began = time.perf_counter()
    surveyor.look()
    before = session.footprint
    for _ in range(20):
        session.run(None, FEED)
    survey = surveyor.look()
    longest_s = time.perf_counter() - began
    b, a = survey.nodes
    assert (a.node, b.node) == ("rack:a", "b")
    assert survey.requests_per_s == a.requests_per_s
    total = session.footprint
    for node in (a, b):
        assert node.silent is None
        assert node.requests_per_s is not None
        assert node.power_w is not None
        assert node.emissions_g_per_s is not None
        passed_s = 20 / node.requests_per_s
        assert 0 < passed_s < longest_s
        then, now = before.by_node.get(node.node, Share()), total.by_node[node.node]
        assert node.stage_ms == pytest.approx((now.time_ms - then.time_ms) / 20)
        assert node.power_w * passed_s == pytest.approx(now.energy_j - then.energy_j)
        emissions_g = now.emissions_g - then.emissions_g
        assert node.emissions_g_per_s * passed_s == pytest.approx(emissions_g)
    assert surveyor.look().nodes[0].stage_ms is None


def test_a_worker_that_is_new_has_no_rates_yet(
    session: InferenceSession, surveyor: Surveyor
) -> None:
    session.run(None, FEED)
    surveyor.look()
    with contextlib.closing(Connection(None)) as connection:
        ray = connection.ray
        (name,) = [name for name in names(connection) if name.endswith(":b")]
        ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=False)
    until = time.monotonic() + 30
    seen: list[Activity] = []
    while not seen or seen[-1].silent is not None or seen[-1].power_w is not None:
        assert time.monotonic() < until
        seen.append(surveyor.look().nodes[0])
    assert seen[-1].requests_per_s is seen[-1].emissions_g_per_s is None
    assert seen[-1].load is not None


def test_a_session_tells_how_its_nodes_are(session: InferenceSession) -> None:
    a, b = session.nodes
    assert (a.name, b.name) == ("rack:a", "b")
    for node in (a, b):
        assert node.load is not None
        assert 0 <= node.load <= 1
        assert node.memory_free_mb is not None
        assert node.memory_free_mb > 0
        assert node.queue == 0
        assert node.round_trip_ms is not None
        assert node.round_trip_ms > 0
        assert node.versions == versions()
    assert a.answers
    assert a.silent is None


def test_the_local_runtime_stands_in_for_nodes_that_answer() -> None:
    session = InferenceSession(models.layers(), CLUSTER, plan=PLAN)
    a, b = session.nodes
    assert (a.name, b.name) == ("rack:a", "b")
    assert a.answers
    assert (a.load, a.memory_free_mb, a.queue, a.round_trip_ms) == (None, None, None, None)
    assert b.versions == versions()
    session.close()
    with pytest.raises(CarbonEdgeError, match="the session is closed"):
        _ = session.nodes


def names(connection: Connection) -> list[str]:
    actors = connection.ray.util.list_named_actors(all_namespaces=True)
    return [actor["name"] for actor in actors]
