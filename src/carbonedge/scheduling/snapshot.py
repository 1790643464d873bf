"""The state of a scheduler as a plain dict, and the check of one that comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from carbonedge._kernels import CPU_QUANTA_PER_CORE, FIELDS, MEMORY_QUANTA_PER_MB
from carbonedge._validation import LARGEST, fraction, identity
from carbonedge.scheduling.columns import checked_columns, checked_names, real_numbers
from carbonedge.scheduling.weights import Weights

__all__ = ["Snapshot", "checked_snapshot"]

VERSION = 1
MOST_RESERVATIONS = 2**26
"""More at a time would take over 2 GB."""

Held = tuple[int, int, float, float]


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
        and bytes. Ticket 0 stands for all tasks of a node that were given none.
    """

    version: int
    weights: list[float]
    scoring: str
    max_load: float
    max_network_latency_ms: float | None
    smoothing: float
    columns: Mapping[str, Any]
    names: list[str] | None
    reservations: Sequence[Sequence[Any]]


def checked_snapshot(snapshot: Mapping[str, Any]) -> Snapshot:
    """A copy of the snapshot, if it is one that a scheduler can go on from.

    Raises
    ------
    ValueError, TypeError
        If it is not; the message says where.
    """
    _check_kind("a snapshot", snapshot, Mapping)
    missing = [key for key in Snapshot.__annotations__ if key not in snapshot]
    if missing:
        raise ValueError(f"a snapshot has no {missing[0]!r}: give what Scheduler.snapshot() gave")
    if snapshot["version"] != VERSION:
        raise ValueError(
            f"a snapshot has version {snapshot['version']!r}: this carbonedge reads {VERSION}"
        )
    for key, kind in (
        ("weights", Sequence),
        ("scoring", str),
        ("columns", Mapping),
        ("reservations", Sequence),
    ):
        _check_kind(key, snapshot[key], kind)
    if len(snapshot["weights"]) != 5:
        raise ValueError(f"weights are {snapshot['weights']!r}: give five")
    smoothing = fraction("smoothing", snapshot["smoothing"])
    if smoothing == 0:
        raise ValueError("smoothing is 0: it must be above 0")
    columns = _checked_columns(snapshot["columns"])
    return {
        "version": VERSION,
        "weights": list(Weights(*snapshot["weights"])),
        "scoring": snapshot["scoring"],
        "max_load": snapshot["max_load"],
        "max_network_latency_ms": snapshot["max_network_latency_ms"],
        "smoothing": smoothing,
        "columns": columns,
        "names": _checked_names(snapshot["names"], columns["parallelism"]),
        "reservations": _checked_reservations(snapshot["reservations"], columns),
    }


def _check_kind(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)):
        rule = "a dict" if kind is Mapping else "a string" if kind is str else "a list"
        raise TypeError(f"{what} is of {type(value).__name__}: give {rule}")


def _checked_columns(columns: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    missing = [field for field in FIELDS if field not in columns]
    if missing:
        raise ValueError(f"a snapshot has no column {missing[0]!r}")
    # A removed node, of parallelism 0, has passed the check once.
    slots = real_numbers("column 'parallelism'", columns["parallelism"])
    present = {**columns, "parallelism": np.where(slots == 0, 1, slots)}
    checked = dict(zip(FIELDS, checked_columns(present), strict=True))
    checked["parallelism"] = np.where(slots == 0, 0.0, checked["parallelism"])
    return checked


def _checked_names(names: Any, slots: NDArray[np.float64]) -> list[str] | None:
    if names is None:
        return None
    _check_kind("names", names, Sequence)
    if len(names) != len(slots):
        raise ValueError(f"there are {len(names)} names and {len(slots)} nodes: give as many")
    # A removed node's name may have been given again.
    present = [name for name, slot in zip(names, slots, strict=True) if slot > 0]
    checked_names(present, len(present))
    return list(names)


def _checked_reservations(
    reservations: Sequence[Any], columns: Mapping[str, NDArray[np.float64]]
) -> list[Held]:
    slots = columns["parallelism"]
    running = np.zeros(len(slots))
    result = [_checked_reservation(number, held) for number, held in enumerate(reservations)]
    for ticket, index, *_ in result:
        if index >= len(slots) or (index >= 0 and slots[index] == 0):
            raise ValueError(f"the reservation of ticket {ticket} names no node, but {index}")
        if index >= 0:
            running[index] += 1
    # CPU and memory may be beyond what a node has, where others placed the tasks.
    beyond = running > columns["running_tasks"]
    if beyond.any():
        index = int(np.argmax(beyond))
        raise ValueError(
            f"node {index} has {running[index]:g} tasks reserved, more than its "
            f"{columns['running_tasks'][index]:g}"
        )
    # The core keeps a reservation in the slot that the lower half of its ticket names.
    tickets = [ticket for ticket, *_ in result if ticket]
    if len({ticket % 2**32 for ticket in tickets}) < len(tickets):
        raise ValueError("two reservations have one ticket: each is there once")
    return result


def _checked_reservation(number: int, held: Any) -> Held:
    what = f"reservations[{number}]"
    _check_kind(what, held, Sequence)
    if len(held) != 4:
        raise ValueError(f"{what} is {held!r}: give a ticket, a position and two amounts")
    ticket, index = (identity(what, value) for value in held[:2])
    if not (0 <= ticket < 2**64 and ticket % 2**32 < MOST_RESERVATIONS):
        raise ValueError(f"{what} has ticket {ticket}, which no scheduler gives")
    if index < -1:
        raise ValueError(f"{what} names no node, but {index}")
    cpu, memory = held[2:]
    return (
        ticket,
        index,
        _quanta(what, cpu, CPU_QUANTA_PER_CORE),
        _quanta(what, memory, MEMORY_QUANTA_PER_MB),
    )


def _quanta(what: str, amount: Any, per_unit: float) -> float:
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise TypeError(f"{what} holds {amount!r}: give a number")
    if not 0 <= amount < math.inf or amount != math.floor(amount):
        raise ValueError(f"{what} holds {amount!r}: give a whole number, 0 or above")
    if amount > LARGEST * per_unit * (1 + 1e-9):  # sums of the largest are rounded
        raise ValueError(f"{what} holds {amount!r}: no task needs so much")
    return float(amount)
