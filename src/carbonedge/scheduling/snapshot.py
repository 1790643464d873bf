"""The state of a scheduler as a plain dict, and the check of one that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from carbonedge._kernels import FIELDS
from carbonedge._validation import fraction
from carbonedge.scheduling.columns import checked_columns, checked_names

__all__ = ["Snapshot", "checked_snapshot"]

VERSION = 1


class Snapshot(TypedDict):
    """What `Scheduler.snapshot` gives.

    Attributes
    ----------
    version
        Of this form.
    weights, scoring, max_load, max_network_latency_ms, smoothing
        How the scheduler decides; no limit of latency is None.
    columns
        Numbers per node, by field; a removed node has parallelism 0.
    names
        Per node, or None where nodes are named by position.
    reservations
        Ticket, position of the node or -1 where that was removed, billionths of a core,
        and bytes.
    """

    version: int
    weights: list[float]
    scoring: str
    max_load: float
    max_network_latency_ms: float | None
    smoothing: float
    columns: dict[str, list[float]]
    names: list[str] | None
    reservations: list[list[Any]]


def checked_snapshot(snapshot: Mapping[str, Any]) -> Snapshot:
    """The snapshot, if it is one that a scheduler can go on from.

    Raises
    ------
    ValueError, TypeError
        If it is not; the message says where.
    """
    missing = [key for key in Snapshot.__annotations__ if key not in snapshot]
    if missing:
        raise ValueError(f"a snapshot has no {missing[0]!r}: give what Scheduler.snapshot() gave")
    if snapshot["version"] != VERSION:
        raise ValueError(
            f"a snapshot has version {snapshot['version']!r}: this carbonedge reads {VERSION}"
        )
    if len(snapshot["weights"]) != 5:
        raise ValueError(f"weights are {snapshot['weights']!r}: give five")
    if fraction("smoothing", snapshot["smoothing"]) == 0:
        raise ValueError("smoothing is 0: it must be above 0")
    columns = snapshot["columns"]
    missing = [field for field in FIELDS if field not in columns]
    if missing:
        raise ValueError(f"a snapshot has no column {missing[0]!r}")
    # A removed node, of parallelism 0, has passed the check once.
    slots = np.asarray(columns["parallelism"])
    size = len(checked_columns({**columns, "parallelism": np.where(slots == 0, 1, slots)})[0])
    if snapshot["names"] is not None:
        present = [n for n, here in zip(snapshot["names"], slots != 0, strict=True) if here]
        checked_names(present, len(present))
    for held in snapshot["reservations"]:
        _check_reservation(held, size)
    return snapshot  # type: ignore[return-value]


def _check_reservation(held: Any, size: int) -> None:
    if len(held) != 4:
        raise ValueError(f"reservation {held!r}: give a ticket, a position and two amounts")
    ticket, index, cpu, memory = held
    if not (0 < ticket < 2**64 and -1 <= index < size and cpu >= 0 and memory >= 0):
        raise ValueError(f"reservation {held!r} names no node or holds less than nothing")
