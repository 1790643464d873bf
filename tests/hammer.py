"""One of several processes that share a cache's directory."""

from __future__ import annotations

import os
import sys
import time

from carbonedge.carbon.intensity import Cache, Intensity

ZONES = ("A", "B", "C")


class Changing:
    """Answers that say their zone and hold for no time worth naming."""

    immediate = False
    identity = "changing"

    def at(self, zone: str, when: object = None) -> Intensity:
        now_s = time.time() if when is None else float(when)
        return Intensity(
            100.0 + ZONES.index(zone),
            zone,
            "changing",
            "actual",
            valid_from_s=now_s - 1e-3,
            valid_until_s=now_s + 1e-3,
        )

    def forecast(self, zone: str, start: object, end: object) -> list[Intensity]:
        return [
            Intensity(
                100.0 + ZONES.index(zone),
                zone,
                "changing",
                "forecast",
                valid_from_s=start,
                valid_until_s=end,
            )
        ]


def main(directory: str, times: int) -> None:
    cache = Cache(Changing(), directory=directory, fresh_s=0.0)
    for turn in range(times):
        zone = ZONES[(turn + os.getpid()) % len(ZONES)]
        now_s = time.time()
        answers = [
            cache.at(zone),
            cache.at(zone, now_s - 3600 - turn),
            *cache.forecast(zone, now_s, now_s + 60),
        ]
        for answer in answers:
            assert answer.zone == zone
            assert answer.g_per_kwh == 100.0 + ZONES.index(zone)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
