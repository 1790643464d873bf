"""What local clusters there are."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from carbonedge.runtime.local_cluster import processes
from carbonedge.runtime.local_cluster.record import Record, found, held, locked

__all__ = ["Status", "status"]


@dataclass(frozen=True, slots=True)
class Status:
    """One local cluster.

    Parameters
    ----------
    folder
        Of its files.
    record
        What was brought up; ``None`` where it was killed as it began.
    processes
        Of its Ray, and what those started.
    owner
        The living process that uses it, or brings it up; ``None`` where it stays by itself.
    runs
        Whether sessions can use it, or else it is only left behind, or comes up.
    """

    folder: str
    record: Record | None
    processes: int
    owner: int | None
    runs: bool


def status() -> list[Status]:
    """Every local cluster of this user.

    Raises
    ------
    CarbonEdgeError
        If psutil is not installed.
    """
    there = []
    with locked() as within:
        for folder in found(within):
            record = None
            with contextlib.suppress(OSError, ValueError):
                record = Record.read(folder)
            owner = None
            if (lock := held(folder)) is None:
                owner = record.pid if record is not None else None
            else:
                os.close(lock)
            living = processes.living(folder)
            runs = record is not None and bool(record.address) and processes.are_a_ray(living)
            there.append(Status(str(folder), record, len(living), owner, runs))
    return there
