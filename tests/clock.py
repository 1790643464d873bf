"""Time as one module sees it; a test may set it ahead."""

from __future__ import annotations

import time


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time(self) -> float:
        return time.time() + self.ahead_s

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s
