"""A plan that gives way to another while requests are answered: what they notice of it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import layered
import numpy as np
import pytest

from carbonedge import InferenceSession
from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.ray.stages import RayStages

CLIENTS = 2
SWITCHES = 6


def bench_a_switch_under_load(
    monkeypatch: pytest.MonkeyPatch, record_ratio: Callable[..., None]
) -> None:
    loads_ms: list[float] = []
    load = RayStages.load

    def timed(stages: RayStages) -> None:
        began = time.perf_counter()
        load(stages)
        loads_ms.append((time.perf_counter() - began) * 1e3)

    monkeypatch.setattr(RayStages, "load", timed)
    took: list[tuple[float, float]] = []
    over = threading.Event()
    with InferenceSession(
        layered.MODEL,
        layered.cluster(0.6),
        runtime="ray",
        adaptation=Adaptation(every_s=0.3, tolerance=0.25),
        listening=Listening(every_s=0.2, silent_after_s=10.0),
    ) as session:
        answers = {number: session.run(None, layered.feed(number))[0] for number in range(17)}

        def ask() -> None:
            for number in itertools.count():
                if over.is_set():
                    return
                began = time.perf_counter()
                [answer] = session.run(None, layered.feed(number))
                took.append((began, (time.perf_counter() - began) * 1e3))
                np.testing.assert_allclose(answer, answers[number % 17], rtol=1e-4, atol=1e-5)

        threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(3.0)
        loads_ms.clear()
        began = time.perf_counter()
        for number in range(SWITCHES):
            before = session.plan.identity
            session.update("a", intensity_g_per_kwh=100.0 if number % 2 else 5000.0)
            until = time.monotonic() + 30
            while session.plan.identity == before:
                assert time.monotonic() < until, "the plan stayed"
                time.sleep(0.01)
            time.sleep(0.5)
        over.set()
        for thread in threads:
            thread.join()
        assert session.footprint.inferences == len(took) + len(answers)
    usual_ms = float(np.median([ms for at, ms in took if at < began]))
    slowest_usual_ms = max(ms for at, ms in took if at < began)
    worst_ms = max(ms for at, ms in took if at >= began)
    stage_ms = float(np.median(loads_ms))
    record_ratio("switching: a request's usual time, ms", usual_ms)
    record_ratio("switching: the slowest request without a switch, ms", slowest_usual_ms)
    record_ratio("switching: the slowest request while plans change, ms", worst_ms)
    record_ratio("switching: bringing up a stage, ms", stage_ms)
    record_ratio(
        "switching: slowest over (twice the usual time + bringing up a stage)",
        worst_ms / (2 * usual_ms + stage_ms),
        at_most=1.0,
    )
