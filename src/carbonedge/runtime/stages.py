"""The stages of a plan as they run: their nodes, their models, and the ways between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carbonedge.carbon import Hop
from carbonedge.cluster import Cluster, Link, Node
from carbonedge.exceptions import ClusterError, ModelError
from carbonedge.planning import ModelGraph, Plan, StageModel, split
from carbonedge.planning.boxing import carrier
from carbonedge.planning.cuts import returning
from carbonedge.runtime.sizes import bytes_of
from carbonedge.units import BYTES_PER_MB, MEGABITS_PER_MB, MS_PER_S

__all__ = ["Way", "models_of", "nodes_of", "ways_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """The way to the next stage, or from and to the source, and what must take it."""

    hop: Hop
    link: Link
    tensors: tuple[str, ...]

    def cost(self, tensors: Mapping[str, Any]) -> tuple[float, float]:
        """Milliseconds and joules, by the link's figures."""
        mb = sum(bytes_of(tensors[name]) for name in self.tensors) / BYTES_PER_MB
        time_ms = self.link.latency_ms + mb * MEGABITS_PER_MB / self.link.bandwidth_mbps * MS_PER_S
        return time_ms, mb * self.link.energy_j_per_mb


def nodes_of(cluster: Cluster, plan: Plan) -> list[Node]:
    """The node of each stage; consecutive ones on one node are one.

    Raises
    ------
    ClusterError
        If the plan names a node that is not there.
    """
    return [cluster.nodes[cluster.index(name)] for name, _ in _fused(plan)]


def models_of(model: ModelGraph, plan: Plan) -> list[StageModel]:
    """The model of each stage.

    Raises
    ------
    ModelError
        If the plan is not of this model.
    """
    reached = plan.stages[-1].stop
    if reached != len(model.operators):
        raise ModelError(
            f"the plan ends at operator {reached} and the model has {len(model.operators)}: "
            "make a plan for this model"
        )
    return split(model, [start for _, start in _fused(plan)[1:]])


def ways_of(model: ModelGraph, cluster: Cluster, plan: Plan) -> list[Way]:
    """From each stage to the next and then, where the plan has a source, from it and to it.
    Outputs made early are then counted on every hop to the last stage, which returns them, as
    they are in plans.

    Raises
    ------
    ClusterError
        If the plan hops where no link is.
    """
    fused = _fused(plan)
    names = [name for name, _ in fused]
    cuts = model.cuts if plan.source is None else returning(model.cuts)
    crossing = {cut.position: cut for cut in cuts}
    ways = []
    for k, (_, position) in enumerate(fused[1:]):
        tensors = tuple(carrier(tensor) for tensor in crossing[position].tensors)
        ways.append(_way(cluster, names[k], names[k + 1], k, tensors))
    if plan.source is not None:
        for start, stop, stage, cut in (
            (plan.source, names[0], 0, model.cuts[0]),
            (names[-1], plan.source, len(names) - 1, model.cuts[-1]),
        ):
            if start != stop:
                tensors = tuple(tensor.name for tensor in cut.tensors)
                ways.append(_way(cluster, start, stop, stage, tensors))
    return ways


def _fused(plan: Plan) -> Sequence[tuple[str, int]]:
    """Node and start of each stage, consecutive ones on one node as one."""
    stages: list[tuple[str, int]] = []
    for stage in plan.stages:
        if not stages or stages[-1][0] != stage.node:
            stages.append((stage.node, stage.start))
    return stages


def _way(cluster: Cluster, source: str, target: str, stage: int, tensors: tuple[str, ...]) -> Way:
    ends = (cluster.nodes[cluster.index(source)], cluster.nodes[cluster.index(target)])
    return Way(Hop(*ends, stage), _link(cluster, source, target), tensors)


def _link(cluster: Cluster, source: str, target: str) -> Link:
    link = cluster.link(source, target)
    if link is None:
        raise ClusterError(
            f"the plan hops from {source!r} to {target!r}, which have no link: add one"
        )
    return link
