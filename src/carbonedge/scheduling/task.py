"""A request to be placed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from carbonedge._validation import non_negative, target

__all__ = ["Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """What a request needs and what it tolerates.

    Parameters
    ----------
    cpu_cores, memory_mb
        Reserved on the chosen node until the task completes.
    slo_ms
        The latency it tolerates, read by ``scoring="constrained"``; ``None`` for any.

    Raises
    ------
    ValueError
        If a need is negative or not finite, or `slo_ms` is not above 0.
    """

    _: dataclasses.KW_ONLY
    cpu_cores: float = 0.1
    memory_mb: float = 64.0
    slo_ms: float | None = None

    def __post_init__(self) -> None:
        cpu_cores = non_negative("cpu_cores of the task", self.cpu_cores)
        memory_mb = non_negative("memory_mb of the task", self.memory_mb)
        object.__setattr__(self, "cpu_cores", cpu_cores)
        object.__setattr__(self, "memory_mb", memory_mb)
        if self.slo_ms is not None:
            object.__setattr__(self, "slo_ms", target("slo_ms of the task", self.slo_ms))
