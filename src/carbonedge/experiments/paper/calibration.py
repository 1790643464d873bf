"""What nodes and the ways between them turn out to take, to predict plans with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Cluster, Link, Node
from carbonedge.experiments.paper.deployed import open_plan
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.planning import OperatorCosts, Plan
from carbonedge.planning.formulation import formulate
from carbonedge.runtime import InferenceSession
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = [
    "as_measured",
    "as_slow",
    "mean_of",
    "means",
    "measured_links",
    "predicted",
    "time_one",
    "time_whole",
    "timed",
]


def time_whole(
    model: PaperModel, sessions: Mapping[str, InferenceSession], photos: Photos
) -> dict[str, float]:
    """Mean time of the whole model on each node, one request after another, in turns."""
    taken = [time_one(model, sessions, photo) for photo in photos.tensors]
    return means(taken)


def time_one(
    model: PaperModel, sessions: Mapping[str, InferenceSession], photo: NDArray[np.float32]
) -> dict[str, float]:
    """Time of one request on each node."""
    return {
        name: session.run_with_footprint(None, {model.input: photo})[1].latency_ms
        for name, session in sessions.items()
    }


def means(taken: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By name, of one or more."""
    return {name: mean_of(one[name] for one in taken) for name in taken[0]}


def mean_of(values: Iterable[float]) -> float:
    """Of one or more."""
    several = tuple(values)
    return math.fsum(several) / len(several)


def timed(nodes: Sequence[Node], whole_ms: Mapping[str, float]) -> list[Node]:
    """The nodes with these mean times."""
    return [dataclasses.replace(node, avg_time_ms=whole_ms[node.name]) for node in nodes]


def as_measured(
    costs: OperatorCosts, nodes: Sequence[Node], whole_ms: Mapping[str, float]
) -> OperatorCosts:
    """Costs whose sums are what the whole model took on each node: operators keep the shares
    that ONNX Runtime's profiler gave them.
    """
    took_ms = np.array([whole_ms[node.name] for node in nodes])
    factors = took_ms / (costs.time_ms.sum(axis=0) + costs.overhead_ms)
    return dataclasses.replace(
        costs, time_ms=costs.time_ms * factors, overhead_ms=costs.overhead_ms * factors
    )


def predicted(model: PaperModel, cluster: Cluster, plan: Plan, costs: OperatorCosts) -> Plan:
    """The same stages on the same nodes, predicted with these costs and links."""
    formulation = formulate(model.graph, cluster, costs)
    numbers = {cut.position: number for number, cut in enumerate(formulation.cuts)}
    found = formulation.problem.evaluate(
        [numbers[position] for position in plan.cuts],
        [cluster.index(stage.node) for stage in plan.stages],
    )
    return formulation.plan(found, objective=plan.objective, strategy=plan.strategy)


def measured_links(
    model: PaperModel, cluster: Cluster, costs: OperatorCosts, photos: Photos, address: str
) -> tuple[Link, ...]:
    """The cluster's links, with what a hop through Ray takes here on top of their own.

    Two plans of two stages, one with little and one with much to send, give the latency and
    the bandwidth of all that is not the link.
    """
    formulation = formulate(model.graph, cluster, costs)
    ends = (0, len(cluster.nodes) - 1)
    link = cluster.link(*(cluster.nodes[place].name for place in ends))
    assert link is not None, "the paper's nodes are linked"
    took: list[tuple[float, float]] = []
    inner = range(1, len(formulation.cuts) - 1)
    if not inner:
        return cluster.links
    for pick in (min, max):
        cut = pick(inner, key=lambda number: formulation.cuts[number].mb)
        found = formulation.problem.evaluate((cut,), ends)
        plan = formulation.plan(found, objective="latency", strategy="given")
        with open_plan(model, cluster, plan, costs=costs, photos=photos, address=address) as one:
            for photo in photos.tensors:
                one.run(None, {model.input: photo})
            total = one.footprint
        took.append((plan.transfers[0].mb, total.transfers.time_ms / total.inferences))
    return as_slow(cluster.links, link, *took)


def as_slow(
    links: Sequence[Link], link: Link, few: tuple[float, float], much: tuple[float, float]
) -> tuple[Link, ...]:
    """Links with what one of them took more than its own figures say, by two sizes in MB and the
    ms that they took; no link gets faster.
    """
    (few_mb, few_ms), (much_mb, much_ms) = few, much
    own_ms = ms_per_mb = MEGABITS_PER_MB / link.bandwidth_mbps * MS_PER_S
    if much_mb > few_mb:
        ms_per_mb = max(own_ms, (much_ms - few_ms) / (much_mb - few_mb))
    latency_ms = max(link.latency_ms, few_ms - few_mb * ms_per_mb)
    return tuple(
        dataclasses.replace(
            one,
            latency_ms=one.latency_ms + latency_ms - link.latency_ms,
            bandwidth_mbps=1
            / (1 / one.bandwidth_mbps + (ms_per_mb - own_ms) / (MEGABITS_PER_MB * MS_PER_S)),
        )
        for one in links
    )
