"""Plans that change under load, on a real Ray of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import layered
import numpy as np
import onnxruntime
import pytest

from carbonedge import InferenceSession, Plan, Stage, load_model
from carbonedge.carbon.footprint import together
from carbonedge.planning import OperatorCosts, operator_costs
from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.ray.connection import Connection
from carbonedge.runtime.ray.runtime import RayRuntime
from carbonedge.runtime.ray.worker import StageMissingError

QUICKLY = Adaptation(every_s=0.3, tolerance=0.25)
LISTENING = Listening(every_s=0.2, silent_after_s=10.0)
DIRTY = 5000.0


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One for all sessions here, which would each start their own."""
    connection = Connection(None)
    yield
    connection.close()


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    whole = onnxruntime.InferenceSession(layered.MODEL.SerializeToString())
    return [whole.run(None, layered.feed(number))[0] for number in range(17)]


@functools.cache
def costs() -> OperatorCosts:
    return operator_costs(load_model(layered.MODEL), layered.cluster().nodes, "measured")


def open_remote(share: float = 2.0, **arguments: Any) -> InferenceSession:
    return InferenceSession(
        layered.MODEL,
        layered.cluster(share),
        runtime="ray",
        costs=costs(),
        adaptation=QUICKLY,
        listening=LISTENING,
        **arguments,
    )


def runtime(session: InferenceSession) -> RayRuntime:
    opened = session._runtime
    assert isinstance(opened, RayRuntime)
    return opened


def nodes_of(plan: Plan) -> str:
    return "".join(stage.node for stage in plan.stages)


def wait_for(condition: Callable[[], object], within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.02)


class Clients:
    """Ask without pause, one after another, pipelined, and on event loops; check every answer."""

    def __init__(
        self,
        session: InferenceSession,
        expected: list[np.ndarray],
        *,
        alone: int,
        many: int = 0,
        looped: int = 0,
    ) -> None:
        self._session = session
        self._expected = expected
        self._stop = threading.Event()
        self.errors: list[BaseException] = []
        self.took_ms: list[tuple[float, float]] = []
        self.answers = 0
        self._lock = threading.Lock()
        targets = [self._ask] * alone + [self._ask_many] * many + [self._ask_looped] * looped
        self._threads = [threading.Thread(target=self._guarded, args=(t,)) for t in targets]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001  # told by the test, not lost in a thread
            self.errors.append(error)

    def _ask(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            began = time.perf_counter()
            [answer] = self._session.run(None, layered.feed(number))
            self._check(number, answer)
            self.took_ms.append((began, (time.perf_counter() - began) * 1e3))

    def _ask_many(self) -> None:
        feeds = itertools.takewhile(lambda _: not self._stop.is_set(), itertools.count())
        answers = self._session.run_many(None, map(layered.feed, feeds))
        for number, [answer] in enumerate(answers):
            self._check(number, answer)

    def _ask_looped(self) -> None:
        async def ask() -> None:
            for first in itertools.count():
                if self._stop.is_set():
                    return
                numbers = (first, first + 1)
                asked = [self._session.run_async(None, layered.feed(number)) for number in numbers]
                for number, [answer] in zip(numbers, await asyncio.gather(*asked), strict=True):
                    self._check(number, answer)

        asyncio.run(ask())

    def _check(self, number: int, answer: np.ndarray) -> None:
        np.testing.assert_allclose(answer, self._expected[number % 17], rtol=1e-4, atol=1e-5)
        with self._lock:
            self.answers += 1


def worker_pid(session: InferenceSession, name: str) -> int:
    from ray._private.state import actors

    member = runtime(session).members[name]
    assert member.greeting is not None
    return int(actors(member.greeting.actor)["Pid"])


@contextlib.contextmanager
def slowed(pid: int, share: float) -> Iterator[None]:
    """A process that runs for such a share of the time, as under a CPU quota."""
    over = threading.Event()

    def throttle() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.02 * (1 - share))
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.02 * share)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_switch_under_load_fails_no_request_answers_none_twice_and_leaves_nothing(
    expected: list[np.ndarray], record_property: Callable[[str, object], None]
) -> None:
    with open_remote(0.6) as session:
        assert set(nodes_of(session.plan)) == {"a", "b"}  # no node holds the whole
        left = []
        with Clients(session, expected, alone=2, many=1, looped=1) as clients:
            time.sleep(1.0)
            began = time.perf_counter()
            for name, g_per_kwh, nodes in (
                ("a", DIRTY, {"b", "c"}),
                ("a", 100.0, {"a", "b"}),
                ("b", DIRTY, {"a", "c"}),
                ("b", 300.0, {"a", "b"}),
            ):
                left += runtime(session)._deployment.up
                session.update(name, intensity_g_per_kwh=g_per_kwh)
                wait_for(lambda nodes=nodes: set(nodes_of(session.plan)) == nodes)
                time.sleep(0.3)
            ended = time.perf_counter()
        assert clients.errors == []
        assert clients.answers == session.footprint.inferences
        counted = [accounting.total() for accounting in runtime(session).accountings]
        assert len(counted) >= 3
        assert all(one.inferences > 0 for one in counted)
        assert sum(one.inferences for one in counted) == clients.answers
        assert session.footprint.energy_j == pytest.approx(together(counted).energy_j)
        assert all(one.under_way == 0 for one in left)
        for one in left:
            for member, spec in zip(one.stages._members, one.stages._specs, strict=True):
                wait_for(lambda m=member, s=spec: is_gone(session, m.actor, s.identity), 10.0)
    usual = [ms for at, ms in clients.took_ms if at < began]
    during = [ms for at, ms in clients.took_ms if began <= at < ended]
    record_property("usual_ms", float(np.median(usual)))
    record_property("worst_ms", max(during))


def is_gone(session: InferenceSession, actor: Any, identity: str) -> bool:
    ray = runtime(session)._ray
    try:
        ray.get(actor.run.remote(((identity,), layered.feed(0), ())))
    except StageMissingError:
        return True
    return False


def test_nothing_moves_where_it_does_not_pay_or_hardly_anything_has_changed(
    caplog: pytest.LogCaptureFixture, expected: list[np.ndarray]
) -> None:
    """Without requests no move pays; with them, only what changed by more than the tolerance."""
    with caplog.at_level(logging.DEBUG, logger="carbonedge"), open_remote() as session:
        [answer] = session.run(None, layered.feed(0))
        np.testing.assert_allclose(answer, expected[0], rtol=1e-4, atol=1e-5)
        time.sleep(0.7)
        caplog.clear()
        session.update("a", intensity_g_per_kwh=DIRTY)
        wait_for(lambda: "staying: moving would cost" in caplog.text)
        assert nodes_of(session.plan) == "a"


def test_a_node_that_slows_is_left(expected: list[np.ndarray]) -> None:
    """Its energy and grams are modelled by its time, which grows by more than b's grid is
    dirtier.
    """
    with open_remote() as session:
        session.update("b", intensity_g_per_kwh=800.0)
        with Clients(session, expected, alone=1) as clients:
            time.sleep(2.0)
            assert nodes_of(session.plan) == "a"
            with slowed(worker_pid(session, "a"), 0.03):
                wait_for(lambda: "a" not in nodes_of(session.plan))
        assert clients.errors == []
        assert clients.answers == session.footprint.inferences


def test_plans_of_a_front_give_way_to_those_of_another(expected: list[np.ndarray]) -> None:
    """Of nodes that are alike the cleanest alone makes the front, until its grid turns dirty."""
    with open_remote(placement="auto") as session:
        assert [nodes_of(plan) for plan in session.plans] == ["a"]
        with Clients(session, expected, alone=1, many=1) as clients:
            time.sleep(0.5)
            session.update("a", intensity_g_per_kwh=DIRTY)
            wait_for(lambda: "a" not in {nodes_of(plan) for plan in session.plans})
            session.update("a", intensity_g_per_kwh=100.0)
            wait_for(lambda: "a" in {nodes_of(plan) for plan in session.plans})
        assert clients.errors == []
        assert clients.answers == session.footprint.inferences


def test_a_plan_of_the_users_own_stays_whatever_drifts(expected: list[np.ndarray]) -> None:
    stage = Stage("a", 0, 2 * layered.DEPTH, 1.0, 1.0, 1.0)
    given = Plan((stage,), (), 1.0, 1.0, 1.0, 1.0, True, 0.0, "latency", "macs")
    with (
        open_remote(plan=given) as session,
        Clients(session, expected, alone=1) as clients,
    ):
        session.update("a", intensity_g_per_kwh=DIRTY)
        time.sleep(2.0)
        assert session.plans == (given,)
    assert clients.errors == []
