"""A node's worker killed with -9 under load: until requests are as quick again as before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from remote import A_THEN_B, CLUSTER, MODEL, feed, nodes_of, open_remote

from carbonedge import InferenceSession

pytest.importorskip("ray")

REQUESTS = 1000
KILLED_AT = 200
PACE_S = 0.01
WINDOW = 50
AS_BEFORE = 1.2
"""Of the usual median: so many requests in a row, by theirs, are as quick again."""

RECOVERY_GOAL_S = 5.0


def bench_recovery(record_ratio: Callable[..., None]) -> None:
    from ray_machines import Machines

    with InferenceSession(MODEL, CLUSTER, plan=A_THEN_B) as here:
        expected = [here.run(None, feed(number))[0] for number in range(REQUESTS)]
    sent_s: list[float] = []

    def feeds() -> Iterator[dict[str, Any]]:
        for number in range(REQUESTS):
            time.sleep(PACE_S)
            if number == KILLED_AT:
                [pid] = machines.worker_pids("b")
                os.kill(pid, signal.SIGKILL)
            sent_s.append(time.perf_counter())
            yield feed(number)

    with Machines("a", "b", "c") as machines, open_remote(machines.address) as session:
        session.run(None, feed(0))
        answered_s = []
        for answer, its in zip(session.run_many(None, feeds()), expected, strict=True):
            answered_s.append(time.perf_counter())
            assert np.array_equal(answer[0], its)
        assert nodes_of(session) == [["a", "b"]]
        assert session.footprint.inferences == REQUESTS + 1
    took_s = np.array(answered_s) - np.array(sent_s)
    usual_s = np.median(took_s[:KILLED_AT])
    medians_s = np.median(sliding_window_view(took_s[KILLED_AT:], WINDOW), axis=1)
    first = KILLED_AT + int(np.flatnonzero(medians_s <= AS_BEFORE * usual_s)[0])
    assert medians_s.max() > AS_BEFORE * usual_s
    record_ratio("a request before a worker is killed, ms", usual_s * 1e3)
    recovered_s = answered_s[first] - sent_s[KILLED_AT]
    record_ratio(
        "a worker killed: until requests are as quick again, s",
        recovered_s,
        at_most=RECOVERY_GOAL_S,
    )
