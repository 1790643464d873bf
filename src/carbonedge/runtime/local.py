"""Runtime "local": every stage in this process, one ONNX Runtime session each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from carbonedge.carbon import Hop
from carbonedge.carbon.energy import Attribution, Portion
from carbonedge.cluster import Cluster, Link, Node
from carbonedge.exceptions import ClusterError, ModelError
from carbonedge.planning import ModelGraph, Plan, split
from carbonedge.planning.boxing import carrier
from carbonedge.planning.cuts import returning
from carbonedge.planning.session import open_session, run_session
from carbonedge.runtime.metering import Gauge, new_threads
from carbonedge.units import BYTES_PER_MB, MEGABITS_PER_MB, MS_PER_S

__all__ = ["LocalStages", "Taken"]


class Taken(NamedTuple):
    """What one inference took, as `Accounting.account` counts it."""

    began_s: float
    times_ms: list[float]
    portions: list[Portion | None]
    transfers: list[tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """The way to the next stage, or from and to the source, and what must take it."""

    hop: Hop
    link: Link
    tensors: tuple[str, ...]

    def cost(self, tensors: Mapping[str, Any]) -> tuple[float, float]:
        """Milliseconds and joules."""
        mb = sum(_bytes(tensors[name]) for name in self.tensors) / BYTES_PER_MB
        time_ms = self.link.latency_ms + mb * MEGABITS_PER_MB / self.link.bandwidth_mbps * MS_PER_S
        return time_ms, mb * self.link.energy_j_per_mb


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    node: Node
    run: Any
    inputs: tuple[str, ...]
    outputs: list[str]
    gauge: Gauge


class LocalStages:
    """The stages of a plan, run one after another here.

    Consecutive stages on one node become one. A node's time is what the stage took
    here divided by the node's speed. Where the plan has a source, outputs made early are
    counted on every hop to the last stage, which returns them, as they are in plans.

    Parameters
    ----------
    model
        From `load_model`.
    cluster
        The nodes the plan names.
    plan
        What runs where.
    attribution
        Of the meter that counts the stages' energy, if any does.
    providers, sess_options
        ONNX Runtime's.

    Attributes
    ----------
    nodes
        Of the stages, in order.
    hops
        In the order of `Taken.transfers`.

    Raises
    ------
    ClusterError
        If the plan names a node that is not there, or hops where no link is.
    ModelError
        If ONNX Runtime cannot load a stage, or the plan is not of this model.
    """

    def __init__(
        self,
        model: ModelGraph,
        cluster: Cluster,
        plan: Plan,
        *,
        attribution: Attribution | None = None,
        providers: Sequence[Any] | None = None,
        sess_options: Any = None,
    ) -> None:
        _check_cover(plan, len(model.operators))
        stages = _fused(plan)
        names = [name for name, _ in stages]
        self.nodes = [cluster.nodes[cluster.index(name)] for name in names]
        parts = split(model, [start for _, start in stages[1:]])
        cuts = model.cuts if plan.source is None else returning(model.cuts)
        crossing = {cut.position: cut for cut in cuts}
        self._stages = []
        self._ways = []
        for k, (node, part) in enumerate(zip(self.nodes, parts, strict=True)):
            with new_threads() as threads:
                session = open_session(part, providers=providers, sess_options=sess_options)
            gauge = Gauge(attribution, threads, node.cpu_cores)
            self._stages.append(_Stage(node, session.run, part.inputs, list(part.outputs), gauge))
            if k + 1 < len(names):
                tensors = tuple(carrier(tensor) for tensor in crossing[part.stop].tensors)
                self._ways.append(_way(cluster, names[k], names[k + 1], k, tensors))
        if plan.source is not None:
            for start, stop, stage, cut in (
                (plan.source, names[0], 0, model.cuts[0]),
                (names[-1], plan.source, len(names) - 1, model.cuts[-1]),
            ):
                if start != stop:
                    tensors = tuple(tensor.name for tensor in cut.tensors)
                    self._ways.append(_way(cluster, start, stop, stage, tensors))
        self.hops = [way.hop for way in self._ways]

    def run(self, feed: Mapping[str, Any], run_options: Any) -> tuple[dict[str, Any], Taken]:
        """All tensors that stages put out, by name, and what the inference took."""
        tensors = dict(feed)
        began_s = time.time()
        times_ms: list[float] = []
        portions: list[Portion | None] = []
        for stage in self._stages:
            wanted = {name: tensors[name] for name in stage.inputs}
            with stage.gauge.measuring(portions):
                began = time.perf_counter()
                results = run_session(stage.run, stage.outputs, wanted, run_options)
                elapsed_ms = (time.perf_counter() - began) * MS_PER_S
            tensors.update(zip(stage.outputs, results, strict=True))
            times_ms.append(elapsed_ms / stage.node.speed)
        transfers = [way.cost(tensors) for way in self._ways]
        return tensors, Taken(began_s, times_ms, portions, transfers)


def _way(cluster: Cluster, source: str, target: str, stage: int, tensors: tuple[str, ...]) -> _Way:
    ends = (cluster.nodes[cluster.index(source)], cluster.nodes[cluster.index(target)])
    return _Way(Hop(*ends, stage), _link(cluster, source, target), tensors)


def _bytes(value: Any) -> int:
    """Size of what crosses: an array, or a sequence, map or absence of such."""
    if value is None:
        return 0
    if isinstance(value, Mapping):
        return sum(_bytes(key) + _bytes(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(_bytes, value))
    array = np.asarray(value)
    if array.dtype.hasobject:
        return sum(len(str(item).encode()) for item in array.flat)
    return array.nbytes


def _check_cover(plan: Plan, num_operators: int) -> None:
    reached = plan.stages[-1].stop
    if reached != num_operators:
        raise ModelError(
            f"the plan ends at operator {reached} and the model has {num_operators}: "
            "make a plan for this model"
        )


def _fused(plan: Plan) -> list[tuple[str, int]]:
    """Node and start of each stage, consecutive ones on one node as one."""
    stages: list[tuple[str, int]] = []
    for stage in plan.stages:
        if not stages or stages[-1][0] != stage.node:
            stages.append((stage.node, stage.start))
    return stages


def _link(cluster: Cluster, source: str, target: str) -> Link:
    link = cluster.link(source, target)
    if link is None:
        raise ClusterError(
            f"the plan hops from {source!r} to {target!r}, which have no link: add one"
        )
    return link
