"""A session on a local Ray, which it starts and stops itself."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from hard_models import HARD, hard_model
from remote import A_THEN_B, CLUSTER, FEED, MODEL, feed, nodes_of, open_remote, plan

from carbonedge import CarbonEdgeError, InferenceSession, load_model
from carbonedge.carbon.report import report
from carbonedge.planning import OperatorCosts


@pytest.fixture(scope="module")
def session() -> Iterator[InferenceSession]:
    with open_remote(None) as session:
        yield session


@pytest.fixture(scope="module")
def local() -> Iterator[InferenceSession]:
    with InferenceSession(MODEL, CLUSTER, plan=A_THEN_B) as local:
        yield local


def test_it_answers_as_the_local_runtime_does(
    session: InferenceSession, local: InferenceSession
) -> None:
    for number in range(20):
        for mine, its in zip(
            session.run(None, feed(number)), local.run(None, feed(number)), strict=True
        ):
            np.testing.assert_array_equal(mine, its)
            mine[...] = 0.0  # the caller's own
    assert session.run(["y"], FEED)[0].shape == FEED["x"].shape


def test_many_are_answered_in_order_and_asked_for_as_there_is_room(
    session: InferenceSession, local: InferenceSession
) -> None:
    asked = []

    def feeds() -> Iterator[dict[str, Any]]:
        for number in itertools.count():
            asked.append(number)
            yield feed(number)

    answers = session.run_many(None, feeds(), in_flight=3)
    for number, [answer] in enumerate(itertools.islice(answers, 50)):
        np.testing.assert_array_equal(answer, local.run(None, feed(number))[0])
        assert len(asked) <= number + 3
    answers.close()  # type: ignore[attr-defined]  # of a generator
    session.run(None, FEED)


def test_a_wrong_feed_among_many_is_an_error_in_its_turn(session: InferenceSession) -> None:
    answers = session.run_many(None, [FEED, FEED, {"z": FEED["x"]}, FEED])
    assert len([next(answers), next(answers)]) == 2
    with pytest.raises(ValueError, match="input 'x' is missing"):
        next(answers)
    with pytest.raises(ValueError, match="in_flight is 0"):
        session.run_many(None, [FEED], in_flight=0)


def test_many_may_be_none(session: InferenceSession) -> None:
    assert list(session.run_many(None, [])) == []


def test_it_answers_asynchronously_side_by_side(
    session: InferenceSession, local: InferenceSession
) -> None:
    async def all_of(count: int) -> list[Any]:
        return await asyncio.gather(*(session.run_async(None, feed(n)) for n in range(count)))

    for number, [answer] in enumerate(asyncio.run(all_of(20))):
        np.testing.assert_array_equal(answer, local.run(None, feed(number))[0])


def test_threads_may_share_it(session: InferenceSession, local: InferenceSession) -> None:
    before = session.footprint.inferences
    wrong: list[int] = []

    def client(first: int) -> None:
        for number in range(first, first + 25):
            [answer] = session.run(None, feed(number))
            if not np.array_equal(answer, local.run(None, feed(number))[0]):
                wrong.append(number)

    threads = [threading.Thread(target=client, args=(25 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert session.footprint.inferences - before == 100


def test_each_request_is_counted_as_runtime_local_counts_it(
    session: InferenceSession, local: InferenceSession
) -> None:
    _, mine = session.run_with_footprint(None, FEED)
    _, its = local.run_with_footprint(None, FEED)
    assert mine.by_node.keys() == its.by_node.keys()
    assert (mine.method, mine.time_source) == (its.method, its.time_source)
    assert mine.transfers == pytest.approx(its.transfers)
    for name, share in mine.by_node.items():
        node = CLUSTER.nodes[CLUSTER.index(name)]
        assert share.energy_j == pytest.approx(node.power_w * share.time_ms / 1000)


def test_a_timeout_that_is_too_short_is_an_error_and_loses_nothing(
    session: InferenceSession,
) -> None:
    before = session.footprint.inferences
    with pytest.raises(TimeoutError, match="not answered within 1e-06 s"):
        session.run(None, FEED, timeout_s=1e-6)
    with pytest.raises(TimeoutError, match="not answered within 1e-06 s"):
        asyncio.run(session.run_async(None, FEED, timeout_s=1e-6))
    session.run(None, FEED)
    assert session.footprint.inferences == before + 1


def test_intensities_may_change_while_it_runs(session: InferenceSession) -> None:
    _, before = session.run_with_footprint(None, FEED)
    session.update("a", intensity_g_per_kwh=0.0)
    try:
        _, after = session.run_with_footprint(None, FEED)
        assert before.by_node["a"].operational_g > after.by_node["a"].operational_g == 0.0
    finally:
        session.update("a", intensity_g_per_kwh=100.0)


@pytest.mark.parametrize("what", HARD)
def test_what_is_hard_to_cut_goes_from_node_to_node(what: str, session: InferenceSession) -> None:
    request = HARD[what][1]
    graph = load_model(hard_model(what))
    count = len(graph.operators)
    middle = graph.cuts[len(graph.cuts) // 2].position
    split = plan(("a", 0, middle), ("b", middle, count))
    costs = OperatorCosts(
        *("measured", np.ones((count, 3)), np.zeros(3)),
        frozenset(cut.position for cut in graph.cuts),
    )
    with (
        InferenceSession(graph, CLUSTER, plan=split) as here,
        InferenceSession(
            graph, CLUSTER, plan=split, runtime="ray", costs=costs, feed=request
        ) as there,
    ):
        assert nodes_of(there) == [["a", "b"]]
        for mine, its in zip(there.run(None, request), here.run(None, request), strict=True):
            np.testing.assert_equal(mine, its)


def test_a_meter_is_opened_where_a_machine_is_one_node(caplog: pytest.LogCaptureFixture) -> None:
    """A machine that stands for several would give each what the others drew."""
    with open_remote(None, meter="model") as session:
        _, footprint = session.run_with_footprint(None, FEED)
    assert footprint.energy_source.startswith("node power x time")
    said = [record.getMessage() for record in caplog.records]
    assert [text for text in said if "its machine stands for other nodes too" in text]


def test_a_ledger_holds_what_ran_on_workers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with open_remote(None, ledger=path) as session:
        for _ in range(5):
            session.run(None, FEED)
        total = session.footprint
    written = report(path, by="node")
    assert {group.name for group in written.groups} == {"a", "b"}
    assert written.total.inferences == total.inferences == 5
    assert written.total.emissions_g == pytest.approx(total.emissions_g)


def test_a_closed_session_answers_nothing_and_keeps_its_figures() -> None:
    session = open_remote(None)
    answers = session.run_many(None, map(feed, range(100)))
    next(answers)
    session.run(None, FEED)
    session.close()
    session.close()
    with pytest.raises(CarbonEdgeError, match="the session is closed"):
        session.run(None, FEED)
    with pytest.raises(CarbonEdgeError, match="the session was closed"):
        list(answers)
    assert session.footprint.inferences >= 2
    assert nodes_of(session) == [["a", "b"]]


def test_the_local_ray_is_gone_with_its_last_session() -> None:
    """In a process of its own, where no other session keeps it."""
    code = """
import json, threading
from remote import FEED, open_remote
import ray, psutil
first = open_remote(None)
second = open_remote(None, placement="replicated")
first.close()
second.run(None, FEED)
there = ray.is_initialized()
second.close()
left = [p.name() for p in psutil.Process().children(recursive=True)]
threads = [t.name for t in threading.enumerate() if t.name.startswith("carbonedge")]
print(json.dumps([there, ray.is_initialized(), left, threads]))
"""
    there, still, left, threads = json.loads(run_alone(code).stdout)
    assert there
    assert not still
    assert "raylet" not in left
    assert not threads


def test_a_session_that_nobody_closes_ends_with_its_process_and_starts_no_other_ray() -> None:
    code = """
import ray_machines, ray
from remote import FEED, open_remote
session = open_remote(None)
session.run(None, FEED)
ray.init = lambda *_, **__: print("another Ray")
"""
    done = run_alone(code)
    assert (done.stdout, done.stderr) == ("", "")


def run_alone(code: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the modules of the tests."""
    paths = [os.environ.get("PYTHONPATH"), str(Path(models.__file__).parent)]
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=True,
    )
