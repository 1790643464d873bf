"""The plans that are up, and which of them takes a request."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carbonedge.carbon import Accounting
from carbonedge.carbon.emissions import stage_emissions_g, transfer_emissions_g
from carbonedge.cluster import Node
from carbonedge.exceptions import CarbonEdgeError, InfeasibleError
from carbonedge.planning import Plan
from carbonedge.runtime.placement import Placement
from carbonedge.scheduling import Decision, Scheduler, Task
from carbonedge.units import J_PER_KWH, MS_PER_S

__all__ = ["Deployed", "Deployment"]

ANY_TASK = Task(cpu_cores=0.0, memory_mb=0.0)
"""What a request needs beyond the stages, which are there: that a node is busy makes it slower,
and refuses nothing."""
MOST_LOAD = 1.0
FORGET_S = 30.0
"""A plan that took no request for so long is expected to take as long as planned again: one that
was slow for a while would else never be tried again."""


@dataclass(slots=True, eq=False)
class Deployed:
    """A plan that is up.

    Parameters
    ----------
    plan, stages, accounting
        What runs where, what runs it, and what counts its inferences.
    under_way
        Requests that it has and has not answered.
    lost
        Why it answers nothing any more; ``None`` while it does.
    used_s
        When it last took a request or answered one, by the monotonic clock.
    """

    plan: Plan
    stages: Any
    accounting: Accounting
    under_way: int = 0
    lost: str | None = None
    used_s: float = 0.0

    @property
    def nodes(self) -> list[str]:
        """The nodes of its stages."""
        return [stage.node for stage in self.plan.stages]

    @property
    def name(self) -> str:
        """Its node, where the whole model runs there, else the plan's identity."""
        return self.plan.stages[0].node if len(self.plan.stages) == 1 else self.plan.identity


class Deployment:
    """Hands each request to a plan that is up. Safe for threads.

    Parameters
    ----------
    nodes
        Of the cluster.
    placement
        Whether a `Scheduler` chooses among several plans, and how; else there is one at a
        time.

    Attributes
    ----------
    answered
        Requests so far.
    losses
        How often a node has gone down so far.
    """

    def __init__(self, nodes: Sequence[Node], placement: Placement) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._placement = placement
        slo_ms = placement.slo_ms if placement.chooses else None
        self._task = dataclasses.replace(ANY_TASK, slo_ms=slo_ms)
        self._changed = threading.Condition()
        self._up: tuple[Deployed, ...] = ()
        self._left: list[Deployed] = []
        self._down: Mapping[str, str] = {}
        self._scheduler: Scheduler | None = None
        self._by_name: dict[str, Deployed] = {}
        self._lost_at: dict[str, tuple[int, str]] = {}
        self.answered = 0
        self._closed = False
        self.losses = 0

    @property
    def up(self) -> tuple[Deployed, ...]:
        """The plans that take requests."""
        return self._up

    def replace(self, deployed: Sequence[Deployed], since: int | None = None) -> None:
        """Hand all further requests to these, but for those that have lost a node meanwhile.

        Parameters
        ----------
        deployed
            The plans.
        since
            `losses` before those that are new were begun: a node that has gone down since may
            be back, but without its stages.
        """
        with self._changed:
            if since is not None:
                for one in deployed:
                    if one not in self._up:
                        self._loses_since(one, since)
            kept = [one for one in deployed if not self._loses(one)]
            self._left += [one for one in deployed if one not in (*kept, *self._up, *self._left)]
            self._keep(kept)

    def withdraw(self, down: Mapping[str, str]) -> None:
        """Hand no more requests to plans with any of these nodes, of which it is said why, until
        it is said anew which there are.
        """
        with self._changed:
            for name in down.keys() - self._down.keys():
                self.losses += 1
                self._lost_at[name] = (self.losses, down[name])
            self._down = down
            for one in self._left:
                self._loses(one)
            kept = [one for one in self._up if not self._loses(one)]
            if len(kept) < len(self._up):
                self._keep(kept)

    def finished(self) -> list[Deployed]:
        """Those that take no requests any more and owe no answer, each only once."""
        with self._changed:
            done = [one for one in self._left if one.under_way == 0 or one.lost is not None]
            self._left = [one for one in self._left if one not in done]
            return done

    def task(self, slo_ms: float | None) -> Task:
        """A request that tolerates this latency, where it says so.

        Raises
        ------
        ValueError
            If nothing is chosen by it.
        """
        if slo_ms is None:
            return self._task
        if not self._placement.chooses or self._placement.scoring != "constrained":
            raise ValueError(
                "the slo_ms of a request chooses among plans: open the session with "
                'placement="replicated" or "auto", and scoring="constrained" or an slo_ms'
            )
        return dataclasses.replace(ANY_TASK, slo_ms=slo_ms)

    def take(self, task: Task, until_s: float) -> tuple[Deployed, Decision | None] | None:
        """The plan for a request, which is counted as under way there.

        Parameters
        ----------
        task
            From `task`.
        until_s
            By the monotonic clock: how long to wait for a plan to be up; ``None`` is returned
            then.

        Raises
        ------
        InfeasibleError
            If no plan meets its ``slo_ms`` now.
        CarbonEdgeError
            If it is closed.
        """
        with self._changed:
            self.check_open()
            while not self._up:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    return None
                self.check_open()
            if self._scheduler is None:
                deployed, decision = self._up[0], None
            else:
                self._forget(self._scheduler)
                try:
                    decision = self._scheduler.schedule(task)
                except InfeasibleError as error:
                    raise self._too_slow(self._scheduler, task) from error
                deployed = self._by_name[decision.node]
            deployed.under_way += 1
            deployed.used_s = time.monotonic()
            return deployed, decision

    def give_back(
        self, deployed: Deployed, decision: Decision | None, elapsed_ms: float | None = None
    ) -> None:
        """A request is no longer under way; where it was answered, in how long but for waiting."""
        with self._changed:
            deployed.under_way -= 1
            deployed.used_s = time.monotonic()
            self.answered += elapsed_ms is not None
            if decision is None:
                return
            assert self._scheduler is not None, "it decided"
            if elapsed_ms is None:
                # What it was expected to take teaches nothing.
                power_w = _as_node(deployed, self._nodes).power_w
                elapsed_ms = decision.energy_j / power_w * MS_PER_S
            self._scheduler.complete(decision, elapsed_ms)

    def observe(self, node: Node) -> None:
        """A node has changed: its load, intensity_g_per_kwh or network_latency_ms."""
        with self._changed:
            self._nodes[node.name] = node
            if self._scheduler is None:
                return
            for one in self._up:
                if node.name in one.nodes:
                    now = _as_node(one, self._nodes)
                    self._scheduler.update(
                        now.name,
                        load=now.load,
                        network_latency_ms=now.network_latency_ms,
                        intensity_g_per_kwh=now.known_intensity(),
                    )

    def wait(self, timeout_s: float) -> None:
        """Until the plans change, at most for so long."""
        with self._changed:
            self._changed.wait(timeout_s)

    def close(self) -> None:
        """Hand out no more requests, to those that wait for a plan neither."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def check_open(self) -> None:
        """Raise `CarbonEdgeError` where it is closed."""
        if self._closed:
            raise CarbonEdgeError("the session was closed: open another")

    def _loses_since(self, deployed: Deployed, since: int) -> None:
        for node in deployed.nodes:
            count, why = self._lost_at.get(node, (0, ""))
            if count > since:
                deployed.lost = why

    def _loses(self, deployed: Deployed) -> bool:
        """Whether a plan has lost a node, now or before."""
        if deployed.lost is None:
            down = self._down
            deployed.lost = next((down[node] for node in deployed.nodes if node in down), None)
        return deployed.lost is not None

    def _too_slow(self, scheduler: Scheduler, task: Task) -> InfeasibleError:
        """To the scheduler plans are nodes; to users they are not."""
        least = min(scheduler.explain(task), key=lambda one: one.latency_ms)
        nodes = " -> ".join(self._by_name[least.node].nodes)
        return InfeasibleError(
            f"no plan meets slo_ms={task.slo_ms:g} now: the soonest, {nodes}, takes "
            f"{least.latency_ms:.4g} ms with what is under way there; allow as much"
        )

    def _forget(self, scheduler: Scheduler) -> None:
        """Expect what was planned of plans that took no request for long."""
        now_s = time.monotonic()
        for one in self._up:
            if one.under_way == 0 and now_s - one.used_s > FORGET_S:
                one.used_s = now_s
                scheduler.update(one.name, avg_time_ms=one.plan.latency_ms)

    def _keep(self, deployed: Sequence[Deployed]) -> None:
        gone = [one for one in self._up if one not in deployed]
        come = [one for one in deployed if one not in self._up]
        self._up = tuple(deployed)
        self._left += gone
        if self._placement.chooses:
            self._tell(gone, come)
        self._changed.notify_all()

    def _tell(self, gone: Sequence[Deployed], come: Sequence[Deployed]) -> None:
        """Let the scheduler know, which keeps what it has learned of the others."""
        for one in gone:
            del self._by_name[one.name]
        nodes = [_as_node(one, self._nodes) for one in come]
        if self._scheduler is None and nodes:
            self._scheduler = Scheduler(
                nodes,
                mode=self._placement.mode,
                scoring=self._placement.scoring or "normalized",
                max_load=MOST_LOAD,
            )
        elif self._scheduler is not None:
            for one in gone:
                self._scheduler.remove(one.name)
            for node in nodes:
                self._scheduler.add(node)
        self._by_name |= {one.name: one for one in come}


def _as_node(deployed: Deployed, nodes: Mapping[str, Node]) -> Node:
    """A plan as the scheduler sees it: a node that takes as long, draws and emits as much."""
    plan = deployed.plan
    among = [nodes[name] for name in dict.fromkeys(deployed.nodes)]
    if len(among) == 1:
        return dataclasses.replace(among[0], name=deployed.name, avg_time_ms=plan.latency_ms)
    emissions_g = sum(
        stage_emissions_g(nodes[stage.node], stage.energy_j, stage.time_ms) for stage in plan.stages
    ) + sum(
        transfer_emissions_g(nodes[way.source], nodes[way.target], way.energy_j)
        for way in plan.transfers
    )
    return Node(
        deployed.name,
        cpu_cores=min(node.cpu_cores for node in among),
        memory_mb=min(node.memory_mb for node in among),
        power_w=plan.energy_j / plan.latency_ms * MS_PER_S,
        intensity_g_per_kwh=emissions_g / plan.energy_j * J_PER_KWH,
        load=max(node.load for node in among),
        network_latency_ms=among[0].network_latency_ms,
        avg_time_ms=plan.latency_ms,
        parallelism=len(among) * min(node.parallelism for node in among),
    )
