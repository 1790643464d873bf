from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from ray_machines import Machines, namespaces_available
from remote import A_THEN_B, CLUSTER, MODEL, feed, nodes_of, open_remote, wait_for

from carbonedge import InferenceSession, RequestTimeoutError

BACK_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with Machines("a", "b", "c") as machines:
        yield machines


@pytest.fixture(scope="module")
def expected() -> Iterator[InferenceSession]:
    with InferenceSession(MODEL, CLUSTER, plan=A_THEN_B) as session:
        yield session


def kill_worker(machines: Machines, name: str) -> float:
    for pid in machines.worker_pids(name):
        os.kill(pid, signal.SIGKILL)
    return time.perf_counter()


def test_a_worker_killed_under_load_costs_no_answer(
    machines: Machines, expected: InferenceSession
) -> None:
    count, pace_s = 1000, 0.008
    killed_s: list[float] = []
    sent_s = []

    def feeds() -> Iterator[dict[str, Any]]:
        for number in range(count):
            time.sleep(pace_s)
            if number == count // 5:
                killed_s.append(kill_worker(machines, "b"))
            sent_s.append(time.perf_counter())
            yield feed(number)

    with open_remote(machines.address) as session:
        answered_s = []
        for number, [answer] in enumerate(session.run_many(None, feeds(), in_flight=16)):
            answered_s.append(time.perf_counter())
            np.testing.assert_array_equal(answer, expected.run(None, feed(number))[0])
        assert len(answered_s) == count == session.footprint.inferences
        wait_for(lambda: nodes_of(session) == [["a", "b"]])
    took_s = np.array(answered_s) - np.array(sent_s)
    usual_s = np.median(took_s[: count // 5])
    late = np.array(answered_s) > killed_s[0] + BACK_WITHIN_S
    assert late.any()
    assert np.median(took_s[late]) < 2 * usual_s


def test_workers_killed_at_random_moments_cost_no_answer(
    machines: Machines, expected: InferenceSession
) -> None:
    chance = random.Random(6)
    _hammer(machines, expected, kills=4, between_s=lambda: chance.uniform(0.2, 1.5), clients=4)


@pytest.mark.soak
def test_workers_killed_for_minutes_cost_no_answer(
    machines: Machines, expected: InferenceSession
) -> None:
    chance = random.Random(7)
    _hammer(machines, expected, kills=100, between_s=lambda: chance.uniform(0.0, 3.0), clients=8)


def _hammer(
    machines: Machines, expected: InferenceSession, *, kills: int, between_s: Any, clients: int
) -> None:
    """Requests from several threads until workers of random nodes have been killed so often."""
    over = threading.Event()

    def client(first: int) -> int:
        number = first
        while not over.is_set():
            [answer] = session.run(None, feed(number))
            np.testing.assert_array_equal(answer, expected.run(None, feed(number))[0])
            number += clients
        return (number - first) // clients

    with open_remote(machines.address) as session, ThreadPoolExecutor(clients) as threads:
        answers = [threads.submit(client, first) for first in range(clients)]
        try:
            for kill in range(kills):
                time.sleep(between_s())
                kill_worker(machines, "abc"[kill % 3])
            wait_for(lambda: nodes_of(session) == [["a", "b"]])
        finally:
            over.set()
        answered = sum(answer.result() for answer in answers)
        assert session.footprint.inferences == answered > 0


def test_a_machine_that_is_gone_is_done_without_and_used_again_when_it_is_back(
    machines: Machines, expected: InferenceSession
) -> None:
    with open_remote(machines.address) as session:
        machines.stop("a")
        [answer] = session.run(None, feed(1))
        np.testing.assert_array_equal(answer, expected.run(None, feed(1))[0])
        assert "a" not in nodes_of(session)[0]
        machines.start("a")
        wait_for(lambda: nodes_of(session) == [["a", "b"]])
        [answer] = session.run(None, feed(2))
        np.testing.assert_array_equal(answer, expected.run(None, feed(2))[0])
        assert set(session.footprint.by_node) >= {"a", "b"}


def test_replicas_stand_in_for_one_that_dies(
    machines: Machines, expected: InferenceSession
) -> None:
    with open_remote(machines.address, placement="replicated") as session:
        assert nodes_of(session) == [["a"], ["b"], ["c"]]
        kill_worker(machines, "c")
        for number in range(200):
            [answer] = session.run(None, feed(number))
            np.testing.assert_allclose(answer, expected.run(None, feed(number))[0], rtol=1e-6)
        wait_for(lambda: nodes_of(session) == [["a"], ["b"], ["c"]])


def test_a_request_that_nobody_can_answer_ends_in_one_error_in_time(machines: Machines) -> None:
    with open_remote(machines.address) as session:
        for name in "abc":
            machines.stop(name)
        try:
            began_s = time.monotonic()
            with pytest.raises(RequestTimeoutError, match=r"not answered within 4 s: .*longer"):
                session.run(None, feed(0), timeout_s=4)
            assert time.monotonic() - began_s < 8
            assert session.footprint.inferences == 0
        finally:
            for name in "abc":
                machines.start(name)
        session.run(None, feed(0))
        assert session.footprint.inferences == 1


def test_a_machine_cut_off_is_done_without_and_used_again_when_it_is_restored(
    expected: InferenceSession,
) -> None:
    if reason := namespaces_available():
        pytest.skip(reason)
    with (
        Machines("a", "b", apart=["b"]) as machines,
        open_remote(machines.address, plan=A_THEN_B) as session,
    ):
        session.run(None, feed(0))
        machines.cut("b")
        began_s = time.monotonic()
        answers = session.run_many(None, map(feed, range(20)))
        for number, [answer] in enumerate(answers):
            np.testing.assert_array_equal(answer, expected.run(None, feed(number))[0])
        # Ray itself would have said nothing for a minute.
        assert time.monotonic() - began_s < 15
        assert nodes_of(session) == [["a"]]
        machines.restore("b")
        wait_for(lambda: nodes_of(session) == [["a", "b"]], within_s=60)
        np.testing.assert_array_equal(session.run(None, feed(9))[0], expected.run(None, feed(9))[0])
