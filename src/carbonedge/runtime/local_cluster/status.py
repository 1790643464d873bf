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
    """

    folder: str
    record: Record | None
    processes: int
    owner: int | None

    @property
    def runs(self) -> bool:
        """Whether sessions can use it, or else is only left behind, or comes up."""
        return self.record is not None and bool(self.record.address) and self.processes > 0


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
            there.append(Status(str(folder), record, len(processes.living(folder)), owner))
    return there
