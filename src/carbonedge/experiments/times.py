"""Times for nodes that have none of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from carbonedge._validation import positive
from carbonedge.cluster import Node

__all__ = ["with_times"]

MOST_NAMES = 8


def with_times(
    nodes: Sequence[Node], time_ms: float | None
) -> tuple[tuple[Node, ...], dict[str, float]]:
    """A time for each node, for without one it seems to answer at once and for nothing.

    Parameters
    ----------
    nodes
        As they are known.
    time_ms
        What the task takes at speed 1: a node whose `avg_time_ms` is 0 gets this
        divided by its speed.

    Returns
    -------
    tuple of Node
        In the same order, each with an `avg_time_ms`.
    dict
        By name, the times that were assumed.

    Raises
    ------
    ValueError
        If `time_ms` is not above 0, or left out where a node has no `avg_time_ms`.
    """
    if time_ms is None:
        lacking = [node.name for node in nodes if node.avg_time_ms == 0]
        if lacking:
            raise ValueError(
                f"avg_time_ms of {_listed(lacking)} is 0: latency and emissions are predicted "
                "from it; set it, or give time_ms, what the task takes at speed 1"
            )
        return tuple(nodes), {}
    reference_ms = positive("time_ms", time_ms)
    timed = tuple(
        node
        if node.avg_time_ms > 0
        else dataclasses.replace(node, avg_time_ms=reference_ms / node.speed)
        for node in nodes
    )
    assumed_ms = {
        after.name: after.avg_time_ms
        for before, after in zip(nodes, timed, strict=True)
        if after is not before
    }
    return timed, assumed_ms


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:MOST_NAMES]]
    if len(names) > MOST_NAMES:
        shown.append(f"{len(names) - MOST_NAMES} more")
    return ", ".join(shown)
