"""Averages of countries, from the data that CodeCarbon brings."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from carbonedge.carbon.intensity.iso_3166 import ALPHA_3
from carbonedge.carbon.intensity.signal import Intensity, seconds
from carbonedge.carbon.intensity.times import checked_span
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["CountryAverages"]

DATA = ("data", "private_infra", "global_energy_mix.json")


class CountryAverages:
    """A signal of one value by country: the average of a year, lifecycle.

    The figures are those of Our World in Data and Ember that CodeCarbon packs, of the year
    that `Intensity.source` gives. A zone is a country by its ISO 3166 code, of two letters or
    three, or its English name.

    Raises
    ------
    IntensityUnavailableError
        If codecarbon is not installed, or packs them no more.
    """

    __slots__ = ("_answers", "_countries")

    immediate = True

    def __init__(self) -> None:
        path = _data_file()
        if path is None:
            raise IntensityUnavailableError(
                'codecarbon is not installed: pip install "carbonedge[codecarbon]"'
            )
        try:
            self._countries = _read(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntensityUnavailableError(
                f"codecarbon has no averages of countries in {path} that can be read: install "
                "codecarbon 3.3, or use another source"
            ) from error
        self._answers: dict[str, Intensity] = {}

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        if when is not None:
            seconds(when)
        known = self._answers.get(zone)
        if known is None:
            known = dataclasses.replace(self._country(zone), zone=zone)
            self._answers[zone] = known
        return known

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        checked_span(start, end)
        return [self.at(zone)]

    def _country(self, zone: str) -> Intensity:
        code = zone.upper()
        for name in (ALPHA_3.get(code, code), zone.casefold()):
            if name in self._countries:
                return self._countries[name]
        raise IntensityUnavailableError(
            f"zone {zone!r} is no country of which CodeCarbon has an average: give its code, such "
            "as DE or DEU, or its English name; parts of countries need another source"
        )


def _data_file() -> Path | None:
    # To import codecarbon takes seconds: where it lies is all that is asked.
    found = importlib.util.find_spec("codecarbon")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0], *DATA)


def _read(path: Path) -> dict[str, Intensity]:
    """By code and by name."""
    values: dict[str, Intensity] = {}
    for code, country in json.loads(path.read_bytes()).items():
        g_per_kwh = float(country["carbon_intensity"])
        # Over a life cycle nothing is free: 0 stands for a grid of which too little is known.
        if g_per_kwh > 0:
            source = f"codecarbon, average of {country['country_name']} in {country['year']}"
            values[code] = Intensity(g_per_kwh, code, source, "static", "average", "lifecycle")
            values[country["country_name"].casefold()] = values[code]
    return values
