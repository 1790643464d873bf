"""A meter that a test can foretell."""

from __future__ import annotations

import threading

from carbonedge import MeterUnavailableError
from carbonedge.carbon.energy import Counter


class TickingMeter:
    """Counts one joule more at each reading, so that a stage that runs alone draws one."""

    name = "ticking"
    method = "measured"
    counters = (Counter("package-0", "cpu"),)

    def __init__(self) -> None:
        self.joules = 0.0
        self.broken = False
        self.closed = False
        self._lock = threading.Lock()

    def read_j(self) -> tuple[float, ...]:
        if self.broken:
            raise MeterUnavailableError("the meter is unplugged: plug it in")
        with self._lock:
            self.joules += 1.0
            return (self.joules,)

    def close(self) -> None:
        self.closed = True
