"""Requests on their way through queues, in simulated time."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonedge.exceptions import InfeasibleError
from carbonedge.experiments.replay.arrivals import Arrivals
from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.policies import Policy

__all__ = ["Course", "simulate"]


@dataclass(frozen=True, slots=True)
class Course:
    """What became of each request.

    Parameters
    ----------
    node : integer array, shape [requests]
        Where it ran.
    start_ms, service_ms : float array, shape [requests]
        When it started there, since the trace begins, and how long it took.
    waited_ms : float array, shape [requests]
        At its gateway and at its node together.
    latency_ms : float array, shape [requests]
        Network, waiting and service.
    """

    node: NDArray[np.int64]
    start_ms: NDArray[np.float64]
    service_ms: NDArray[np.float64]
    waited_ms: NDArray[np.float64]
    latency_ms: NDArray[np.float64]


def simulate(arrivals: Arrivals, fleet: Fleet, policy: Policy) -> Course:
    """Let a policy place all requests, one after another.

    A request goes to its node at once, half a round trip away, and is answered half a round trip
    after it is done. A node has ``parallelism`` slots and serves in the order in which requests
    were placed on it. Where no node has room, requests wait in one line, first come, first
    served, and each answer lets one go on.

    Raises
    ------
    InfeasibleError
        If a request finds no room though nothing runs.
    """
    time_ms, zones, work = arrivals.time_ms.tolist(), arrivals.zone.tolist(), arrivals.work.tolist()
    way_ms = (fleet.round_trip_ms / 2).tolist()
    mean_ms = fleet.numbers("avg_time_ms").tolist()
    free_ms = [[-math.inf] * node.parallelism for node in fleet.nodes]
    place, complete = policy.place, policy.complete
    replace_first, push, pop = heapq.heapreplace, heapq.heappush, heapq.heappop
    nodes, starts_ms = [-1] * len(time_ms), [0.0] * len(time_ms)
    answers: list[tuple[float, int, int]] = []
    line: deque[int] = deque()

    def begin(request: int, zone: int, now_ms: float) -> bool:
        node = place(request, zone, now_ms)
        if node is None:
            return False
        trip_ms = way_ms[zone][node]
        start_ms = now_ms + trip_ms
        slots = free_ms[node]
        if slots[0] > start_ms:  # noqa: PLR1730 - a call of max takes longer
            start_ms = slots[0]
        end_ms = start_ms + mean_ms[node] * work[request]
        replace_first(slots, end_ms)
        push(answers, (end_ms + trip_ms, request, node))
        nodes[request] = node
        starts_ms[request] = start_ms
        return True

    def answer() -> None:
        now_ms, request, node = pop(answers)
        complete(request, node)
        # Room for one has come free, and all requests need as much.
        if line and begin(line[0], zones[line[0]], now_ms):
            line.popleft()

    for request, (now_ms, zone) in enumerate(zip(time_ms, zones, strict=True)):
        while answers and answers[0][0] <= now_ms:
            answer()
        if line or not begin(request, zone, now_ms):
            if not answers:
                raise InfeasibleError(
                    "a request finds no room on any node though nothing runs: its CPU and memory "
                    "are more than any node has"
                )
            line.append(request)
    while answers:
        answer()
    return _course(arrivals, fleet, np.array(nodes), np.array(starts_ms))


def _course(
    arrivals: Arrivals, fleet: Fleet, node: NDArray[np.int64], start_ms: NDArray[np.float64]
) -> Course:
    trip_ms = fleet.round_trip_ms[arrivals.zone, node]
    service_ms = fleet.numbers("avg_time_ms")[node] * arrivals.work
    waited_ms = start_ms - (arrivals.time_ms + trip_ms / 2)
    # In this order, so that to wait for nothing adds exactly nothing.
    latency_ms = trip_ms + service_ms + waited_ms
    return Course(node, start_ms, service_ms, waited_ms, latency_ms)
