"""Runtime "local": every stage in this process, one ONNX Runtime session each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from carbonedge.carbon.energy import Attribution, Portion
from carbonedge.cluster import Cluster, Node
from carbonedge.planning import ModelGraph, Plan
from carbonedge.planning.session import open_session, run_session
from carbonedge.runtime.metering import Gauge, new_threads
from carbonedge.runtime.stages import models_of, nodes_of, ways_of
from carbonedge.units import MS_PER_S

__all__ = ["LocalStages", "Taken"]


class Taken(NamedTuple):
    """What one inference took, as `Accounting.account` counts it."""

    began_s: float
    times_ms: list[float]
    portions: list[Portion | None]
    transfers: list[tuple[float, float]]


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
    here divided by the node's speed.

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
        parts = models_of(model, plan)
        self.nodes = nodes_of(cluster, plan)
        self._ways = ways_of(model, cluster, plan)
        self.hops = [way.hop for way in self._ways]
        self._stages = []
        for node, part in zip(self.nodes, parts, strict=True):
            with new_threads() as threads:
                session = open_session(part, providers=providers, sess_options=sess_options)
            gauge = Gauge(attribution, threads, node.cpu_cores)
            self._stages.append(_Stage(node, session.run, part.inputs, list(part.outputs), gauge))

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
