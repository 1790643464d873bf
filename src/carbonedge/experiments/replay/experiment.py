"""A replay: all policies through the same requests, beside the oracle."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonedge._validation import non_negative, positive
from carbonedge.carbon.intensity.times import stamp
from carbonedge.exceptions import InfeasibleError
from carbonedge.experiments.replay.accounts import Accounts
from carbonedge.experiments.replay.arrivals import Arrivals
from carbonedge.experiments.replay.fleet import Fleet
from carbonedge.experiments.replay.grid import Grid
from carbonedge.experiments.replay.oracle import Best, Oracle
from carbonedge.experiments.replay.policies import POLICIES, open_policy
from carbonedge.experiments.replay.results import ORACLE, PolicyResult, Replay, Worth, ZoneResult
from carbonedge.experiments.replay.simulation import simulate
from carbonedge.scheduling import Scheduler, Task
from carbonedge.units import MS_PER_HOUR, MS_PER_S

__all__ = ["SPARE_MS", "TOLERANCES_MS", "replay", "slo_by_zone"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SPARE_MS = 50.0
"""The SLO where none is given is that much above the fastest node of the own zone."""

TOLERANCES_MS = (0.0, 10.0, 50.0, 100.0)

HAIR = 1 + 1e-9
"""Limits are that much wider than they are told, lest a rounding put beyond one what just meets
it, such as the nodes of a zone 50 ms away."""


def slo_by_zone(fleet: Fleet, slo_ms: float | None = None) -> list[float]:
    """What the requests of each zone tolerate.

    Parameters
    ----------
    fleet
        The nodes.
    slo_ms
        For all; by default 50 ms above what a request of mean length takes on the best node of
        its own zone.

    Raises
    ------
    ValueError
        If no node could ever meet it, from any zone.
    """
    if slo_ms is None:
        least: list[float] = (fleet.least_latency_ms() + SPARE_MS).tolist()
        return least
    limit_ms = positive("slo_ms", slo_ms)
    fastest_ms = float((fleet.round_trip_ms + fleet.numbers("avg_time_ms")).min())
    if fastest_ms > limit_ms * HAIR:
        raise ValueError(
            f"slo_ms is {limit_ms:g}, which no node meets for any zone: the fastest takes "
            f"{fastest_ms:g} ms, network and work; give at least that"
        )
    return [limit_ms] * len(fleet.zones)


def replay(
    fleet: Fleet,
    grid: Grid,
    arrivals: Arrivals,
    window_s: tuple[float, float],
    *,
    policies: Sequence[str] = POLICIES,
    task: Task | None = None,
    slo_ms: float | None = None,
    tolerances_ms: Sequence[float] = TOLERANCES_MS,
    advance: Callable[[], None] = lambda: None,
) -> Replay:
    """Let each policy place the same requests, and compare them with the oracle.

    Parameters
    ----------
    fleet, grid
        The nodes, and the intensities of their zones.
    arrivals
        The requests.
    window_s
        From when to when they come, in seconds since 1970.
    policies
        Names among `POLICIES`.
    task
        What a request needs; a `Task`'s defaults when left out.
    slo_ms
        What requests tolerate; see `slo_by_zone`.
    tolerances_ms
        Extra latencies for which the worth of moving is told.
    advance
        Called whenever a policy, or the oracle, is done.

    Raises
    ------
    ValueError
        If a policy is not known, or no node could meet the SLO.
    InfeasibleError
        If a node has no room for a request though nothing runs.
    """
    task = Task() if task is None else task
    _check_room(fleet, task)
    told_ms = slo_by_zone(fleet, slo_ms)
    limits_ms = [limit_ms * HAIR for limit_ms in told_ms]
    opened = {name: open_policy(name, fleet, grid, task, limits_ms) for name in policies}
    accounts = Accounts(fleet, grid)
    oracle = Oracle(fleet, grid, arrivals, accounts)
    home_ms = oracle.fastest_at_home_ms()
    tolerated_ms = [
        (home_ms + non_negative("a tolerance", extra_ms)) * HAIR for extra_ms in tolerances_ms
    ]
    slo_of_zone_ms = np.array(limits_ms)
    ideal, *anywhere = oracle.best([slo_of_zone_ms[arrivals.zone], *tolerated_ms])
    at_home = oracle.best(tolerated_ms, at_home=True)
    advance()
    calendar = _Calendar.of(grid, arrivals, window_s)
    tally = _Tally(fleet, accounts, arrivals, slo_of_zone_ms, calendar, window_s, grid.start_s)
    best = tally.ideal(ideal)
    results = []
    for name, policy in opened.items():
        course = simulate(arrivals, fleet, policy)
        emissions_g = accounts.emissions_g(course.node, course.start_ms, course.service_ms)
        results.append(
            tally.result(name, course.node, emissions_g, course.latency_ms, course.waited_ms, best)
        )
        advance()
    return Replay(
        start=stamp(window_s[0]),
        stop=stamp(window_s[1]),
        nodes=len(fleet.nodes),
        requests=len(arrivals),
        zones=_zones(fleet, grid, arrivals, told_ms, calendar, window_s),
        months=calendar.months,
        oracle=best,
        policies=tuple(results),
        worth=tuple(
            _worth(float(extra), fleet, arrivals, here, there)
            for extra, here, there in zip(tolerances_ms, at_home, anywhere, strict=True)
        ),
    )


def _check_room(fleet: Fleet, task: Task) -> None:
    """Schedulers would pass over such a node, and the oracle would not."""
    idle = [dataclasses.replace(node, intensity_g_per_kwh=0.0) for node in fleet.nodes]
    for told in Scheduler(idle).explain(task):
        if told.refusal is not None:
            raise InfeasibleError(
                f"node {told.node!r} can take no request, though nothing runs ({told.refusal}): "
                "leave it out of the cluster, or let requests need less"
            )


@dataclass(frozen=True, slots=True)
class _Calendar:
    """In which month and hour of the day each request came."""

    months: tuple[str, ...]
    month: Integers
    hour: Integers

    @classmethod
    def of(cls, grid: Grid, arrivals: Arrivals, window_s: tuple[float, float]) -> _Calendar:
        time_ms = grid.start_s * MS_PER_S + arrivals.time_ms
        month, hour = months_and_hours(time_ms)
        first, last = months_and_hours(np.array(window_s) * MS_PER_S - np.array([0.0, 1.0]))[0]
        names = np.arange(first, last + 1).astype("datetime64[M]")
        return cls(tuple(str(name) for name in names), month - first, hour)

    def by_month(self, values: Floats) -> tuple[float, ...]:
        """Sums by month."""
        return tuple(np.bincount(self.month, values, len(self.months)).tolist())

    def by_hour(self, values: Floats) -> tuple[float, ...]:
        """Sums by hour of the day."""
        return tuple(np.bincount(self.hour, values, 24).tolist())


def months_and_hours(time_ms: Floats) -> tuple[Integers, Integers]:
    """Of times since 1970, the months since 1970 and the hours of the day, in UTC."""
    whole = np.floor(time_ms).astype(np.int64)
    months = whole.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return months, (whole // int(MS_PER_HOUR)) % 24


@dataclass(frozen=True, slots=True)
class _Tally:
    """From what became of requests to the result of a policy."""

    fleet: Fleet
    accounts: Accounts
    arrivals: Arrivals
    slo_ms: Floats
    calendar: _Calendar
    window_s: tuple[float, float]
    start_s: int

    def ideal(self, best: Best) -> PolicyResult:
        """The result of the oracle."""
        alone_ms = self.fleet.round_trip_ms[self.arrivals.zone, best.node] + self._service(
            best.node
        )
        waited_ms = best.latency_ms - alone_ms
        return self.result(ORACLE, best.node, best.emissions_g, best.latency_ms, waited_ms, None)

    def result(
        self,
        name: str,
        node: Integers,
        emissions_g: Floats,
        latency_ms: Floats,
        waited_ms: Floats,
        oracle: PolicyResult | None,
    ) -> PolicyResult:
        """The result of a policy, its regret against the oracle if there is one."""
        fleet, service_ms = self.fleet, self._service(node)
        total_g = float(emissions_g.sum())
        least_g = total_g if oracle is None else oracle.emissions_g
        busy_ms = np.bincount(node, service_ms, len(fleet.nodes))
        slots_ms = self._span_ms(latency_ms) * fleet.numbers("parallelism")
        busiest = int(np.argmax(busy_ms / slots_ms))
        use = np.bincount(fleet.zone[node], minlength=len(fleet.zones)) / len(node)
        median_ms, p99_ms = np.quantile(latency_ms, [0.5, 0.99])
        return PolicyResult(
            name=name,
            requests=len(node),
            energy_j=float(self.accounts.energy_j(node, service_ms).sum()),
            emissions_g=total_g,
            regret_g=total_g - least_g,
            regret=_share(total_g - least_g, least_g),
            latency_median_ms=float(median_ms),
            latency_p99_ms=float(p99_ms),
            misses=int((latency_ms > self.slo_ms[self.arrivals.zone]).sum()),
            waited=int((waited_ms > 0).sum()),
            waited_mean_ms=float(waited_ms.mean()),
            waited_longest_ms=float(waited_ms.max()),
            zone_use=dict(zip(fleet.zones, use.tolist(), strict=True)),
            nodes_used=int((busy_ms > 0).sum()),
            busiest_node=fleet.nodes[busiest].name,
            busiest_share=float(busy_ms[busiest] / slots_ms[busiest]),
            by_month_g=self.calendar.by_month(emissions_g),
            by_hour_g=self.calendar.by_hour(emissions_g),
        )

    def _span_ms(self, latency_ms: Floats) -> float:
        """From the window's start to its end, or to the last answer if that is later."""
        begin_s, end_s = self.window_s
        last_ms = float((self.arrivals.time_ms + latency_ms).max())
        return max((end_s - begin_s) * MS_PER_S, last_ms - (begin_s - self.start_s) * MS_PER_S)

    def _service(self, node: Integers) -> Floats:
        return self.fleet.numbers("avg_time_ms")[node] * self.arrivals.work


def _worth(extra_ms: float, fleet: Fleet, arrivals: Arrivals, here: Best, there: Best) -> Worth:
    own = [arrivals.zone == zone for zone in range(len(fleet.zones))]
    here_g, there_g = float(here.emissions_g.sum()), float(there.emissions_g.sum())
    by_zone_g = [(float(here.emissions_g[o].sum()), float(there.emissions_g[o].sum())) for o in own]
    return Worth(
        extra_ms=extra_ms,
        at_home_g=here_g,
        anywhere_g=there_g,
        saving=_share(here_g - there_g, here_g),
        moved=float((fleet.zone[there.node] != arrivals.zone).mean()),
        saving_by_zone={
            name: _share(home_g - away_g, home_g)
            for name, (home_g, away_g) in zip(fleet.zones, by_zone_g, strict=True)
        },
    )


def _zones(
    fleet: Fleet,
    grid: Grid,
    arrivals: Arrivals,
    slo_ms: Sequence[float],
    calendar: _Calendar,
    window_s: tuple[float, float],
) -> tuple[ZoneResult, ...]:
    begins_s = grid.start_s + np.arange(grid.truth.shape[1]) * float(grid.step_s)
    inside = (begins_s + grid.step_s > window_s[0]) & (begins_s < window_s[1])
    month, hour = months_and_hours(np.maximum(begins_s[inside], window_s[0]) * MS_PER_S)
    month -= month[0]
    slots_by_month = np.bincount(month, minlength=len(calendar.months))
    slots_by_hour = np.bincount(hour, minlength=24)

    def means(place: Integers, values: Floats, slots: Integers) -> tuple[float, ...]:
        sums = np.bincount(place, values, len(slots))
        return tuple(np.divide(sums, slots, out=np.zeros(len(slots)), where=slots > 0).tolist())

    requests = np.bincount(arrivals.zone, minlength=len(fleet.zones)).tolist()
    return tuple(
        ZoneResult(
            name=name,
            nodes=int((fleet.zone == place).sum()),
            requests=requests[place],
            utc_offset_h=float(fleet.utc_offset_h[place]),
            slo_ms=slo_ms[place],
            intensity_g_per_kwh=float(grid.truth[place, inside].mean()),
            missing=grid.missing[place],
            by_month_g_per_kwh=means(month, grid.truth[place, inside], slots_by_month),
            by_hour_g_per_kwh=means(hour, grid.truth[place, inside], slots_by_hour),
        )
        for place, name in enumerate(fleet.zones)
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
