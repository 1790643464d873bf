from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
import ray

from carbonedge import CarbonEdgeError, InfeasibleError, Node, Plan, RequestTimeoutError, Stage
from carbonedge.runtime.deployment import Deployed, Deployment
from carbonedge.runtime.local import Taken
from carbonedge.runtime.placement import Placement
from carbonedge.runtime.ray import requests as module
from carbonedge.runtime.ray.requests import MOST_KILLS, Requests
from carbonedge.runtime.ray.worker import OutgrownError

NODES = [Node(name, cpu_cores=1, memory_mb=1, power_w=5, intensity_g_per_kwh=9) for name in "ab"]


class Ray:
    """Answers what a test lets it, or when the test says so."""

    exceptions = ray.exceptions

    def __init__(self) -> None:
        self.sent: list[Future[Any]] = []
        self.at_once = True
        self.fetching_s = 0.0
        """Which a call must allow for an answer to come."""

    def send(self, feed: Any) -> Future[Any]:
        ref: Future[Any] = Future()
        ref.future = lambda: ref  # type: ignore[attr-defined]
        self.sent.append(ref)
        if self.at_once:
            ref.set_result(((), {"y": feed["x"]}, ()))
        return ref

    def get(self, ref: Future[Any], timeout: float) -> Any:
        if timeout < self.fetching_s:
            raise ray.exceptions.GetTimeoutError
        try:
            return ref.result(timeout)
        except TimeoutError:
            raise ray.exceptions.GetTimeoutError from None

    def wait(self, refs: Sequence[Future[Any]], *, timeout: float, fetch_local: bool) -> Any:
        assert not fetch_local
        return [ref for ref in refs if ref.done()], []


class Scene:
    def __init__(self, placement: Placement) -> None:
        self.ray = Ray()
        self.deployment = Deployment(NODES, placement)
        fleet = cast(Any, SimpleNamespace(lose=lambda actor, why: None))
        self.requests = Requests(self.ray, self.deployment, fleet, lambda: "all are cut off")
        self.counted: list[Any] = []
        self.outgrown: OutgrownError | None = None

    def up(self, name: str, time_ms: float = 1.0) -> Deployed:
        plan = Plan(
            (Stage(name, 0, 1, time_ms, 1.0, 1e-6),),
            *((), time_ms, 1.0, 1e-6, 1.0, True, 0.0, "latency", "macs"),
        )
        taken = Taken(0.0, [time_ms], [None], [])
        stages = SimpleNamespace(
            send=self.ray.send, taken=lambda *_: taken, outgrown=lambda: self.outgrown
        )
        accounting = SimpleNamespace(account=lambda *took: self.counted.append(took))
        return Deployed(plan, stages, cast(Any, accounting))

    def new(self, number: int = 0, timeout_s: float = 30.0, slo_ms: float | None = None) -> Any:
        return self.requests.new({"x": number}, slo_ms, timeout_s)


@pytest.fixture
def scene() -> Scene:
    return Scene(Placement())


def test_a_request_that_is_interrupted_is_under_way_no_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    one = scene.up("a")
    scene.deployment.replace([one])
    monkeypatch.setattr(scene.ray, "get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scene.requests.answer(scene.new())
    with pytest.raises(KeyboardInterrupt):
        next(scene.requests.answer_many([scene.new()], 1))
    assert one.under_way == 0


def test_a_request_that_cannot_be_counted_is_under_way_no_more(scene: Scene) -> None:
    one = scene.up("a")
    scene.deployment.replace([one])

    def full(*_: Any) -> None:
        raise OSError("the ledger's disk is full")

    one.accounting.account = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk is full"):
        scene.requests.answer(scene.new())
    assert one.under_way == 0
    assert scene.deployment.answered == 0


def test_what_takes_long_to_fetch_is_waited_for_longer_each_time(scene: Scene) -> None:
    """Ray begins anew to fetch what it has not got in time: at the same time each it never has."""
    scene.deployment.replace([scene.up("a")])
    scene.ray.fetching_s = 1.5
    tensors, _ = scene.requests.answer(scene.new(7, timeout_s=5.0))
    assert tensors == {"y": 7}


@pytest.mark.parametrize("ended", [True, False], ids=["memory", "another reason"])
def test_a_request_that_ends_its_worker_for_want_of_memory_is_not_sent_for_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    def dies(*_: Any, **__: Any) -> Any:
        if len(scene.ray.sent) > MOST_KILLS:
            return (), {"y": 7}, ()
        raise ray.exceptions.ActorUnavailableError("killed", None)

    monkeypatch.setattr(scene.ray, "get", dies)
    scene.outgrown = OutgrownError("a", 50.0, 60.0) if ended else None
    scene.deployment.replace([one := scene.up("a")])
    if ended:
        with pytest.raises(InfeasibleError, match=r"node 'a' has 60 MB.*2 times with this request"):
            scene.requests.answer(scene.new())
        assert len(scene.ray.sent) == MOST_KILLS
    else:
        assert scene.requests.answer(scene.new())[0] == {"y": 7}
    assert one.under_way == 0


def test_a_request_cancelled_while_no_plan_is_up_takes_none(scene: Scene) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(scene.requests.answer_async(scene.new()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        scene.deployment.replace([one])
        await asyncio.sleep(0.2)

    one = scene.up("a")
    asyncio.run(cancelled())
    assert one.under_way == 0
    assert not scene.ray.sent


def test_a_request_cancelled_under_way_is_so_no_more(scene: Scene) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(scene.requests.answer_async(scene.new()))
        await asyncio.sleep(0.1)
        assert one.under_way == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scene.ray.at_once = False
    one = scene.up("a")
    scene.deployment.replace([one])
    asyncio.run(cancelled())
    assert one.under_way == 0


def test_requests_time_out_each_in_its_time_however_many_wait_for_a_plan(scene: Scene) -> None:
    async def all_of() -> float:
        waiting = [asyncio.create_task(scene.requests.answer_async(scene.new())) for _ in range(64)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        with pytest.raises(RequestTimeoutError, match=r"within 0\.2 s: all are cut off"):
            await scene.requests.answer_async(scene.new(timeout_s=0.2))
        took = time.monotonic() - began
        scene.deployment.replace([scene.up("a")])
        await asyncio.gather(*waiting)
        return took

    assert asyncio.run(all_of()) < 5


def test_the_first_of_many_times_out_in_its_time_while_no_plan_is_up(scene: Scene) -> None:
    scene.ray.at_once = False
    one = scene.up("a")
    scene.deployment.replace([one])

    def made() -> Iterator[Any]:
        yield scene.new(0, timeout_s=1.0)
        yield scene.new(1)
        scene.deployment.withdraw({"a": "it is cut off"})
        yield scene.new(2)

    began = time.monotonic()
    with pytest.raises(RequestTimeoutError, match=r"within 1 s: all are cut off"):
        next(scene.requests.answer_many(made(), 8))
    assert time.monotonic() - began < 10
    assert one.under_way == 0


def test_answers_that_came_in_time_may_be_taken_late(scene: Scene) -> None:
    scene.deployment.replace([scene.up("a")])
    made = (scene.new(number, timeout_s=0.3) for number in range(4))
    answers = scene.requests.answer_many(made, 4)
    numbers = [next(answers)[0]["y"]]
    time.sleep(0.4)
    numbers += [tensors["y"] for tensors, _ in answers]
    assert numbers == [0, 1, 2, 3]


def test_many_that_lose_a_node_wait_for_each_other_where_the_rest_is_slow() -> None:
    """On the node that is left only two at a time meet the latency."""
    scene = Scene(Placement("replicated", scoring="constrained", slo_ms=70.0))
    scene.deployment.replace([scene.up("a", 1.0), scene.up("b", 30.0)])
    scene.ray.at_once = False

    def made() -> Iterator[Any]:
        for number in range(8):
            if number == 6:
                scene.ray.at_once = True
                scene.deployment.withdraw({"a": "it is cut off"})
            yield scene.new(number)

    answers = scene.requests.answer_many(made(), 7)
    assert [tensors["y"] for tensors, _ in answers] == list(range(8))
    assert len(scene.counted) == scene.deployment.answered == 8
    [left] = scene.deployment.up
    assert left.under_way == 0


def test_a_latency_that_none_of_many_meets_is_one_error() -> None:
    scene = Scene(Placement("replicated", scoring="constrained", slo_ms=20.0))
    scene.deployment.replace([scene.up("b", 30.0)])
    with pytest.raises(InfeasibleError):
        next(scene.requests.answer_many(map(scene.new, itertools.count()), 4))


@pytest.mark.parametrize("up", [True, False])
def test_requests_still_waited_for_after_the_close_end_in_one_error(
    up: bool, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.1)
    scene.ray.at_once = False
    if up:
        scene.deployment.replace([scene.up("a")])
    errors: list[Exception] = []

    def client() -> None:
        try:
            scene.requests.answer(scene.new())
        except CarbonEdgeError as error:
            errors.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    time.sleep(0.1)
    scene.requests.close()
    assert [str(error) for error in errors] == ["the session was closed: open another"]
    thread.join()


def test_what_many_had_under_way_is_not_asked_for_after_the_close(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would be started again."""
    scene.deployment.replace([scene.up("a")])
    answers = scene.requests.answer_many(map(scene.new, range(3)), 8)
    next(answers)
    scene.requests.close()
    monkeypatch.setattr(scene.ray, "get", None)
    with pytest.raises(CarbonEdgeError, match="the session was closed"):
        next(answers)
