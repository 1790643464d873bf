"""Energy and emissions of work, over the slices of time that it lasts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.grid import Grid
from carbonedge.units import J_PER_KWH, MS_PER_HOUR, MS_PER_S

__all__ = ["Accounts"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Accounts:
    """What work on nodes costs at the true intensities.

    Parameters
    ----------
    fleet
        Whose nodes.
    grid
        Of the fleet's zones, in their order. After its end the last value holds.
    """

    __slots__ = ("_embodied_g_per_ms", "_g_per_exposure", "_grid", "_sums", "_zone", "power_w")

    def __init__(self, fleet: Fleet, grid: Grid) -> None:
        self._grid = grid
        self._zone = fleet.zone
        self.power_w = fleet.numbers("power_w")
        self._g_per_exposure = self.power_w * fleet.numbers("pue") / (MS_PER_S * J_PER_KWH)
        self._embodied_g_per_ms = fleet.numbers("embodied_g_per_hour") / MS_PER_HOUR
        sums = np.cumsum(grid.truth, axis=1)
        self._sums = np.concatenate((np.zeros((len(grid.zones), 1)), sums), axis=1)

    def emissions_g(self, node: Integers, start_ms: Floats, duration_ms: Floats) -> Floats:
        """GCO2eq of work, ``sum(P * dt * I(t)) * PUE / 3.6e6 + M``, dt in slices of the grid.

        Parameters
        ----------
        node : shape [...]
            Where it is done.
        start_ms, duration_ms : shape [...]
            When, since the trace begins, and for how long.
        """
        exposure = self._exposure(self._zone[node], start_ms, duration_ms)
        embodied: Floats = self._embodied_g_per_ms[node] * duration_ms
        return self._g_per_exposure[node] * exposure + embodied

    def intensities(self, time_ms: Floats) -> Floats:
        """Of each zone at some times, shape [zones, times]."""
        values: Floats = self._grid.truth[:, self.slot(time_ms)]
        return values

    def steady_emissions_g(self, node: int, intensities: Floats, duration_ms: Floats) -> Floats:
        """The same on one node, where the intensities of zones stay as they are."""
        exposure = intensities[self._zone[node]] * duration_ms
        embodied = self._embodied_g_per_ms[node] * duration_ms
        grams: Floats = self._g_per_exposure[node] * exposure + embodied
        return grams

    def energy_j(self, node: Integers, duration_ms: Floats) -> Floats:
        """Joules of the machines, ``P * t``, shape as given."""
        joules: Floats = self.power_w[node] * duration_ms / MS_PER_S
        return joules

    def slot(self, time_ms: Floats) -> Integers:
        """The slot of the grid at a time."""
        last = self._grid.truth.shape[1] - 1
        slots: Integers = np.minimum((time_ms // self._grid.step_ms).astype(np.int64), last)
        return slots

    def _exposure(self, zone: Integers, start_ms: Floats, duration_ms: Floats) -> Floats:
        """Intensity times ms, summed over the slices."""
        step_ms, truth = self._grid.step_ms, self._grid.truth
        first, last = self.slot(start_ms), self.slot(start_ms + duration_ms)
        exposure: Floats = truth[zone, first] * duration_ms
        across = np.flatnonzero(first != last)
        if across.size:
            at, begin, end = zone[across], first[across], last[across]
            head_ms = (begin + 1) * step_ms - start_ms[across]
            # The tail by difference, so that no time is lost to rounding.
            tail_ms = duration_ms[across] - head_ms - (end - begin - 1) * step_ms
            whole = (self._sums[at, end] - self._sums[at, begin + 1]) * step_ms
            exposure[across] = truth[at, begin] * head_ms + whole + truth[at, end] * tail_ms
        return exposure
