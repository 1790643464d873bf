"""Requests through Ray: sent, waited for, and sent again where a node is lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from carbonedge.carbon import Footprint
from carbonedge.exceptions import CarbonEdgeError, InfeasibleError, RequestTimeoutError
from carbonedge.runtime.deployment import Deployment
from carbonedge.runtime.ray.fleet import Fleet
from carbonedge.runtime.ray.request import Request
from carbonedge.runtime.ray.stages import WATCH_S, longer_s
from carbonedge.runtime.ray.worker import StageMissingError
from carbonedge.units import MS_PER_S

__all__ = ["Answer", "Requests"]

Answer = tuple[dict[str, Any], Footprint]

GRACE_S = 10.0
"""For requests that are waited for when the session is closed."""
END_S = 2.0
"""For those that are not answered then, to notice."""
MOST_KILLS = 2
"""Of workers that ran out of memory with a request under way, before it is not sent again."""
PAUSE_S = 0.05
"""Before a request is sent again, unless plans change sooner."""


class Requests:
    """Answers requests. Safe for threads.

    Stages are pure, so that a request may be sent again: what was under way on a plan that lost
    a node is, on another plan or on the same when it is back. Whatever the first sending
    still comes to is not looked at.

    Parameters
    ----------
    ray
        The module.
    deployment
        The plans that are up.
    fleet
        Told when a worker does not answer as it should.
    why_none
        Says why no plan is up.
    """

    def __init__(
        self, ray: Any, deployment: Deployment, fleet: Fleet, why_none: Callable[[], str]
    ) -> None:
        self._ray = ray
        self._deployment = deployment
        self._fleet = fleet
        self._why_none = why_none
        self._awaited = _Awaited()

    def new(self, feed: Mapping[str, Any], slo_ms: float | None, timeout_s: float) -> Request:
        """A request that has to be answered within so many seconds from now."""
        task = self._deployment.task(slo_ms)
        return Request(feed, task, timeout_s, time.monotonic() + timeout_s)

    def close(self) -> None:
        """Wait a while for the requests that somebody waits for, and take no more. Those left
        end in an error.
        """
        self._awaited.wait_for_none(GRACE_S)
        self._deployment.close()
        # Whoever asks Ray when it is gone starts another one.
        self._awaited.wait_for_none(END_S)

    def answer(self, request: Request) -> Answer:
        """Send a request and wait for its answer.

        Raises
        ------
        RequestTimeoutError
            If it is not answered in time.
        InfeasibleError
            If no plan meets its ``slo_ms`` now, or a node of a local cluster has not the memory.
        ModelError
            If ONNX Runtime fails.
        CarbonEdgeError
            If Ray has no room for it, or the session is closed.
        """
        with self._awaited:
            try:
                while True:
                    self._send(request)
                    answer = self._wait(request)
                    if answer is not None:
                        return answer
                    self._deployment.wait(PAUSE_S)
            finally:
                self._take_back(request)

    async def answer_async(self, request: Request) -> Answer:
        """Send a request and wait for it, without holding up the event loop."""
        with self._awaited:
            try:
                while True:
                    self._send(request, wait=False)
                    answer = await self._wait_async(request)
                    if answer is not None:
                        return answer
                    await asyncio.sleep(PAUSE_S)
            finally:
                self._take_back(request)

    def answer_many(self, requests: Iterable[Request | Exception], most: int) -> Iterator[Answer]:
        """Answers in order, with so many requests under way at most.

        Parameters
        ----------
        requests
            Made as they are asked for. An error in place of one is raised when it is its turn.
        """
        window: deque[Request | Exception] = deque()
        try:
            for request in requests:
                if isinstance(request, Request):
                    request.in_turn = True
                while isinstance(request, Request) and not self._sent(request, bool(window)):
                    yield self._next(window)
                window.append(request)
                if len(window) >= most:
                    yield self._next(window)
            while window:
                yield self._next(window)
        finally:
            for left in window:
                if isinstance(left, Request):
                    self._take_back(left)

    def _sent(self, request: Request, others: bool) -> bool:
        """Whether a request could be sent. Where others are before it, it is their turn to wait
        for a plan, and it may be they that leave none fast enough.
        """
        with self._awaited:
            try:
                self._send(request, wait=not others)
            except InfeasibleError:
                if not others:
                    raise
        return request.deployed is not None or not others

    def _send(self, request: Request, *, wait: bool = True) -> None:
        """Hand a request to a plan; where none is up, wait for one or leave it unsent."""
        if not self._left_s(request):
            raise self._too_late(request)
        self._check_memory(request)
        until_s = request.until_s if wait else 0.0
        taken = self._deployment.take(request.task, until_s)
        if taken is None:
            if wait:
                raise self._too_late(request)
            return
        request.deployed, request.decision = taken
        request.began_s = time.time()
        request.sent_s = time.perf_counter()
        try:
            request.ref = request.deployed.stages.send(request.feed)
        except BaseException as error:
            self._take_back(request)
            if isinstance(error, self._ray.exceptions.RayError):
                self._judge(error)
                return
            raise

    def _check_memory(self, request: Request) -> None:
        """Send none again and again that no node of a local cluster has the memory for."""
        stages, request.left = request.left, None
        outgrown = None if stages is None else stages.outgrown()
        if outgrown is not None:
            request.kills += 1
            if request.kills >= MOST_KILLS:
                raise InfeasibleError(
                    f"{outgrown}, {request.kills} times with this request: give the node more "
                    "memory_mb, or smaller requests"
                )

    def _next(self, window: deque[Request | Exception]) -> Answer:
        first = window.popleft()
        if isinstance(first, Exception):
            raise first
        with self._awaited:
            try:
                while True:
                    answer = self._wait(first)
                    if answer is not None:
                        return answer
                    self._deployment.wait(PAUSE_S)
                    self._send_again(first, [one for one in window if isinstance(one, Request)])
            finally:
                self._take_back(first)

    def _send_again(self, first: Request, others: Sequence[Request]) -> None:
        """Send the first of several, and the others that are lost: one by one, each would find
        out for itself, and wait.
        """
        for request in others:
            if self._is_lost(request):
                self._take_back(request)
        try:
            self._send(first)
        except InfeasibleError:
            # It may be those behind it that leave no plan fast enough.
            for request in others:
                self._take_back(request)
            self._send(first)
        for request in others:
            if request.deployed is None:
                with contextlib.suppress(InfeasibleError):
                    self._send(request, wait=False)

    def _is_lost(self, request: Request) -> bool:
        return request.deployed is None or request.deployed.lost is not None

    def _left_s(self, request: Request) -> float:
        self._deployment.check_open()
        return max(0.0, request.until_s - time.monotonic())

    def _wait(self, request: Request) -> Answer | None:
        """The answer; ``None`` where the request has to be sent again."""
        watch_s = WATCH_S
        while request.ref is not None:
            left_s = self._left_s(request)
            try:
                passed = self._ray.get(request.ref, timeout=min(left_s, watch_s))
            except self._ray.exceptions.GetTimeoutError:
                if self._is_lost(request):
                    self._take_back(request)
                elif not left_s:
                    raise self._too_late(request) from None
                else:
                    watch_s = longer_s(self._ray, request.ref, watch_s)
            except self._ray.exceptions.RayError as error:
                self._take_back(request)
                self._judge(error)
            else:
                return self._finish(request, passed)
        return None

    async def _wait_async(self, request: Request) -> Answer | None:
        if request.ref is None:
            return None
        future = asyncio.wrap_future(request.ref.future())
        try:
            while True:
                left_s = self._left_s(request)
                done, _ = await asyncio.wait([future], timeout=min(left_s, WATCH_S))
                if done:
                    return self._finish(request, future.result())
                if self._is_lost(request):
                    return None
                if not left_s:
                    raise self._too_late(request)
        except self._ray.exceptions.RayError as error:
            self._judge(error)
            return None
        finally:
            future.cancel()
            self._take_back(request)

    def _finish(self, request: Request, passed: Any) -> Answer:
        elapsed_ms = None
        if not request.in_turn:
            elapsed_ms = (time.perf_counter() - request.sent_s) * MS_PER_S
        _, received, runs = passed
        deployed = request.deployed
        assert deployed is not None, "it was sent"
        # What lies in Ray's store cannot be written to, and stays there while it is held.
        tensors = {name: _own(value) for name, value in received.items()}
        taken = deployed.stages.taken(request.feed, tensors, runs, request.began_s, elapsed_ms)
        footprint = deployed.accounting.account(*taken)
        ways_ms = sum(way.time_ms for way in deployed.plan.transfers)
        self._take_back(request, sum(taken.times_ms) + ways_ms)
        return tensors, footprint

    def _take_back(self, request: Request, elapsed_ms: float | None = None) -> None:
        if request.deployed is not None:
            self._deployment.give_back(request.deployed, request.decision, elapsed_ms)
            request.left = request.deployed.stages
        request.deployed = request.decision = request.ref = None

    def _judge(self, error: Exception) -> None:
        """Raise what the request is at fault for; else a node is, and it may be sent again."""
        errors = self._ray.exceptions
        cause = getattr(error, "cause", None)
        full = (errors.ObjectStoreFullError, errors.OutOfDiskError)
        if isinstance(error, full) or isinstance(cause, full):
            raise CarbonEdgeError(
                "Ray's object store is full, so that nothing larger than 100 kB gets through: give "
                "it more memory (`ray start --object-store-memory`), or have fewer in flight"
            ) from error
        if isinstance(cause, StageMissingError):
            self._fleet.lose(None, str(cause))
        elif isinstance(error, errors.RayActorError):
            self._fleet.lose(error.actor_id, str(error).strip().splitlines()[0])
        elif isinstance(error, errors.RayTaskError) and not isinstance(cause, errors.RayError):
            raise error if cause is None else cause from None
        else:
            # Such as what a node had put out and took with it, before the next one had it.
            self._fleet.lose(None, str(error))

    def _too_late(self, request: Request) -> RequestTimeoutError:
        why = self._why_none() if not self._deployment.up else "its plan did not answer"
        return RequestTimeoutError(
            f"the request was not answered within {request.timeout_s:g} s: {why}; it may be sent "
            "again, or given a longer timeout_s"
        )


class _Awaited:
    """Counts those who wait within."""

    def __init__(self) -> None:
        self._count = 0
        self._none = threading.Condition()

    def __enter__(self) -> None:
        with self._none:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._none:
            self._count -= 1
            if self._count == 0:
                self._none.notify_all()

    def wait_for_none(self, timeout_s: float) -> None:
        """Until nobody waits, at most for so long."""
        with self._none:
            self._none.wait_for(lambda: self._count == 0, timeout_s)


def _own(value: Any) -> Any:
    if isinstance(value, np.ndarray) and not value.flags.writeable:
        return value.copy()
    return value
