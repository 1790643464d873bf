from __future__ import annotations

import threading
import time

import pytest

from carbonedge.runtime.local_cluster.pace import Pace

SHORTER = 0.98
"""Of what the clocks may differ by."""


def compute(cpu_s: float) -> float:
    """CPU time of this thread, that long at least."""
    began_s = time.thread_time()
    while time.thread_time() - began_s < cpu_s:
        pass
    return time.thread_time() - began_s


@pytest.mark.parametrize("cores", [0.2, 0.6])
def test_work_takes_as_long_as_its_share_of_a_core_lets_it(cores: float) -> None:
    pace = Pace(cores)
    time.sleep(0.05)  # a rest earns nothing
    began_s = time.perf_counter()
    with pace.kept():
        cpu_s = compute(0.01)
    assert time.perf_counter() - began_s >= cpu_s / cores * SHORTER


def test_what_has_waited_already_waits_no_more() -> None:
    pace = Pace(0.5)
    with pace.kept():
        compute(0.001)
        time.sleep(0.5)
        began_s = time.perf_counter()
    # Far less than what 1 ms of work would still have to wait after a rest that counted.
    assert time.perf_counter() - began_s < 0.4


def test_threads_share_it() -> None:
    pace, used_s = Pace(0.5), []

    def work() -> None:
        with pace.kept():
            used_s.append(compute(0.02))

    threads = [threading.Thread(target=work) for _ in range(3)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.perf_counter() - began_s >= sum(used_s) / 0.5 * SHORTER


def test_an_error_comes_through() -> None:
    with pytest.raises(ValueError, match="no"), Pace(0.5).kept():
        raise ValueError("no")
