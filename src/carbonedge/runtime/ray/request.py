"""A request on its way through the stages of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carbonedge.runtime.deployment import Deployed
from carbonedge.scheduling import Decision, Task

__all__ = ["Request"]


@dataclass(slots=True, eq=False)
class Request:
    """One request, until it ends in one answer or one error.

    Parameters
    ----------
    feed, task
        What it brings, and what it tolerates.
    timeout_s, until_s
        How long it may take, and until when by the monotonic clock.
    in_turn
        Whether its answer may lie waiting for those of others to be taken.
    deployed, decision, ref
        The plan it was handed to, why, and Ray's reference to its answer; ``None`` while it
        has none, or after it was taken back.
    left, kills
        The stages it was taken back from, and how often its sending ended a worker for want of
        memory, or others beside it did.
    began_s, sent_s
        When it was sent last, since 1970 and by the performance counter.
    """

    feed: Mapping[str, Any]
    task: Task
    timeout_s: float
    until_s: float
    in_turn: bool = False
    deployed: Deployed | None = None
    decision: Decision | None = None
    ref: Any = None
    left: Any = None
    kills: int = 0
    began_s: float = 0.0
    sent_s: float = 0.0
