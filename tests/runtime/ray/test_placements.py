"""What is put up where, and which of it takes a request, on a real Ray of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layered
import numpy as np
import onnx
import pytest
from hard_models import heavy_everywhere

from carbonedge import Cluster, InfeasibleError, InferenceSession, Link, Node, Plan, Stage
from carbonedge.planning import load_model
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.ray.connection import Connection

LISTENING = Listening(every_s=0.2, silent_after_s=10.0)
PAIR = Cluster(
    [
        Node(name, cpu_cores=1, memory_mb=100, power_w=5, intensity_g_per_kwh=100, avg_time_ms=1)
        for name in "ab"
    ],
    [Link("a", "b", bandwidth_mbps=1000)],
)


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One for all sessions here, which would each start their own."""
    connection = Connection(None)
    yield
    connection.close()


def open_layered(**arguments: Any) -> InferenceSession:
    """The cleaner a node the slower."""
    cluster = layered.cluster(3.0, a=0.25, b=0.5)
    return InferenceSession(
        layered.MODEL,
        cluster,
        **{"runtime": "ray", "costs": "macs", "listening": LISTENING, **arguments},
    )


def used(session: InferenceSession, expected: list[Any], **arguments: Any) -> str:
    """The nodes that one request is answered on, rightly."""
    [answer], footprint = session.run_with_footprint(None, layered.feed(3), **arguments)
    np.testing.assert_allclose(answer, expected[0], rtol=1e-4, atol=1e-5)
    return "".join(sorted(footprint.by_node))


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    whole = Plan(
        (Stage("a", 0, 2 * layered.DEPTH, 1, 1, 1),), (), 1, 1, 1, 1, True, 0, "latency", "macs"
    )
    return open_layered(runtime="local", plan=whole).run(None, layered.feed(3))


def test_replicated_takes_the_greenest_node_of_now(expected: list[Any]) -> None:
    with open_layered(placement="replicated", scoring="constrained") as session:
        assert [[stage.node for stage in plan.stages] for plan in session.plans] == [
            ["a"],
            ["b"],
            ["c"],
        ]
        for changes, node in (
            ({}, "a"),
            ({"a": 5e4}, "b"),
            ({"b": 5e4}, "c"),
            ({"a": 1.0}, "a"),
        ):
            for name, g_per_kwh in changes.items():
                session.update(name, intensity_g_per_kwh=g_per_kwh)
            assert used(session, expected) == node
        assert session.footprint.inferences == 4


def test_replicated_takes_the_fastest_node_where_that_is_asked_for(expected: list[Any]) -> None:
    with open_layered(placement="replicated", mode="performance") as session:
        assert used(session, expected) == "c"


def test_auto_takes_the_greenest_plan_within_the_latency_of_a_request(
    expected: list[Any],
) -> None:
    with open_layered(placement="auto", slo_ms=1e5) as session:
        fastest, *_, greenest = session.plans
        assert used(session, expected) == "".join(stage.node for stage in greenest.stages) == "a"
        slo_ms = fastest.latency_ms + 200
        assert used(session, expected, slo_ms=slo_ms) == "c"
        with pytest.raises(InfeasibleError, match="slo_ms"):
            session.run(None, layered.feed(3), slo_ms=1e-3)
        # Side by side they are expected to be slower than each tolerates: some wait.
        answers = session.run_many(None, [layered.feed(3)] * 40, in_flight=40, slo_ms=2500)
        for [answer] in answers:
            np.testing.assert_allclose(answer, expected[0], rtol=1e-4, atol=1e-5)
        assert session.footprint.inferences == 42


def test_weights_beside_the_model_file_travel_with_their_stages(tmp_path: Path) -> None:
    path = tmp_path / "heavy.onnx"
    onnx.save_model(
        heavy_everywhere(),
        path,
        save_as_external_data=True,
        location="heavy.bin",
        size_threshold=100,
        convert_attribute=True,
    )
    assert (tmp_path / "heavy.bin").stat().st_size > 10_000
    feed = {"x": np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, -1), "flag": np.array(True)}
    graph = load_model(path)
    count, middle = len(graph.operators), graph.cuts[len(graph.cuts) // 2].position
    stages = (Stage("a", 0, middle, 1, 1, 1), Stage("b", middle, count, 1, 1, 1))
    halves = Plan(stages, (), 2, 2, 2, 1, True, 0.0, "latency", "macs")
    with InferenceSession(path, PAIR, plan=halves) as local:
        [theirs] = local.run(None, feed)
    with InferenceSession(path, PAIR, plan=halves, runtime="ray", listening=LISTENING) as remote:
        np.testing.assert_array_equal(remote.run(None, feed)[0], theirs)
