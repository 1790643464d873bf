"""Work held to the share of a core that its node has."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

__all__ = ["Pace"]


class Pace:
    """Holds threads to a share of a core, all together. Safe for threads. What they let others
    do for them, as ONNX Runtime does with more than one thread, is held by the quota alone.

    A quota alone does not: a node that has rested is given the quota of a period at full speed
    at once, and may go on until the next tick of the kernel. At 0.4 cores an inference of
    8 ms took 0.40 of the time that it should after 12 ms of rest, and 0.77 to 1.24 back to
    back; so paced, 1.01 of it both times. Whoever is done too soon waits; who was held up by
    the quota already, the less.

    Parameters
    ----------
    cores
        Below 1: on one core or more, no thread is faster than its node.
    """

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._lock = threading.Lock()
        self._free_s = 0.0

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Take as long as the node would for what this thread computes within."""
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        yield
        took_s = (time.thread_time() - began_cpu_s) / self._cores
        with self._lock:
            # What runs at the same time, the node would have done besides.
            self._free_s = free_s = max(self._free_s, began_s) + took_s
        if (left_s := free_s - time.perf_counter()) > 0:
            time.sleep(left_s)
