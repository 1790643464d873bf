"""Runtime "local": plans in this process, one request after another."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from carbonedge.carbon import Accounting, Footprint, Metered
from carbonedge.carbon.lookup import Lookup
from carbonedge.exceptions import CarbonEdgeError
from carbonedge.planning import ModelGraph, Plan
from carbonedge.runtime.deployment import Deployed, Deployment
from carbonedge.runtime.local import LocalStages
from carbonedge.runtime.monitor import Monitor, stands_in
from carbonedge.runtime.node_state import NodeState
from carbonedge.runtime.placement import Placement
from carbonedge.runtime.turns import taking_turns
from carbonedge.runtime.versions import versions

__all__ = ["Answer", "LocalRuntime"]

Answer = tuple[dict[str, Any], Footprint]


class LocalRuntime:
    """Runs requests here.

    Parameters
    ----------
    model
        From `load_model`.
    monitor
        Its cluster, meter, signal and ledger.
    plans
        To put up.
    placement
        How one is chosen for a request.
    providers, sess_options
        ONNX Runtime's.
    """

    def __init__(
        self,
        model: ModelGraph,
        monitor: Monitor,
        plans: Sequence[Plan],
        placement: Placement,
        *,
        providers: Sequence[Any] | None,
        sess_options: Any,
    ) -> None:
        cluster, attribution = monitor.cluster, monitor.attribution
        self.plans = tuple(plans)
        here = versions()
        self.nodes = tuple(NodeState(node.name, versions=here) for node in cluster.nodes)
        self._deployment = Deployment(cluster.nodes, placement)
        if sum(len(plan.stages) for plan in plans) > 1:
            sess_options = taking_turns(sess_options)
        put_up = [
            LocalStages(
                model,
                cluster,
                plan,
                attribution=attribution,
                providers=providers,
                sess_options=sess_options,
            )
            for plan in plans
        ]
        ends = [end for one in put_up for hop in one.hops for end in (hop.source, hop.target)]
        nodes = [node for one in put_up for node in one.nodes]
        self._intensities = Lookup([*nodes, *ends], monitor.signal)
        self._deployed = [
            Deployed(
                plan,
                stages,
                Accounting(
                    stages.nodes,
                    stages.hops,
                    signal=self._intensities,
                    metered=None if attribution is None else Metered.by(attribution),
                    emulated=stands_in(cluster),
                    ledger=monitor.ledger,
                    model=model.name,
                    plan=plan.identity,
                ),
            )
            for plan, stages in zip(plans, put_up, strict=True)
        ]
        self._nodes = {node.name: node for node in [*nodes, *ends]}
        self._deployment.replace(self._deployed)
        self._known = self._intensities.latest
        self._closed = False

    def answer(
        self, feed: Mapping[str, Any], *, slo_ms: float | None, timeout_s: float, run_options: Any
    ) -> Answer:
        """Answer one request; it takes the time it takes."""
        self._observe()
        taken = self._deployment.take(self._deployment.task(slo_ms), time.monotonic())
        assert taken is not None, "plans here stay up"
        deployed, decision = taken
        elapsed_ms = None
        try:
            tensors, took = deployed.stages.run(feed, run_options)
            footprint = deployed.accounting.account(*took)
            elapsed_ms = footprint.latency_ms
        finally:
            self._deployment.give_back(deployed, decision, elapsed_ms)
        return tensors, footprint

    async def answer_async(
        self, feed: Mapping[str, Any], *, slo_ms: float | None, timeout_s: float, run_options: Any
    ) -> Answer:
        """The same on a thread of its own."""
        answer = functools.partial(
            self.answer, slo_ms=slo_ms, timeout_s=timeout_s, run_options=run_options
        )
        return await asyncio.to_thread(answer, feed)

    def answer_many(
        self,
        feeds: Iterable[Mapping[str, Any] | Exception],
        *,
        slo_ms: float | None,
        timeout_s: float,
        in_flight: int | None,
    ) -> Iterator[Answer]:
        """One after another: what runs side by side here only shares the cores."""
        for feed in feeds:
            if self._closed:
                raise CarbonEdgeError("the session was closed: open another")
            if isinstance(feed, Exception):
                raise feed
            yield self.answer(feed, slo_ms=slo_ms, timeout_s=timeout_s, run_options=None)

    @property
    def accountings(self) -> list[Accounting]:
        """What counts the inferences of each plan."""
        return [one.accounting for one in self._deployed]

    def update(self, name: str, intensity_g_per_kwh: float) -> None:
        """Count a node's energy at this intensity from now on, and choose by it."""
        self._intensities.set(name, intensity_g_per_kwh)
        self._observe()

    def _observe(self) -> None:
        """Choose by the intensities of now."""
        known = self._intensities.known(time.time())
        if known is self._known:
            return
        self._known = known
        for name, node in self._nodes.items():
            g_per_kwh = known.by_node[name].g_per_kwh
            self._deployment.observe(dataclasses.replace(node, intensity_g_per_kwh=g_per_kwh))

    def close(self) -> None:
        """Take no more of many requests, which nobody would write down. The stages go when
        nobody has this runtime any more.
        """
        self._closed = True
