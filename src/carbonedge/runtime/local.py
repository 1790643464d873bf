"""Runtime "local": every stage in this process, one ONNX Runtime session each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from carbonedge.carbon import Footprint, Share, stage_share, transfer_share
from carbonedge.cluster import Cluster, Link, Node
from carbonedge.exceptions import ClusterError, ModelError
from carbonedge.planning import ModelGraph, Plan, split
from carbonedge.planning.boxing import carrier
from carbonedge.planning.cuts import returning
from carbonedge.planning.session import open_session, run_session
from carbonedge.units import BYTES_PER_MB, MEGABITS_PER_MB, MS_PER_S

__all__ = ["LocalStages"]


@dataclass(frozen=True, slots=True, eq=False)
class _Hop:
    """The way to the next stage, or from and to the source, and what must take it."""

    source: Node
    target: Node
    link: Link
    tensors: tuple[str, ...]

    def share(self, tensors: Mapping[str, Any]) -> Share:
        mb = sum(_bytes(tensors[name]) for name in self.tensors) / BYTES_PER_MB
        time_ms = self.link.latency_ms + mb * MEGABITS_PER_MB / self.link.bandwidth_mbps * MS_PER_S
        return transfer_share(self.source, self.target, time_ms, mb * self.link.energy_j_per_mb)


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    node: Node
    run: Any
    inputs: tuple[str, ...]
    outputs: list[str]
    hop: _Hop | None


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
    providers, sess_options
        ONNX Runtime's.

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
        providers: Sequence[Any] | None = None,
        sess_options: Any = None,
    ) -> None:
        _check_cover(plan, len(model.operators))
        stages = _fused(plan)
        names = [name for name, _ in stages]
        nodes = [cluster.nodes[cluster.index(name)] for name in names]
        parts = split(model, [start for _, start in stages[1:]])
        cuts = model.cuts if plan.source is None else returning(model.cuts)
        crossing = {cut.position: cut for cut in cuts}
        self._stages = []
        for k, (node, part) in enumerate(zip(nodes, parts, strict=True)):
            session = open_session(part, providers=providers, sess_options=sess_options)
            hop = None
            if k + 1 < len(nodes):
                tensors = tuple(carrier(tensor) for tensor in crossing[part.stop].tensors)
                hop = _Hop(node, nodes[k + 1], _link(cluster, names[k], names[k + 1]), tensors)
            self._stages.append(_Stage(node, session.run, part.inputs, list(part.outputs), hop))
        self._ways = _ways(model, cluster, plan.source, names[0], names[-1])

    def run(self, feed: Mapping[str, Any], run_options: Any) -> tuple[dict[str, Any], Footprint]:
        """All tensors that stages put out, by name, and what one inference cost."""
        tensors = dict(feed)
        by_node: dict[str, Share] = {}
        transfers = Share()
        for stage in self._stages:
            wanted = {name: tensors[name] for name in stage.inputs}
            began = time.perf_counter()
            results = run_session(stage.run, stage.outputs, wanted, run_options)
            elapsed_ms = (time.perf_counter() - began) * MS_PER_S
            tensors.update(zip(stage.outputs, results, strict=True))
            share = stage_share(stage.node, elapsed_ms / stage.node.speed)
            name = stage.node.name
            by_node[name] = by_node[name] + share if name in by_node else share
            if stage.hop is not None:
                transfers += stage.hop.share(tensors)
        for way in self._ways:
            transfers += way.share(tensors)
        return tensors, Footprint(1, by_node, transfers)


def _ways(
    model: ModelGraph, cluster: Cluster, source: str | None, first: str, last: str
) -> list[_Hop]:
    """How inputs come from the source and outputs return, where it is another node."""
    if source is None:
        return []
    ends = [(source, first, model.cuts[0]), (last, source, model.cuts[-1])]
    return [
        _Hop(
            cluster.nodes[cluster.index(start)],
            cluster.nodes[cluster.index(stop)],
            _link(cluster, start, stop),
            tuple(tensor.name for tensor in cut.tensors),
        )
        for start, stop, cut in ends
        if start != stop
    ]


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
