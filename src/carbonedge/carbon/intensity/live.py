"""What all live sources do alike: the same questions, put to a provider's past and future."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime

from carbonedge.carbon.intensity.http import JsonClient
from carbonedge.carbon.intensity.points import (
    covering,
    current,
    in_order,
    is_now,
    known_all_the_way,
    moment,
    window,
    zone_name,
)
from carbonedge.carbon.intensity.signal import Intensity

__all__ = ["LiveSource"]


class LiveSource(ABC):
    """A signal that asks a provider each time; `Cache` and `Refresher` spare it that.

    Parameters
    ----------
    source
        What its intensities call it.
    http
        Asks the provider.
    settings
        What tells it from others of its class, without a key.
    """

    name: str
    immediate = False
    identity = ""

    def __init__(self, source: str, http: JsonClient, *settings: str) -> None:
        self._source = source
        self._http = http
        self.identity = " ".join((self.name, *settings, http.base_url))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.identity}>"

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        """The intensity of a zone at a time; for now the newest value that is known."""
        zone, time_s = zone_name(zone), moment(when)
        if is_now(time_s):
            return current(in_order(self._now(zone, time_s)), time_s, self._source, zone)
        return covering(self._between(zone, time_s, time_s + 1), time_s, self._source, zone)

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        """Intensities from start to end, as far ahead as the class says and 366 days at most."""
        zone, (start_s, end_s) = zone_name(zone), window(start, end)
        points = self._between(zone, start_s, end_s)
        return known_all_the_way(points, start_s, end_s, self._source, zone)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def _between(self, zone: str, start_s: float, end_s: float) -> list[Intensity]:
        now_s = time.time()
        ahead: list[Intensity] = []
        if end_s > now_s:
            ahead = in_order(self._ahead(zone, start_s, end_s, now_s))
        if start_s < now_s and (not ahead or ahead[0].valid_from_s > start_s):
            return in_order([*self._past(zone, start_s, min(end_s, now_s), now_s), *ahead])
        return ahead

    @abstractmethod
    def _now(self, zone: str, now_s: float) -> Iterable[Intensity]:
        """The newest points."""

    @abstractmethod
    def _past(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterable[Intensity]:
        """Points from start to end, both before now."""

    @abstractmethod
    def _ahead(self, zone: str, start_s: float, end_s: float, now_s: float) -> Iterable[Intensity]:
        """Points from the later of start and now to an end after now."""
