"""Whole models on nodes, and the ways of choosing one for each request."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonedge.carbon import Footprint
from carbonedge.carbon.footprint import together
from carbonedge.cluster import Node
from carbonedge.experiments.paper.estimate import Estimate, estimate
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.runtime import InferenceSession
from carbonedge.scheduling import MODES, Scheduler, Task, Weights

__all__ = [
    "MONOLITHIC",
    "Repeat",
    "Routed",
    "Routing",
    "answer_photos",
    "back_to_back_us",
    "routings",
    "summed_up",
]

AMP4EC = Weights(0.2, 0.2, 0.1, 0.5, 0.0)
"""Of AMP4EC (arXiv 2504.00407), which the paper extends: no carbon term."""
MONOLITHIC = "node-medium"
"""Where the paper's baseline runs every request."""
SMOOTHING = 0.01
"""The algorithm's mean time is of all tasks so far: here, of the last hundred or so."""
TASKS, ROUNDS = 1000, 5
"""Of `back_to_back_us`, of which the quickest round counts: others were disturbed."""
TOLERANCE = 1.1
"""What ``constrained`` may take, over monolithic's latency."""


@dataclass(frozen=True, slots=True)
class Routing:
    """How requests find their node.

    Parameters
    ----------
    name
        Of the row in a table.
    weights
        Of the scheduler; ``None`` where they count for nothing.
    scoring
        Of the scheduler; ``None`` where one node gets every request.
    node
        Which, then.
    slo_ms
        Of each request.
    """

    name: str
    weights: Weights | None = None
    scoring: str | None = None
    node: str | None = None
    slo_ms: float | None = None


def routings(monolithic_ms: float) -> tuple[Routing, ...]:
    """The paper's, and the same weights under this package's own scorings."""
    return (
        Routing("monolithic", node=MONOLITHIC),
        Routing("AMP4EC", AMP4EC, "paper"),
        *(Routing(mode, weights, "paper") for mode, weights in MODES.items()),
        *(Routing(mode, weights, "normalized") for mode, weights in MODES.items()),
        Routing("constrained", scoring="constrained", slo_ms=monolithic_ms * TOLERANCE),
    )


@dataclass(frozen=True, slots=True)
class Repeat:
    """All photos answered once.

    Parameters
    ----------
    chosen
        How many requests each node got.
    elapsed_s
        That these requests took, the caller's part in.
    scheduling_us
        Median to place one; ``None`` where nothing was chosen.
    footprint
        Of all of them.
    """

    chosen: Mapping[str, int]
    elapsed_s: float
    scheduling_us: float | None
    footprint: Footprint


@dataclass(frozen=True, slots=True)
class Routed:
    """What a way of routing came to.

    Parameters
    ----------
    routing
        The way.
    node_use
        Share of requests by node, in %.
    latency_ms
        Of the stage; the way from the caller and back is not in it.
    throughput_rps
        One request after another, that way in.
    energy_j, emissions_g
        Per inference.
    scheduling_us
        Median to place a request; ``None`` where nothing was chosen.
    """

    routing: Routing
    node_use: Mapping[str, float]
    latency_ms: Estimate
    throughput_rps: Estimate
    energy_j: Estimate
    emissions_g: Estimate
    scheduling_us: float | None


def answer_photos(
    model: PaperModel,
    ways: Sequence[Routing],
    nodes: Sequence[Node],
    sessions: Mapping[str, InferenceSession],
    photos: Photos,
    *,
    scale: float = 1.0,
) -> list[Repeat]:
    """Answer every photo once in each way of routing, one request after another. The ways take
    turns at each photo: what disturbs the machine for a while disturbs all alike.

    Parameters
    ----------
    model
        What answers.
    ways
        How a node is chosen.
    nodes
        As they are now, with the mean times of the model there.
    sessions
        The whole model on each, by its name.
    photos
        The requests.
    scale
        What times are multiplied by for scoring ``"paper"`` to see; see `PaperResult.scale`.
    """
    rows = [_Row(way, nodes, scale if way.scoring == "paper" else 1.0) for way in ways]
    task_mb = model.graph.memory_mb
    for photo in photos.tensors:
        for row in rows:
            row.answer({model.input: photo}, task_mb, sessions)
    return [row.repeat() for row in rows]


class _Row:
    """One way of routing, as its requests come."""

    def __init__(self, way: Routing, nodes: Sequence[Node], scale: float) -> None:
        self._way, self._scale = way, scale
        self._scheduler = None
        if way.scoring is not None:
            seen = [dataclasses.replace(n, avg_time_ms=n.avg_time_ms * scale) for n in nodes]
            self._scheduler = _scheduler(way, seen)
        self._chosen: Counter[str] = Counter()
        self._elapsed_s = 0.0
        self._scheduling_us: list[float] = []
        self._footprints: list[Footprint] = []

    def answer(
        self,
        feed: Mapping[str, NDArray[np.float32]],
        memory_mb: float,
        sessions: Mapping[str, InferenceSession],
    ) -> None:
        began = time.perf_counter()
        name = self._way.node or ""
        if self._scheduler is not None:
            task = Task(memory_mb=memory_mb, slo_ms=self._way.slo_ms)
            asked = time.perf_counter()
            decision = self._scheduler.schedule(task)
            self._scheduling_us.append((time.perf_counter() - asked) * 1e6)
            name = decision.node
        _, footprint = sessions[name].run_with_footprint(None, feed)
        if self._scheduler is not None:
            self._scheduler.complete(decision, footprint.latency_ms * self._scale)
        self._footprints.append(footprint)
        self._chosen[name] += 1
        self._elapsed_s += time.perf_counter() - began

    def repeat(self) -> Repeat:
        return Repeat(
            self._chosen,
            self._elapsed_s,
            statistics.median(self._scheduling_us) if self._scheduling_us else None,
            together(self._footprints),
        )


def _scheduler(routing: Routing, nodes: Sequence[Node]) -> Scheduler:
    assert routing.scoring is not None, "its node is not given"
    mode = routing.weights or "balanced"
    return Scheduler(nodes, mode=mode, scoring=routing.scoring, smoothing=SMOOTHING)


def back_to_back_us(routing: Routing, nodes: Sequence[Node], task: Task) -> float:
    """What it takes to place a task and to complete it, where nothing comes in between: between
    two requests of this experiment, all that a decision needs has left the processor's caches.
    """
    scheduler = _scheduler(routing, nodes)
    best_s = math.inf
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TASKS):
            scheduler.complete(scheduler.schedule(task), 10.0)
        best_s = min(best_s, time.perf_counter() - began)
    return best_s / TASKS * 1e6


def summed_up(routing: Routing, nodes: Iterable[Node], repeats: Sequence[Repeat]) -> Routed:
    """Several repeats of one way of routing."""
    chosen: Counter[str] = Counter()
    for repeat in repeats:
        chosen.update(repeat.chosen)
    counted = [repeat.footprint for repeat in repeats]
    medians = [one.scheduling_us for one in repeats if one.scheduling_us is not None]
    return Routed(
        routing,
        {node.name: 100.0 * chosen[node.name] / chosen.total() for node in nodes},
        estimate([one.latency_ms for one in counted]),
        estimate([one.footprint.inferences / one.elapsed_s for one in repeats]),
        estimate([one.energy_j / one.inferences for one in counted]),
        estimate([one.emissions_g / one.inferences for one in counted]),
        statistics.median(medians) if medians else None,
    )
