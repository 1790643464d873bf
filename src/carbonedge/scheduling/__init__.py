"""Carbon-aware scheduler: where a task goes."""

from __future__ import annotations

from carbonedge.scheduling.decision import Decision
from carbonedge.scheduling.explanation import Explanation
from carbonedge.scheduling.scheduler import Scheduler, schedule
from carbonedge.scheduling.task import Task
from carbonedge.scheduling.weights import MODES, SCORINGS, Weights

__all__ = [
    "MODES",
    "SCORINGS",
    "Decision",
    "Explanation",
    "Scheduler",
    "Task",
    "Weights",
    "schedule",
]
