"""The stages of a plan on the workers of a fleet, called one after another through Ray."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carbonedge.cluster import Cluster
from carbonedge.planning import ModelGraph, Plan
from carbonedge.planning.packing import pack
from carbonedge.runtime.local import Taken
from carbonedge.runtime.ray.member import Member
from carbonedge.runtime.ray.worker import LOADING, OutgrownError, StageMissingError, StageSpec
from carbonedge.runtime.stages import models_of, nodes_of, ways_of
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = ["WATCH_S", "NodeLostError", "RayStages", "longer_s"]

WATCH_S = 0.25
"""What is under way is looked after so often: a node that falls silent raises nothing."""


class NodeLostError(Exception):
    """A node went down while a stage was brought to it."""


def longer_s(ray: Any, ref: Any, watch_s: float) -> float:
    """How long to wait next for what has not come: longer each time if it is on its way, for
    Ray begins to fetch it anew.
    """
    return 2 * watch_s if ray.wait([ref], timeout=0, fetch_local=False)[0] else watch_s


class RayStages:
    """A plan's stages, each on the worker of its node.

    Of a request each worker passes on what later stages read and what the user gets. Ray
    carries it: what is below about 100 kB through the driver, the rest from worker to worker.

    Parameters
    ----------
    ray
        The module.
    model, cluster, plan
        As for `LocalStages`.
    members
        The nodes by name.
    scaled
        Whether workers stand in for nodes on this machine, so that times are divided by the
        nodes' speed and those of transfers are the links', as in runtime "local". Else a
        request's ways take in equal parts what its stages leave of its time.

    Attributes
    ----------
    nodes, hops
        As of `LocalStages`.

    Raises
    ------
    ClusterError
        If the plan names a node that is not there, or hops where no link is.
    ModelError
        If the plan is not of this model.
    """

    def __init__(
        self,
        ray: Any,
        model: ModelGraph,
        cluster: Cluster,
        plan: Plan,
        members: Mapping[str, Member],
        *,
        scaled: bool,
    ) -> None:
        self._ray = ray
        self._scaled = scaled
        self._source = plan.source
        self._parts = models_of(model, plan)
        self.nodes = nodes_of(cluster, plan)
        self._ways = ways_of(model, cluster, plan)
        self.hops = [way.hop for way in self._ways]
        self._members = [members[node.name] for node in self.nodes]
        memory_mb: dict[str, float] = {}
        for stage in plan.stages:
            memory_mb[stage.node] = memory_mb.get(stage.node, 0.0) + stage.memory_mb
        results = {output.name for output in model.outputs}
        # The same plan may be put up again before it has gone.
        once = uuid.uuid4().hex[:12]
        self._specs = []
        for k, part in enumerate(self._parts):
            wanted = results.union(*(later.inputs for later in self._parts[k + 1 :]))
            comes_from = plan.source if k == 0 else self.nodes[k - 1].name
            goes_to = plan.source if k == len(self._parts) - 1 else None
            known = {tensor.name for tensor in model.inputs}
            known.update(*(earlier.outputs for earlier in self._parts[: k + 1]))
            spec = StageSpec(
                f"{once}:{k}",
                (part.start, part.stop),
                part.inputs,
                part.outputs,
                tuple(sorted(known & wanted)),
                memory_mb[self.nodes[k].name],
                *(None if end == self.nodes[k].name else end for end in (comes_from, goes_to)),
            )
            self._specs.append(spec)
        self._route = tuple(spec.identity for spec in self._specs)
        self._calls: list[Callable[[Any], Any]] = []
        self._kills = [member.memory_kills for member in self._members]

    def outgrown(self) -> OutgrownError | None:
        """Which stage took more memory than its node of a local cluster has, if any did yet."""
        for member, spec, kills in zip(self._members, self._specs, self._kills, strict=True):
            if member.memory_kills > kills:
                its = member.surroundings
                assert its is not None, "it counts them"
                return OutgrownError(member.node.name, spec.memory_mb, its.node.memory_mb)
        return None

    def load(self) -> None:
        """Bring each stage to its node.

        Raises
        ------
        TooLargeError
            If it takes more memory than the node has, or the worker was ended for it.
        NodeLostError
            If a node goes down meanwhile.
        ModelError
            If ONNX Runtime cannot load it there.
        """
        waiting = {}
        for member, spec, part in zip(self._members, self._specs, self._parts, strict=True):
            call = member.actor.load.options(concurrency_group=LOADING)
            waiting[call.remote(spec, self._ray.put(pack(part)))] = member
        while waiting:
            done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=WATCH_S)
            for ref in done:
                member = waiting.pop(ref)
                self._check(ref, member)
            for member in waiting.values():
                if member.down is not None:
                    raise self._lost(member)
        self._calls = [member.actor.run.remote for member in self._members]

    def warm_up(self, feed: Mapping[str, Any]) -> None:
        """Answer a request that nobody waits for.

        Raises
        ------
        TooLargeError
            If it takes more memory than a node has.
        NodeLostError
            If a node goes down meanwhile.
        ModelError
            If ONNX Runtime fails.
        """
        ref, watch_s = self.send(feed), WATCH_S
        while not self._ray.wait([ref], timeout=watch_s)[0]:
            watch_s = longer_s(self._ray, ref, watch_s)
            for member in self._members:
                if member.down is not None:
                    raise self._lost(member)
        self._check(ref, self._members[0])

    def send(self, feed: Mapping[str, Any]) -> Any:
        """Start a request; Ray's reference to what comes of it."""
        passed: Any = (self._route, dict(feed), ())
        for call in self._calls:
            passed = call(passed)
        return passed

    def taken(
        self,
        feed: Mapping[str, Any],
        tensors: Mapping[str, Any],
        runs: Sequence[tuple[Any, ...]],
        began_s: float,
        elapsed_ms: float | None,
    ) -> Taken:
        """What a request took.

        Parameters
        ----------
        feed, tensors
            What went in, and what came out.
        runs
            What the stages say: each a `StageTaken`.
        began_s, elapsed_ms
            By the clocks here: the nodes' need not agree. ``None`` where nobody saw the answer
            come: the ways then take what their links' figures say.
        """
        # Every request pays for every line here, as in `Accounting.account`.
        _, times_ms, portions, mbs, came_ms, went_ms = map(list, zip(*runs, strict=True))
        if self._scaled:
            times_ms = [
                time_ms / node.speed for time_ms, node in zip(times_ms, self.nodes, strict=True)
            ]
        leg_ms = None
        if elapsed_ms is not None and not self._scaled:
            # Around a request's stages lie as many ways, and one more, as there are stages.
            # What links of a local cluster held up is those links' own.
            others_ms = sum(times_ms) + sum(came_ms) + sum(went_ms)
            leg_ms = max(0.0, elapsed_ms - others_ms) / (len(runs) + 1)
        transfers = []
        for k, way in enumerate(self._ways):
            if k + 1 < len(runs):
                link, mb, held_ms = way.link, mbs[k], came_ms[k + 1]
                time_ms = link.latency_ms + mb * MEGABITS_PER_MB / link.bandwidth_mbps * MS_PER_S
                cost = (time_ms, mb * link.energy_j_per_mb)
            else:
                held_ms = came_ms[0] if way.hop.source.name == self._source else went_ms[-1]
                cost = way.cost({**feed, **tensors})
            transfers.append(cost if leg_ms is None else (leg_ms + held_ms, cost[1]))
        return Taken(began_s, times_ms, portions, transfers)

    def drop(self) -> None:
        """Let the workers forget the stages, also those that are silent and may come back."""
        for member, spec in zip(self._members, self._specs, strict=True):
            member.actor.drop.options(concurrency_group=LOADING).remote([spec.identity])

    def _lost(self, member: Member) -> Exception:
        return self.outgrown() or NodeLostError(member.node.name)

    def _check(self, ref: Any, member: Member) -> None:
        errors = self._ray.exceptions
        try:
            self._ray.get(ref)
        except errors.RayTaskError as error:
            if isinstance(error.cause, StageMissingError):  # started anew since it was brought
                raise self._lost(member) from error
            raise error.cause from None
        except errors.RayError as error:
            raise self._lost(member) from error
