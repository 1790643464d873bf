"""Runtime "ray": plans on the machines of a Ray cluster, changed as these change."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from carbonedge.carbon import Accounting
from carbonedge.carbon.energy.attribution import ShareBy
from carbonedge.carbon.footprint import NODE_POWER, NODE_TIME, STAND_IN_TIME
from carbonedge.carbon.lookup import Lookup
from carbonedge.exceptions import ClusterError, InfeasibleError
from carbonedge.planning import ModelGraph, OperatorCosts, Plan, Replan, objective_for_mode, replan
from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.deployment import Deployed, Deployment
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.monitor import Monitor, stands_in
from carbonedge.runtime.node_state import NodeState
from carbonedge.runtime.placement import Placement, plans_for
from carbonedge.runtime.ray.conductor import Conductor
from carbonedge.runtime.ray.connection import Connection
from carbonedge.runtime.ray.fleet import Fleet
from carbonedge.runtime.ray.member import Member
from carbonedge.runtime.ray.observed import Observed, View
from carbonedge.runtime.ray.requests import Answer, Requests
from carbonedge.runtime.ray.stages import RayStages
from carbonedge.runtime.session_options import Settings

__all__ = ["RayRuntime"]

logger = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Requests under way for each stage: one that runs, and one that is on its way."""
WARM_UPS = 2
"""Requests through new stages before any that counts: the first run of a session is slow."""

_Found = TypeVar("_Found")


class RayRuntime:
    """Runs requests on a cluster through Ray.

    Parameters
    ----------
    model, planned
        The model as it was given, and in the sizes that plans are for.
    monitor
        Its cluster, signal and ledger.
    costs
        Of operators on the nodes.
    placement
        What plans are put up, and how one is chosen for a request.
    plan
        The one to put up while its nodes are there, in place of planned ones.
    sample
        A request, to warm new stages up with.
    settings, metering
        Of the workers.
    address
        See `Connection`.
    listening, adaptation
        How nodes are listened to, and when plans change.
    """

    def __init__(
        self,
        model: ModelGraph,
        planned: ModelGraph,
        monitor: Monitor,
        costs: OperatorCosts,
        placement: Placement,
        *,
        plan: Plan | None,
        sample: Mapping[str, Any],
        settings: Settings,
        metering: tuple[str | Mapping[str, Any], ShareBy] | None,
        address: str | None,
        listening: Listening,
        adaptation: Adaptation | None,
    ) -> None:
        self._model = model
        self._planned = planned
        self._cluster = monitor.cluster
        self._monitor = monitor
        self._costs = costs
        self._sample = sample
        self._placement = placement
        self._plan = plan
        self._adaptation = adaptation
        self._late = False
        self._intensities = Lookup(self._cluster.nodes, monitor.signal)
        self._accountings: dict[tuple[object, ...], Accounting] = {}
        self._counting = threading.Lock()
        self._deployment = Deployment(self._cluster.nodes, placement)
        self._process = os.getpid()
        self._closing = threading.Lock()
        self._closed = False
        self._connection = connection = Connection(address)
        connection.user_close = self.close
        self._ray = connection.ray
        self._local = connection.local
        self._observed = Observed(self._cluster, costs, scaled=self._local)
        try:
            self._fleet = Fleet(
                connection,
                self._cluster,
                settings,
                metering=metering,
                listening=listening,
                intensity=self._g_per_kwh,
                heard=self._hear,
                changed=self._follow,
            )
        except BaseException:
            connection.close()
            raise
        self._conductor = Conductor(
            self._deployment,
            look=self._look,
            plans=self._plans,
            move=None if plan is not None or placement.kind == "replicated" else self._move,
            put_up=self._put_up,
            lacks=self._observed.lacks,
            adaptation=adaptation,
        )
        self._requests = Requests(
            self._ray, self._deployment, self._fleet, lambda: self._conductor.why_none
        )
        # Before Ray goes, whose own turn is after this: it came first. Threads that ask it then
        # would start another one.
        atexit.register(self.close)
        try:
            self._fleet.start()
            self._conductor.start()
        except BaseException:
            self.close()
            raise

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Those that are up."""
        return tuple(one.plan for one in self._deployment.up)

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        """How they are."""
        return tuple(member.state for member in self._fleet.members.values())

    @property
    def members(self) -> Mapping[str, Member]:
        """The nodes, and what was last heard of them."""
        return self._fleet.members

    def answer(
        self, feed: Mapping[str, Any], *, slo_ms: float | None, timeout_s: float, run_options: Any
    ) -> Answer:
        """Answer one request."""
        _check_options(run_options)
        return self._requests.answer(self._requests.new(feed, slo_ms, timeout_s))

    async def answer_async(
        self, feed: Mapping[str, Any], *, slo_ms: float | None, timeout_s: float, run_options: Any
    ) -> Answer:
        """Answer one request while others are."""
        _check_options(run_options)
        return await self._requests.answer_async(self._requests.new(feed, slo_ms, timeout_s))

    def answer_many(
        self,
        feeds: Iterable[Mapping[str, Any] | Exception],
        *,
        slo_ms: float | None,
        timeout_s: float,
        in_flight: int | None,
    ) -> Iterator[Answer]:
        """Answer requests in order, several under way at a time."""
        most = in_flight or IN_FLIGHT * sum(len(plan.stages) for plan in self.plans) or IN_FLIGHT
        requests = (
            feed if isinstance(feed, Exception) else self._requests.new(feed, slo_ms, timeout_s)
            for feed in feeds
        )
        return self._requests.answer_many(requests, most)

    @property
    def accountings(self) -> list[Accounting]:
        """What counts the inferences of each plan there was."""
        with self._counting:
            return list(self._accountings.values())

    def update(self, name: str, intensity_g_per_kwh: float) -> None:
        """Count a node's energy at this intensity from now on, and plan with it."""
        self._intensities.set(name, intensity_g_per_kwh)
        member = self._fleet.members[name]
        self._observe(member, 0.0 if member.report is None else member.report.load)

    def close(self) -> None:
        """Stop the workers, and Ray where it was started for them, when the requests that are
        waited for are answered. In a forked process nothing: there is only a copy.
        """
        if os.getpid() != self._process:
            return
        with self._closing, contextlib.ExitStack() as undo:
            if self._closed:
                return
            self._closed = True
            # Without its workers, what puts plans up ends too.
            for step in (
                self._connection.close,
                self._conductor.join,
                self._fleet.close,
                self._conductor.close,
                self._requests.close,
            ):
                undo.callback(step)
        atexit.unregister(self.close)

    def _g_per_kwh(self, name: str) -> float:
        return self._intensities.known(time.time()).by_node[name].g_per_kwh

    def _hear(self, member: Member) -> None:
        """Learn from what a node reports."""
        name, report, greeting = member.node.name, member.report, member.greeting
        assert report is not None, "it was heard"
        assert greeting is not None, "it was met"
        busy = {host for one in self._deployment.up for host in map(self._host, one.nodes)}
        beside = self._beside(member)
        # Before there are plans it is workers that start which load a machine, and what loads one
        # that stands for several nodes loads them all alike.
        alone = bool(busy) and len(beside) == 1 and self._host(name) not in busy
        self._observed.hear(name, report, alone=alone)
        for one in beside:
            self._observe(one, report.load)

    def _beside(self, member: Member) -> list[Member]:
        """The nodes that the machine of one stands for."""
        host = self._host(member.node.name)
        return [one for name, one in self._fleet.members.items() if self._host(name) == host]

    def _observe(self, member: Member, load: float) -> None:
        """Let plans be chosen by how a node is now."""
        self._deployment.observe(
            dataclasses.replace(
                member.node,
                load=load,
                network_latency_ms=member.round_trip_ms,
                intensity_g_per_kwh=self._g_per_kwh(member.node.name),
            )
        )

    def _host(self, name: str) -> str:
        member = self._fleet.members[name]
        if member.greeting is None:
            return ""
        # Under limits of its own, it has a load of its own.
        limited = member.surroundings is not None and member.surroundings.throttled
        return f"{member.greeting.host} {name}" if limited else member.greeting.host

    def _follow(self, down: Mapping[str, str]) -> None:
        """Nodes have gone, for these reasons, or come."""
        self._deployment.withdraw(down)
        self._conductor.wake()

    def _look(self) -> View:
        up = self._fleet.up()
        if not up:
            reasons = "; ".join(f"{name}: {one.down}" for name, one in self.members.items())
            raise ClusterError(f"no node answers ({reasons})")
        return self._observed.view(up, {name: self._g_per_kwh(name) for name in up})

    def _plans(self, view: View) -> list[Plan]:
        if self._plan is not None and view.holds(self._plan):
            return [self._plan]
        return self._meeting_slo(
            lambda placement: plans_for(placement, self._planned, view.cluster, costs=view.costs)
        )

    def _move(self, plans: Sequence[Plan], view: View, requests_per_s: float) -> list[Plan]:
        """Those to put up instead, where it pays to leave each of these."""
        adaptation = self._adaptation
        assert adaptation is not None, "it asks"

        def moved(placement: Placement) -> Replan:
            objective, slo_ms = objective_for_mode(
                self._planned,
                view.cluster,
                placement.mode,
                slo_ms=None if placement.chooses else placement.slo_ms,
                costs=view.costs,
            )
            if slo_ms is not None and slo_ms != placement.slo_ms:
                # The mode's own, which moves with every figure: nobody asked for just that.
                slo_ms *= 1 + adaptation.tolerance
                if placement.slo_ms is not None and not placement.chooses:
                    slo_ms = min(slo_ms, placement.slo_ms)
            for plan in plans:
                found = replan(
                    plan,
                    self._planned,
                    view.cluster,
                    horizon_s=adaptation.horizon_s,
                    requests_per_s=requests_per_s,
                    objective=objective,
                    slo_ms=slo_ms,
                    costs=view.costs,
                )
                if not found.moved:
                    break
            return found

        found = self._meeting_slo(moved)
        if not found.moved:
            logger.debug("staying: %s", found.why)
            return []
        logger.info("moving: %s", found.why)
        return self._plans(view) if self._placement.chooses else [found.plan]

    def _meeting_slo(self, find: Callable[[Placement], _Found]) -> _Found:
        """What meets the latency asked for, or else the best without: late is better than not."""
        placement = self._placement
        try:
            found = find(placement)
        except InfeasibleError as error:
            # In the beginning the user can still ask for something else.
            if placement.slo_ms is None or not self._conductor.started:
                raise
            if not self._late:
                logger.warning("going on above slo_ms=%g: %s", placement.slo_ms, error)
            self._late = True
            return find(dataclasses.replace(placement, slo_ms=None))
        self._late = False
        return found

    def _put_up(self, plan: Plan) -> Deployed:
        stages = RayStages(
            self._ray,
            self._model,
            self._cluster,
            plan,
            self._fleet.members,
            scaled=self._local,
        )
        try:
            stages.load()
            for _ in range(WARM_UPS):
                stages.warm_up(self._sample)
        except BaseException:
            stages.drop()
            raise
        return Deployed(plan, stages, self._accounting(plan, stages))

    def _accounting(self, plan: Plan, stages: RayStages) -> Accounting:
        """One for each plan, also if it comes back, as long as its meters are the same."""
        metered = [self._fleet.members[node.name].metered for node in stages.nodes]
        if self._local:
            emulated, time_source = stands_in(self._cluster), None
        else:
            emulated = self._fleet.hosts_shared()
            time_source = STAND_IN_TIME if emulated else NODE_TIME
        modelled_source = NODE_POWER
        if (surroundings := self._fleet.surroundings()) is not None:
            emulated, time_source = True, surroundings.time_source
            modelled_source = surroundings.energy_source
        with self._counting:
            key = (plan.identity, tuple(metered), emulated, time_source)
            if key not in self._accountings:
                self._accountings[key] = Accounting(
                    stages.nodes,
                    stages.hops,
                    signal=self._intensities,
                    metered=metered,
                    emulated=emulated,
                    time_source=time_source,
                    modelled_source=modelled_source,
                    ledger=self._monitor.ledger,
                    model=self._model.name,
                    plan=plan.identity,
                )
            return self._accountings[key]


def _check_options(run_options: Any) -> None:
    if run_options is not None:
        raise ValueError("run_options cannot be sent to other machines: leave them out")
