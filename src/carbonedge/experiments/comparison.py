"""One model on one cluster: routed whole by the scheduler, and split by the planner."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from carbonedge.carbon import Accounting, Footprint, Metered
from carbonedge.carbon.energy import Portion
from carbonedge.carbon.footprint import together
from carbonedge.cluster import Cluster
from carbonedge.planning import (
    ModelGraph,
    OperatorCosts,
    Plan,
    Profile,
    partition_for_mode,
)
from carbonedge.planning.costs import given_costs
from carbonedge.planning.difference import TOLERANCE, largest_difference
from carbonedge.planning.samples import made_up_request
from carbonedge.planning.session import open_session, quiet_options, run_session
from carbonedge.runtime import InferenceSession
from carbonedge.runtime.metering import Gauge, new_threads
from carbonedge.runtime.monitor import Monitor, stands_in
from carbonedge.runtime.ray.connection import Connection
from carbonedge.runtime.turns import taking_turns
from carbonedge.scheduling import Scheduler, Task
from carbonedge.units import MS_PER_S

__all__ = ["Comparison", "Remote", "Row", "compare"]

MOST_SAMPLES = 8
"""Different inputs made up; more requests than that get them in turn."""

Feed = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Remote:
    """That the split runs under Ray.

    Parameters
    ----------
    address
        Of the Ray cluster; ``None`` for a local one, started for it.
    meter
        What each machine opens a meter of its own by, as in ``[meter]`` of a cluster file;
        ``None`` for node power x time.
    """

    address: str | None = None
    meter: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What one way of running the requests came to.

    Parameters
    ----------
    mode, placement
        ``"routed"``: the scheduler sends each request to one node, whole. ``"split"``:
        every request takes the planner's stages.
    requests
        Answered.
    node_use
        Share of requests (routed) or of compute time (split) by node, in %.
    latency_median_ms, latency_p95_ms
        Of computing and of the links between stages, emulated but where the split ran on the
        machines of its nodes; without the way to the first node.
    energy_j, emissions_g
        Per inference.
    method
        Of both: measured, modelled or emulated; see `Footprint`.
    inferences_per_g
        ``None`` where nothing was emitted.
    scheduling_us
        Median time to schedule one task; ``None`` where the plan is fixed.
    time_source, energy_source, intensity_source
        How the figures came about; see `Footprint`.
    """

    mode: str
    placement: str
    requests: int
    node_use: Mapping[str, float]
    latency_median_ms: float
    latency_p95_ms: float
    energy_j: float
    emissions_g: float
    inferences_per_g: float | None
    scheduling_us: float | None
    method: str
    time_source: str
    energy_source: str
    intensity_source: str


@dataclass(slots=True)
class Comparison:
    """Rows as far as they got, the split, and how true it is.

    Parameters
    ----------
    model
        Its summary.
    rows
        One per way of running.
    plan
        The split.
    largest_difference
        Between split and whole outputs, relative to the spread of the whole's;
        ``None`` until some were compared.
    interrupted
        Whether Ctrl-C ended it.
    runtime
        ``"ray"`` where the split ran under Ray; else all ran in this process.
    address
        Of that Ray, but for a local one that was started for it.
    """

    model: str
    rows: list[Row] = field(default_factory=list)
    plan: Plan | None = None
    largest_difference: float | None = None
    interrupted: bool = False
    runtime: str = "local"
    address: str | None = None

    @property
    def faithful(self) -> bool:
        """Whether the split answers as the whole does, as far as they were compared."""
        return self.largest_difference is None or self.largest_difference <= TOLERANCE

    def sources(self, of: str, placement: str | None = None) -> str:
        """Where the ``"time"``, ``"energy"`` or ``"intensity"`` of all rows, or those of a
        placement, is from, as footprints list it.
        """
        rows = (row for row in self.rows if placement in (None, row.placement))
        parts = (part for row in rows for part in getattr(row, f"{of}_source").split("; "))
        return "; ".join(dict.fromkeys(parts))

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "model": self.model,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "plan": self.plan.to_dict() if self.plan else None,
            # JSON has no infinity; `faithful` tells it from nothing compared.
            "largest_difference": (
                self.largest_difference if np.isfinite(self.largest_difference or 0.0) else None
            ),
            "faithful": self.faithful,
            "tolerance": TOLERANCE,
            "interrupted": self.interrupted,
            **{f"{of}_source": self.sources(of) for of in ("time", "energy", "intensity")},
            "runtime": self.runtime,
            "address": self.address,
        }


def compare(
    model: ModelGraph,
    cluster: Cluster,
    *,
    modes: Sequence[str],
    split_mode: str,
    requests: int = 50,
    slo_ms: float | None = None,
    feed: Feed | None = None,
    threads: int = 1,
    profile: Profile | None = None,
    node_profiles: Mapping[str, Profile] | None = None,
    all_cuts: bool = False,
    monitor: Monitor | None = None,
    remote: Remote | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Comparison:
    """Run requests in each mode, then through the split that suits one of them.

    Parameters
    ----------
    model
        From `load_model`.
    cluster
        Where it runs, emulated here.
    modes
        Each routes `requests` requests, unless no node holds the whole model.
    split_mode
        Decides on the split.
    requests
        Per row.
    slo_ms
        The split may not take longer.
    feed
        The input of every request; made up when left out.
    threads
        Of ONNX Runtime within an operator.
    profile, node_profiles, all_cuts
        See `operator_costs`.
    monitor
        The meter, the signal and the ledger, with this cluster's intensities.
    remote
        Where the split runs; in this process when left out.
    advance
        Called after each request.

    Returns
    -------
    Comparison
        With what was measured so far after Ctrl-C.

    Raises
    ------
    InfeasibleError
        If the nodes do not hold the model, or no plan meets the limits.
    ClusterError
        If there is no such Ray, or none of its machines is any of the nodes.
    """
    # Whole and split run in turn: neither may hold the cores that the other needs.
    options = taking_turns(quiet_options(threads))
    monitor = monitor or Monitor(cluster)
    cluster = monitor.cluster
    result = Comparison(model.summary())
    try:
        with contextlib.ExitStack() as opened:
            if remote is not None:
                # Whether it is there is said before anything is measured.
                connection = opened.enter_context(contextlib.closing(Connection(remote.address)))
                connection.check_nodes(node.name for node in cluster.nodes)
                result.runtime = "ray"
                result.address = None if connection.local else connection.address
            planned, costs = given_costs(
                "measured",
                model,
                cluster.nodes,
                feed=feed,
                profile=profile,
                node_profiles=node_profiles,
                all_cuts=all_cuts,
                sess_options=options,
            )
            result.model = planned.summary()
            result.plan = partition_for_mode(
                planned, cluster, split_mode, slo_ms=slo_ms, costs=costs
            )
            with new_threads() as pool:
                whole = open_session(model, sess_options=options)
            asked = planned if profile or node_profiles else model
            samples = [feed] if feed else _samples(asked, whole, requests)
            feeds = [samples[number % len(samples)] for number in range(requests)]
            routable = any(node.memory_mb >= planned.memory_mb for node in cluster.nodes)
            for mode in modes if routable else ():
                _route(result, planned, monitor, costs, mode, whole, pool, feeds, advance)
            where = (
                {"meter": monitor.attribution}
                if remote is None
                else {
                    "runtime": "ray",
                    "address": remote.address,
                    "meter": remote.meter,
                    "feed": feed,
                    "costs": costs,
                    # It is this plan that is compared.
                    "adaptation": None,
                }
            )
            with InferenceSession(
                model,
                cluster,
                plan=result.plan,
                sess_options=options,
                intensity=monitor.signal,
                ledger=monitor.ledger,
                **where,
            ) as session:
                try:
                    _split(result, split_mode, session, whole, feeds, advance)
                finally:
                    result.plan = session.plan
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def _samples(model: ModelGraph, whole: Any, requests: int) -> list[Feed]:
    count = min(requests, MOST_SAMPLES)
    return [made_up_request(model, seed=seed, run=whole.run) for seed in range(count)]


def _route(
    result: Comparison,
    model: ModelGraph,
    monitor: Monitor,
    costs: OperatorCosts,
    mode: str,
    whole: Any,
    pool: Sequence[int],
    feeds: Sequence[Feed],
    advance: Callable[[], None],
) -> None:
    cluster = monitor.cluster
    whole_ms = costs.time_ms.sum(axis=0) + costs.overhead_ms
    nodes = [
        dataclasses.replace(node, avg_time_ms=float(time_ms))
        for node, time_ms in zip(cluster.nodes, whole_ms, strict=True)
    ]
    scheduler = Scheduler(nodes, mode=mode)
    task = Task(memory_mb=model.memory_mb)
    attribution = monitor.attribution
    gauges = [Gauge(attribution, pool, node.cpu_cores) for node in nodes]
    accountings = [
        Accounting(
            [node],
            signal=monitor.signal,
            metered=None if attribution is None else Metered.by(attribution),
            emulated=stands_in(cluster),
            ledger=monitor.ledger,
            model=model.name,
            plan=f"routed, {mode}",
        )
        for node in nodes
    ]
    latencies_ms, scheduling_us = [], []
    chosen: Counter[str] = Counter()
    try:
        for feed in feeds:
            began = time.perf_counter()
            decision = scheduler.schedule(task)
            decided = time.perf_counter()
            portions: list[Portion | None] = []
            began_s = time.time()
            with gauges[decision.index].measuring(portions):
                starts = time.perf_counter()
                run_session(whole.run, None, feed)
                answered = time.perf_counter()
            node = nodes[decision.index]
            time_ms = (answered - starts) * MS_PER_S / node.speed
            scheduler.complete(decision, time_ms)
            accountings[decision.index].account(began_s, [time_ms], portions)
            latencies_ms.append(time_ms)
            scheduling_us.append((decided - began) * 1e6)
            chosen[node.name] += 1
            advance()
    finally:
        use = {name: 100.0 * count / len(latencies_ms) for name, count in chosen.items()}
        totals = [one.total() for one in accountings]
        # Those of nodes that nothing ran on have nothing to say of where figures are from.
        total = together([each for each in totals if each.inferences] or totals)
        _add_row(result, mode, "routed", use, latencies_ms, total, scheduling_us)


def _split(
    result: Comparison,
    mode: str,
    session: InferenceSession,
    whole: Any,
    feeds: Sequence[Feed],
    advance: Callable[[], None],
) -> None:
    latencies_ms = []
    try:
        for feed in feeds:
            outputs, footprint = session.run_with_footprint(None, feed)
            latencies_ms.append(footprint.latency_ms)
            difference = largest_difference(run_session(whole.run, None, feed), outputs)
            result.largest_difference = max(result.largest_difference or 0.0, difference)
            advance()
    finally:
        total = session.footprint
        busy_ms = sum(share.time_ms for share in total.by_node.values())
        use = {name: 100.0 * share.time_ms / busy_ms for name, share in total.by_node.items()}
        _add_row(result, mode, "split", use, latencies_ms, total, [])


def _add_row(
    result: Comparison,
    mode: str,
    placement: str,
    node_use: Mapping[str, float],
    latencies_ms: Sequence[float],
    footprint: Footprint,
    scheduling_us: Sequence[float],
) -> None:
    if not latencies_ms:
        return
    count = footprint.inferences
    result.rows.append(
        Row(
            mode=mode,
            placement=placement,
            requests=count,
            node_use=node_use,
            latency_median_ms=float(np.median(latencies_ms)),
            latency_p95_ms=float(np.percentile(latencies_ms, 95)),
            energy_j=footprint.energy_j / count,
            emissions_g=footprint.emissions_g / count,
            inferences_per_g=footprint.inferences_per_g if footprint.emissions_g else None,
            scheduling_us=float(np.median(scheduling_us)) if scheduling_us else None,
            method=footprint.method,
            time_source=footprint.time_source,
            energy_source=footprint.energy_source,
            intensity_source=footprint.intensity_source,
        )
    )
