"""A node's worker killed with -9 under load: until as many requests a second are answered as before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ray_machines import Machines
from remote import A_THEN_B, CLUSTER, MODEL, feed, nodes_of, open_remote

from carbonedge import InferenceSession

REQUESTS = 1000
KILLED_AT = 200
PACE_S = 0.01
WINDOW = 50
AS_BEFORE = 1.2
"""Of the usual time: so many answers in a row have taken no longer again."""

RECOVERY_GOAL_S = 5.0


def bench_recovery(record_ratio: Callable[..., None]) -> None:
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
    lasted_s = np.array(answered_s)[WINDOW:] - answered_s[:-WINDOW]
    usual_s = np.median(lasted_s[: KILLED_AT - WINDOW])
    gap = KILLED_AT - WINDOW + int(np.argmax(np.diff(answered_s[KILLED_AT - WINDOW :])))
    again = gap + 1 + int(np.flatnonzero(lasted_s[gap + 1 :] <= AS_BEFORE * usual_s)[0])
    record_ratio("requests a second before a worker is killed", WINDOW / usual_s)
    recovered_s = answered_s[again] - sent_s[KILLED_AT]
    what = "a worker killed: until there are as many again, s"
    record_ratio(what, recovered_s, at_most=RECOVERY_GOAL_S)
