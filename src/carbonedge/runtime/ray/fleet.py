"""The workers of a cluster: started, listened to, given up and taken back."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from carbonedge.carbon.energy.attribution import ShareBy
from carbonedge.cluster import Cluster, Link, Node
from carbonedge.exceptions import CarbonEdgeError, ClusterError, MeterUnavailableError
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.local_cluster.surroundings import Surroundings
from carbonedge.runtime.ray.connection import (
    NAMESPACE,
    SHARE,
    Connection,
    resource,
    start_line,
    worker_name,
)
from carbonedge.runtime.ray.member import Member
from carbonedge.runtime.ray.worker import CONTROL, LOADING, Greeting, Worker
from carbonedge.runtime.session_options import Settings
from carbonedge.runtime.versions import versions
from carbonedge.units import MS_PER_S

__all__ = ["Fleet"]

logger = logging.getLogger(__name__)

QUEUED = 8
"""Requests that a worker takes in beyond those it runs, so that it can tell of them."""
PROMPT_S = 0.05
"""Nodes that answer within it are timed to the microsecond."""
MENDING_S = 5.0
"""Between two tries to start a worker that cannot start."""


class Fleet:
    """One worker on the machine of each node.

    Parameters
    ----------
    connection
        To Ray.
    cluster
        The nodes and links.
    settings
        Of all workers.
    metering
        The meter that each machine opens, and how it is shared. A machine that stands for several nodes counts none:
        each would be given what the others drew.
    listening
        How often.
    intensity
        Of a node's grid now, in gCO2eq/kWh.
    heard
        Called with each node that has reported, on the thread that listens.
    changed
        Called when nodes go or come, with why each that is gone is; on any thread.

    Raises
    ------
    ClusterError
        If no machine is any of the nodes.
    """

    def __init__(
        self,
        connection: Connection,
        cluster: Cluster,
        settings: Settings,
        *,
        metering: tuple[str | Mapping[str, Any], ShareBy] | None,
        listening: Listening,
        intensity: Callable[[str], float],
        heard: Callable[[Member], None],
        changed: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._connection = connection
        self._ray = connection.ray
        self._cluster = cluster
        self._settings = settings
        self._metering = metering
        self._listening = listening
        self._intensity = intensity
        self._heard = heard
        self._changed = changed
        self._session = uuid.uuid4().hex[:8]
        self._kind = self._ray.remote(
            concurrency_groups={CONTROL: 1, LOADING: 1}, enable_task_events=False
        )(Worker)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._gathered = False
        connection.check_nodes(node.name for node in cluster.nodes)
        self.members = {node.name: Member(node, self._worker(node)) for node in cluster.nodes}
        self._thread = threading.Thread(target=self._listen, name="carbonedge-fleet", daemon=True)

    def start(self) -> None:
        """Wait for the nodes, and listen to them from now on.

        Raises
        ------
        ClusterError
            If none answers in time.
        """
        self._gather()
        errors = self._ray.exceptions
        for member in self.members.values():
            try:
                self._meter(member)
            except (errors.RayActorError, errors.GetTimeoutError) as error:
                self._give_up(member, _reason(error))
        self._gathered = True
        self._thread.start()

    def up(self) -> list[str]:
        """The nodes that answer, in the order of the cluster."""
        return [name for name, member in self.members.items() if member.down is None]

    def hosts_shared(self) -> bool:
        """Whether one machine stands for several nodes, or did when they were last heard."""
        hosts = [one.greeting.host for one in self.members.values() if one.greeting is not None]
        return len(set(hosts)) < len(hosts)

    def surroundings(self) -> Surroundings | None:
        """Of a node, where they are those of a local cluster."""
        its = (member.surroundings for member in self.members.values())
        return next((one for one in its if one is not None), None)

    def lose(self, actor: str | None, why: str) -> None:
        """Give up the node of an actor, by Ray's id, until it answers again."""
        for member in self.members.values():
            if member.greeting is not None and member.greeting.actor == actor:
                self._give_up(member, why)
        self._woken.set()

    def close(self) -> None:
        """Stop the workers."""
        self._closed.set()
        self._woken.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        if self._ray.is_initialized():  # else they are gone, and it would be started again
            for member in self.members.values():
                self._ray.kill(member.actor)

    def _worker(self, node: Node) -> Any:
        pinned = {} if self._connection.local else {resource(node.name): SHARE}
        return self._kind.options(
            name=worker_name(self._session, node.name),
            namespace=NAMESPACE,
            num_cpus=0,
            resources=pinned,
            max_restarts=-1,
            max_concurrency=node.parallelism + QUEUED,
        ).remote(node, self._settings, stands_in=self._connection.local)

    def _gather(self) -> None:
        """Hear all nodes once; those that do not answer are waited for no longer than given."""
        until = time.monotonic() + self._listening.start_s
        while time.monotonic() < until and len(self.up()) < len(self.members):
            self._round(min(self._listening.every_s, until - time.monotonic()))
            offered = self._offered()
            address = self._connection.address
            for name, one in self.members.items():
                if one.down is not None and resource(name) not in offered:
                    one.down = f"no machine of the Ray cluster is it: {start_line(name, address)}"
            coming = [
                name
                for name, one in self.members.items()
                if one.down is not None and not one.broken and resource(name) in offered
            ]
            if not coming:
                break
        if not self.up():
            reasons = "; ".join(f"{name}: {one.down}" for name, one in self.members.items())
            raise ClusterError(f"no node answers ({reasons})")
        for name, member in self.members.items():
            if member.down is not None:
                logger.warning("starting without node %r: %s", name, member.down)

    def _offered(self) -> Mapping[str, float]:
        if self._connection.local:
            return {resource(name): 1.0 for name in self.members}
        offered: Mapping[str, float] = self._ray.cluster_resources()
        return offered

    def _listen(self) -> None:
        while not self._closed.is_set():
            self._woken.clear()
            began = time.monotonic()
            try:
                self._round(self._listening.every_s)
            except Exception:
                if self._closed.is_set():
                    return
                logger.exception("the nodes cannot be listened to")
            self._woken.wait(max(0.0, self._listening.every_s - (time.monotonic() - began)))

    def _round(self, timeout_s: float) -> None:
        """Ask every node how it is, and take what answers within the time."""
        until = time.monotonic() + timeout_s
        prompt: list[tuple[Member, float]] = []
        waiting: dict[Any, Member] = {}
        for name, member in self.members.items():
            if member.asked is None:
                call = member.actor.report.options(concurrency_group=CONTROL)
                asked_s = time.perf_counter()
                member.asked = (call.remote(self._intensity(name)), asked_s)
            # One after another, so that no answer waits for another one to be taken.
            ref, _ = member.asked
            if self._ray.wait([ref], timeout=PROMPT_S)[0]:
                prompt.append((member, time.perf_counter()))
            else:
                waiting[ref] = member
        for member, answered_s in prompt:
            self._hear(member, answered_s)
        while waiting and not self._closed.is_set() and (left_s := until - time.monotonic()) > 0:
            for ref in self._ray.wait(list(waiting), num_returns=1, timeout=left_s)[0]:
                self._hear(waiting.pop(ref), time.perf_counter())
        for member in waiting.values():
            silent_s = time.monotonic() - member.heard_s
            if member.down is None and silent_s > self._listening.silent_after_s:
                self._give_up(member, f"it has been silent for {silent_s:.1f} s")

    def _hear(self, member: Member, answered_s: float) -> None:
        assert member.asked is not None, "it was asked"
        (ref, asked_s), member.asked = member.asked, None
        errors = self._ray.exceptions
        try:
            report = self._ray.get(ref)
            if member.greeting is None or member.greeting.incarnation != report.incarnation:
                self._give_up(member, "its worker was started anew")
                self._meet(member)
        except errors.ActorDiedError as error:
            member.broken = True
            self._give_up(member, _reason(error))
            self._mend(member)
            return
        except (errors.RayError, CarbonEdgeError) as error:
            self._give_up(member, _reason(error))
            return
        member.report = report
        member.round_trip_ms = (answered_s - asked_s) * MS_PER_S
        member.heard_s = time.monotonic()
        self._heard(member)
        self._set_down(member, None)

    def _meet(self, member: Member) -> None:
        """Ask a worker that is new who it is, and let it count energy."""
        call = member.actor.greet.options(concurrency_group=CONTROL)
        greeting: Greeting = self._ray.get(call.remote(), timeout=self._listening.silent_after_s)
        for what, version in versions().items():
            if greeting.versions[what] != version:
                logger.warning(
                    "node %r has %s %s and this process %s: answers may differ in their last "
                    "digits; install the same everywhere",
                    *(member.node.name, what, greeting.versions[what], version),
                )
        member.greeting = greeting
        member.kills = member.memory_kills
        if greeting.surroundings is not None:
            _check_alike(member.node, self._cluster, greeting.surroundings)
        if self._gathered:
            self._meter(member)

    def _meter(self, member: Member) -> None:
        member.metered = None
        if self._metering is None or member.greeting is None:
            return
        name, host = member.node.name, member.greeting.host
        others = [
            one.greeting.host for one in self.members.values() if one is not member and one.greeting
        ]
        if host in others or member.surroundings is not None:
            logger.warning(
                "counting node power x time on node %r: its machine stands for other nodes too",
                name,
            )
            return
        call = member.actor.meter.options(concurrency_group=CONTROL)
        meter, share_by = self._metering
        try:
            member.metered = self._ray.get(
                call.remote(meter, share_by), timeout=self._listening.silent_after_s
            )
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError):
            member.greeting = None  # to be met again
            raise
        except MeterUnavailableError as error:
            reason = getattr(error, "cause", error)  # Ray adds where it was raised
            logger.warning("counting node power x time on node %r: %s", name, reason)

    def _mend(self, member: Member) -> None:
        """A worker that Ray will not start again is replaced, after a while."""
        if time.monotonic() - member.heard_s > MENDING_S:
            member.heard_s = time.monotonic()
            member.actor = self._worker(member.node)
            member.greeting = None
            member.broken = False

    def _give_up(self, member: Member, why: str) -> None:
        if member.surroundings is not None and member.memory_kills > member.kills:
            mb = member.surroundings.node.memory_mb
            why = f"its worker took more memory than its {mb:g} MB, and the kernel ended it"
        if self._set_down(member, why) is None:
            logger.warning("node %r is given up until it answers again: %s", member.node.name, why)

    def _set_down(self, member: Member, why: str | None) -> str | None:
        """Why it was down before. Whoever is told hears of changes in their order."""
        with self._lock:
            known, member.down = member.down, why
            if (known is None) != (why is None):
                members = self.members.items()
                self._changed({name: one.down for name, one in members if one.down is not None})
        return known


def _check_alike(node: Node, cluster: Cluster, surroundings: Surroundings) -> None:
    """See that a node of a local cluster, and its links, have what plans count on."""
    up = surroundings.node
    if (node.cpu_cores, node.memory_mb) != (up.cpu_cores, up.memory_mb):
        logger.warning(
            "node %r has %g cpu_cores and %g MB in this cluster, and %g and %g in the local one that "
            "is up: bring that up from the same file",
            *(node.name, node.cpu_cores, node.memory_mb, up.cpu_cores, up.memory_mb),
        )
    for link in surroundings.links:
        its = cluster.link(link.source, link.target)
        if its is not None and _figures(its) != _figures(link):
            logger.warning(
                "the link from %r to %r has %g ms and %g Mbit/s in this cluster, and %g and %g in the "
                "local one that is up: bring that up from the same file",
                *(link.source, link.target, *_figures(its), *_figures(link)),
            )


def _figures(link: Link) -> tuple[float, float]:
    return link.latency_ms, link.bandwidth_mbps


def _reason(error: Exception) -> str:
    """Of a worker that cannot start, the last line is what it raised."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return lines[-1] if getattr(error, "actor_init_failed", False) else lines[0]
