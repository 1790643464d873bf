"""The resource monitor: what the workers of all sessions on a Ray do now."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from carbonedge.carbon.emissions import stage_emissions_g
from carbonedge.runtime.ray.connection import NAMESPACE, Connection, worker_of
from carbonedge.runtime.ray.worker import CONTROL, Report
from carbonedge.units import MS_PER_S

__all__ = ["Activity", "Survey", "Surveyor"]

PROMPT_S = 0.05
"""Workers that answer within it are timed one after another, so that none waits for others."""
WITHIN_S = 1.0
"""A worker that does not answer within it is silent."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What one worker does. Figures are ``None`` where they are not known: all of a silent one,
    and rates when it is first heard.

    Parameters
    ----------
    session, node
        Whose worker it is, and what node it is.
    silent
        Why nothing is known of it; ``None`` where it answers.
    load, memory_free_mb
        Of its machine, when its session last asked.
    queue
        Requests that wait for a stage here or run in it.
    requests_per_s
        That a stage here answered.
    stage_ms
        What a stage took, in the mean; ``None`` where none ran too.
    power_w
        Joules that these stages drew, by the second. What the node draws while nothing runs is
        not in it.
    intensity_g_per_kwh
        Of its grid.
    emissions_g_per_s
        Operational, of that power, and embodied, of the time that stages took.
    round_trip_ms
        From asking to hearing.
    """

    session: str
    node: str
    silent: str | None = None
    load: float | None = None
    memory_free_mb: float | None = None
    queue: int | None = None
    requests_per_s: float | None = None
    stage_ms: float | None = None
    power_w: float | None = None
    intensity_g_per_kwh: float | None = None
    emissions_g_per_s: float | None = None
    round_trip_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What the workers do, and come to together.

    Parameters
    ----------
    time_s
        Since the epoch.
    address
        Of the Ray.
    nodes
        By session and name.
    requests_per_s
        That came in: on its way each is counted by every node that has a stage for it.
    power_w, emissions_g_per_s
        Sums.
    time_source
        How times come about, where the Ray is that of a local cluster.
    """

    time_s: float
    address: str
    nodes: tuple[Activity, ...]
    requests_per_s: float | None
    power_w: float | None
    emissions_g_per_s: float | None
    time_source: str | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    report: Report
    round_trip_ms: float


class Surveyor:
    """Looks at the workers of all sessions on a Ray, and takes nothing from the sessions.

    Parameters
    ----------
    connection
        To Ray.
    """

    def __init__(self, connection: Connection) -> None:
        self._ray = connection.ray
        self._address = connection.address
        self._asked: dict[str, tuple[Any, float]] = {}
        self._before: dict[str, _Heard] = {}

    def look(self) -> Survey:
        """Ask every worker. Rates are those since the look before."""
        names = {
            one["name"]: worker
            for one in self._ray.util.list_named_actors(all_namespaces=True)
            if one["namespace"] == NAMESPACE and (worker := worker_of(one["name"])) is not None
        }
        for gone in self._asked.keys() - names.keys():
            del self._asked[gone]
        for gone in self._before.keys() - names.keys():
            del self._before[gone]
        heard = self._hear(names)
        answers = [one for one in heard.values() if not isinstance(one, str)]
        nodes: list[Activity] = []
        incoming: list[float | None] = []
        for name, (session, node) in sorted(names.items(), key=lambda item: item[1]):
            now = heard.get(name, f"it has not answered within {WITHIN_S:g} s")
            if isinstance(now, str):
                nodes.append(Activity(session, node, now))
                continue
            before = self._before.get(name)
            if before is not None and before.report.incarnation != now.report.incarnation:
                before = None
            nodes.append(_activity(session, node, before, now))
            if before is not None:
                requests = now.report.requests - before.report.requests
                incoming.append(requests / (now.report.clock_s - before.report.clock_s))
            self._before[name] = now
        return Survey(
            time.time(),
            self._address,
            tuple(nodes),
            _sum(incoming),
            _sum(node.power_w for node in nodes),
            _sum(node.emissions_g_per_s for node in nodes),
            next((one.report.time_source for one in answers if one.report.time_source), None),
        )

    def _hear(self, names: Iterable[str]) -> dict[str, _Heard | str]:
        """What the workers that answer in time say, or what is wrong with them."""
        until_s = time.monotonic() + WITHIN_S
        heard: dict[str, _Heard | str] = {}
        waiting: dict[Any, str] = {}
        for name in names:
            try:
                ref = self._ask(name)
            except ValueError:  # it went a moment ago
                heard[name] = "it is gone"
                continue
            if self._ray.wait([ref], timeout=PROMPT_S)[0]:
                heard[name] = self._take(name)
            else:
                waiting[ref] = name
        while waiting and (left_s := until_s - time.monotonic()) > 0:
            for ref in self._ray.wait(list(waiting), num_returns=1, timeout=left_s)[0]:
                name = waiting.pop(ref)
                heard[name] = self._take(name)
        return heard

    def _ask(self, name: str) -> Any:
        """Ask a worker, unless it has not answered what it was asked before."""
        if name not in self._asked:
            actor = self._ray.get_actor(name, namespace=NAMESPACE)
            call = actor.tell.options(concurrency_group=CONTROL)
            asked_s = time.perf_counter()
            self._asked[name] = (call.remote(), asked_s)
        return self._asked[name][0]

    def _take(self, name: str) -> _Heard | str:
        answered_s = time.perf_counter()
        ref, asked_s = self._asked.pop(name)
        try:
            report = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return (str(error).strip() or type(error).__name__).splitlines()[0]
        return _Heard(report, (answered_s - asked_s) * MS_PER_S)


def _activity(session: str, node: str, before: _Heard | None, now: _Heard) -> Activity:
    report = now.report
    requests_per_s = stage_ms = power_w = emissions_g_per_s = None
    if before is not None:
        passed_s = report.clock_s - before.report.clock_s
        runs = report.runs - before.report.runs
        busy_ms = report.busy_ms - before.report.busy_ms
        energy_j = report.energy_j - before.report.energy_j
        requests_per_s = runs / passed_s
        stage_ms = busy_ms / runs if runs else None
        power_w = energy_j / passed_s
        emissions_g_per_s = stage_emissions_g(report.node, energy_j, busy_ms) / passed_s
    return Activity(
        session,
        node,
        load=report.load,
        memory_free_mb=report.memory_free_mb,
        queue=report.queue,
        requests_per_s=requests_per_s,
        stage_ms=stage_ms,
        power_w=power_w,
        intensity_g_per_kwh=report.node.intensity_g_per_kwh,
        emissions_g_per_s=emissions_g_per_s,
        round_trip_ms=now.round_trip_ms,
    )


def _sum(figures: Iterable[float | None]) -> float | None:
    """Of those that are known, if any is."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
