"""A signal that a test turns by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity import Intensity, seconds

HOUR_S = 3600.0


class ByHour:
    """Each zone's intensity by the hour since 1970; none where it is not given."""

    def __init__(self, immediate: bool = True, **zones: dict[int, float]) -> None:
        self.immediate = immediate
        self.zones = zones
        self.asked = 0

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        self.asked += 1
        hour = int(seconds(when) // HOUR_S)
        if hour not in self.zones[zone]:
            raise IntensityUnavailableError(f"nothing is known of {zone} in hour {hour}")
        start_s = hour * HOUR_S
        return Intensity(
            self.zones[zone][hour],
            zone,
            "by hand",
            "actual",
            valid_from_s=start_s,
            valid_until_s=start_s + HOUR_S,
        )

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        values = [self.at(zone, start)]
        while values[-1].valid_until_s < seconds(end):
            values.append(self.at(zone, values[-1].valid_until_s))
        return values
