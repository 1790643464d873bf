"""What could have been done at best, by one who knows the whole trace."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonedge.experiments.replay.accounts import Accounts
from carbonedge.experiments.replay.arrivals import Arrivals
from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.grid import Grid

__all__ = ["Best", "Oracle"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CHUNK = 16_384
"""Requests at a time, so that arrays stay in the cache."""


@dataclass(frozen=True, slots=True)
class Best:
    """The least emissions of each request within a limit.

    Parameters
    ----------
    emissions_g : float array, shape [requests]
        Of the best node within the limit; of the fastest where none is.
    node : integer array, shape [requests]
        That node.
    latency_ms : float array, shape [requests]
        What the request takes there, with the time that it is held back for a cleaner hour.
    within : bool array, shape [requests]
        Whether the limit is met.
    """

    emissions_g: Floats
    node: Integers
    latency_ms: Floats
    within: NDArray[np.bool_]


class Oracle:
    """Looks at every node and every time of start that a request's limit leaves room for.

    It knows intensities to come and the work of each request, and no node of its is ever busy.
    So no request that any policy answers within its limit emits less than the oracle's.

    Parameters
    ----------
    fleet, grid, arrivals
        Of a replay.
    accounts
        Of that fleet and grid.
    """

    def __init__(self, fleet: Fleet, grid: Grid, arrivals: Arrivals, accounts: Accounts) -> None:
        self._fleet = fleet
        self._step_ms = grid.step_ms
        self._arrivals = arrivals
        self._accounts = accounts
        self._mean_ms = fleet.numbers("avg_time_ms")
        self._candidates = _undominated(fleet)

    def fastest_at_home_ms(self) -> Floats:
        """What each request takes on the fastest node of its own zone, shape [requests]."""
        fastest = np.full(len(self._arrivals), np.inf)
        for zone in range(len(self._fleet.zones)):
            own = np.flatnonzero(self._arrivals.zone == zone)
            for node in self._nodes(zone, at_home=True):
                alone_ms = self._mean_ms[node] * self._arrivals.work[own]
                latency_ms = self._fleet.round_trip_ms[zone, node] + alone_ms
                fastest[own] = np.minimum(fastest[own], latency_ms)
        return fastest

    def best(self, limits_ms: Sequence[Floats], *, at_home: bool = False) -> list[Best]:
        """The least emissions within each of several limits.

        Parameters
        ----------
        limits_ms
            Each of shape [requests].
        at_home
            On nodes of each request's own zone alone.
        """
        total = len(self._arrivals)
        results = [_none_yet(total) for _ in limits_ms]
        for zone in range(len(self._fleet.zones)):
            own = np.flatnonzero(self._arrivals.zone == zone)
            for start in range(0, own.size, CHUNK):
                chunk = own[start : start + CHUNK]
                limits = [limit_ms[chunk] for limit_ms in limits_ms]
                found = self._best_of(zone, chunk, limits, self._nodes(zone, at_home=at_home))
                for result, best in zip(results, found, strict=True):
                    _copy(best, result, chunk)
        return results

    def _nodes(self, zone: int, *, at_home: bool) -> Integers:
        nodes = self._candidates
        return nodes[self._fleet.zone[nodes] == zone] if at_home else nodes

    def _best_of(
        self, zone: int, requests: Integers, limits_ms: Sequence[Floats], nodes: Integers
    ) -> list[Best]:
        """Of some requests of one zone."""
        bests = self._best_in_one_slot(zone, requests, limits_ms, nodes)
        arrived_ms = self._arrivals.time_ms[requests]
        widest_ms = functools.reduce(np.maximum, limits_ms)
        closer = self._accounts.slot(arrived_ms) != self._accounts.slot(arrived_ms + widest_ms)
        for best in bests:
            closer |= ~best.within
        some = np.flatnonzero(closer)
        if some.size:
            limits = [limit_ms[some] for limit_ms in limits_ms]
            found = self._best_of_all(zone, requests[some], limits, nodes)
            for result, best in zip(bests, found, strict=True):
                _copy(best, result, some)
        return bests

    def _best_in_one_slot(
        self, zone: int, requests: Integers, limits_ms: Sequence[Floats], nodes: Integers
    ) -> list[Best]:
        """As if intensities stayed as they are when a request comes, which is so for most."""
        arrived_ms, work = self._arrivals.time_ms[requests], self._arrivals.work[requests]
        intensities = self._accounts.intensities(arrived_ms)
        bests = [_none_yet(requests.size) for _ in limits_ms]
        for node in nodes:
            service_ms = self._mean_ms[node] * work
            latency_ms = self._fleet.round_trip_ms[zone, node] + service_ms
            grams = self._accounts.steady_emissions_g(node, intensities, service_ms)
            for limit_ms, best in zip(limits_ms, bests, strict=True):
                better = (grams < best.emissions_g) & (latency_ms <= limit_ms)
                np.copyto(best.emissions_g, grams, where=better)
                np.copyto(best.node, node, where=better)
        trips_ms = self._fleet.round_trip_ms[zone]
        for best in bests:
            best.within[:] = best.emissions_g < np.inf
            best.latency_ms[:] = trips_ms[best.node] + self._mean_ms[best.node] * work
        return bests

    def _best_of_all(
        self, zone: int, requests: Integers, limits_ms: Sequence[Floats], nodes: Integers
    ) -> list[Best]:
        """By a look at every start that can be the best, and at the fastest node."""
        size = requests.size
        bests = [_none_yet(size) for _ in limits_ms]
        fastest = _none_yet(size)
        arrived_ms, work = self._arrivals.time_ms[requests], self._arrivals.work[requests]
        for node in nodes:
            trip_ms = self._fleet.round_trip_ms[zone, node]
            service_ms = self._mean_ms[node] * work
            latency_ms = trip_ms + service_ms
            first_ms = arrived_ms + trip_ms / 2
            all_same = np.full(size, node)
            at_once_g = self._accounts.emissions_g(all_same, first_ms, service_ms)
            quicker = (latency_ms < fastest.latency_ms) | (
                (latency_ms == fastest.latency_ms) & (at_once_g < fastest.emissions_g)
            )
            _put(fastest, quicker, at_once_g, node, latency_ms)
            for limit_ms, best in zip(limits_ms, bests, strict=True):
                within = latency_ms <= limit_ms
                _put(best, within & (at_once_g < best.emissions_g), at_once_g, node, latency_ms)
                best.within[within] = True
                self._hold_back(
                    best, np.flatnonzero(within), node, first_ms, service_ms, limit_ms, latency_ms
                )
        for best in bests:
            late = ~best.within
            _put(best, late, fastest.emissions_g, fastest.node, fastest.latency_ms)
        return bests

    def _hold_back(
        self,
        best: Best,
        requests: Integers,
        node: int,
        first_ms: Floats,
        service_ms: Floats,
        limit_ms: Floats,
        latency_ms: Floats,
    ) -> None:
        """Try later starts. Emissions are piecewise linear in the start, so the least are where a
        slice of time begins at the start or at the end of work; or at the last start possible, which
        stands for what is later.
        """
        last_ms = first_ms + np.maximum(limit_ms - latency_ms, 0.0)
        borders = self._accounts.slot(last_ms + service_ms) - self._accounts.slot(first_ms)
        some = requests[borders[requests] > 0]
        if not some.size:
            return
        first, last, lasts = first_ms[some], last_ms[some], service_ms[some]
        alike = np.full(some.size, node)
        begins = self._accounts.slot(first)
        starts: list[Floats] = []
        for border in range(1, int(borders[some].max()) + 1):
            at_ms = (begins + border).astype(np.float64) * self._step_ms
            starts += [at_ms - lasts, at_ms]
        for start in starts:
            start_ms = np.clip(start, first, last)
            grams = self._accounts.emissions_g(alike, start_ms, lasts)
            better = grams < best.emissions_g[some]
            chosen = some[better]
            best.emissions_g[chosen] = grams[better]
            best.node[chosen] = node
            held_ms = (start_ms - first)[better]
            # No later than the limit by a rounding.
            best.latency_ms[chosen] = np.minimum(latency_ms[chosen] + held_ms, limit_ms[chosen])


def _none_yet(size: int) -> Best:
    """Of so many requests, whose best node is still to be found."""
    return Best(
        np.full(size, np.inf),
        np.zeros(size, dtype=np.int64),
        np.full(size, np.inf),
        np.zeros(size, dtype=np.bool_),
    )


def _put(
    best: Best, where: NDArray[np.bool_], grams: Floats, node: int | Integers, latency_ms: Floats
) -> None:
    np.copyto(best.emissions_g, grams, where=where)
    np.copyto(best.node, node, where=where)
    np.copyto(best.latency_ms, latency_ms, where=where)


def _copy(source: Best, target: Best, places: Integers) -> None:
    target.emissions_g[places] = source.emissions_g
    target.node[places] = source.node
    target.latency_ms[places] = source.latency_ms
    target.within[places] = source.within


def _undominated(fleet: Fleet) -> Integers:
    """Nodes than which none in the same zone is as near, as fast and as clean, the first of equals."""
    traits = np.column_stack(
        [
            fleet.zone,
            fleet.numbers("network_latency_ms"),
            fleet.numbers("avg_time_ms"),
            fleet.numbers("power_w") * fleet.numbers("pue"),
            fleet.numbers("embodied_g_per_hour"),
        ]
    )
    kinds, first = np.unique(traits, axis=0, return_index=True)
    kept = [
        index
        for kind, index in zip(kinds, first, strict=True)
        if not (
            (kinds[:, 0] == kind[0]) & (kinds <= kind).all(axis=1) & (kinds < kind).any(axis=1)
        ).any()
    ]
    return np.sort(np.array(kept, dtype=np.int64))
