"""How the nodes of a cluster stand for one task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from carbonedge.cluster import Node
from carbonedge.exceptions import InfeasibleError
from carbonedge.experiments.times import with_times
from carbonedge.scheduling import Scheduler, Task
from carbonedge.scheduling.explanation import Explanation
from carbonedge.scheduling.scheduler import MAX_LOAD

__all__ = ["Ranking", "rank_nodes"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a decision makes of every node.

    Parameters
    ----------
    task
        What is to be placed.
    mode
        Whose weights count; ``None`` under ``constrained``, where none do.
    scoring
        How components became scores.
    assumed_time_ms
        By name, the times of nodes that had none of their own.
    candidates
        Best first, equals in the order of the nodes: the first is chosen.
    passed_over
        Those that cannot take the task, in the order of the nodes.
    infeasible
        Why nothing is chosen; ``None`` where something is.
    """

    task: Task
    mode: str | None
    scoring: str
    assumed_time_ms: Mapping[str, float]
    candidates: tuple[Explanation, ...]
    passed_over: tuple[Explanation, ...]
    infeasible: str | None


def rank_nodes(
    nodes: Sequence[Node],
    task: Task,
    *,
    mode: str = "balanced",
    scoring: str = "normalized",
    max_load: float = MAX_LOAD,
    max_network_latency_ms: float = math.inf,
    time_ms: float | None = None,
) -> Ranking:
    """Order nodes as a `Scheduler` would choose among them. Nothing is kept.

    Parameters
    ----------
    nodes
        The candidates, as they are now.
    task
        What is to be placed.
    mode
        A name in `MODES`.
    scoring, max_load, max_network_latency_ms
        As for a `Scheduler`.
    time_ms
        What the task takes at speed 1: a node whose `avg_time_ms` is 0 gets this
        divided by its speed.

    Raises
    ------
    ValueError
        If an argument is out of range, or `time_ms` is left out where a node has no
        `avg_time_ms`.
    IntensityUnavailableError
        If a node has no carbon intensity.
    """
    timed, assumed_time_ms = with_times(nodes, time_ms)
    scheduler = Scheduler(
        timed,
        mode=mode,
        scoring=scoring,
        max_load=max_load,
        max_network_latency_ms=max_network_latency_ms,
    )
    explained = scheduler.explain(task)
    return Ranking(
        task=task,
        mode=None if scoring == "constrained" else mode,
        scoring=scoring,
        assumed_time_ms=assumed_time_ms,
        candidates=_best_first((node for node in explained if node.refusal is None), scoring),
        passed_over=tuple(node for node in explained if node.refusal is not None),
        infeasible=_why_infeasible(scheduler, task),
    )


def _best_first(candidates: Iterable[Explanation], scoring: str) -> tuple[Explanation, ...]:
    # Both sorts are stable, which keeps equals in the order of the nodes.
    if scoring == "constrained":
        return tuple(sorted(candidates, key=lambda node: (node.emissions_g, node.latency_ms)))
    return tuple(sorted(candidates, key=lambda node: -node.score))


def _why_infeasible(scheduler: Scheduler, task: Task) -> str | None:
    try:
        scheduler.schedule(task)
    except InfeasibleError as error:
        return str(error)
    return None
