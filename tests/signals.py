"""Signals that do as a test says, shared by all tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.signal import Intensity


class Told:
    """Answers what it was last told, as a live source would; fails where told nothing."""

    immediate = False

    def __init__(self, *values: Intensity) -> None:
        self.values = {value.zone: value for value in values}
        self.forecasts: Sequence[Intensity] = ()
        self.error: Exception = IntensityUnavailableError("told nothing")
        self.asked = 0

    def tell(self, value: Intensity) -> None:
        self.values[value.zone] = value

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        self.asked += 1
        if zone not in self.values:
            raise self.error
        return self.values[zone]

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        if not self.forecasts:
            raise self.error
        return self.forecasts


class Hanging(Told):
    """Answers when it is let go."""

    def __init__(self, *values: Intensity) -> None:
        super().__init__(*values)
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        self.reached.set()
        assert self.let_go.wait(60)
        return super().at(zone, when)
