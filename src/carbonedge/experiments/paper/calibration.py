"""What nodes and the ways between them turn out to take, to predict plans with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Cluster, Node
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.planning import OperatorCosts, Plan
from carbonedge.planning.formulation import formulate
from carbonedge.runtime import InferenceSession

__all__ = [
    "as_measured",
    "mean_of",
    "means",
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
