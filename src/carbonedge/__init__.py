"""Plan, schedule and run ONNX models on unlike edge nodes at the least carbon.

>>> import carbonedge
>>> nodes = [
...     carbonedge.Node("coal", cpu_cores=8, memory_mb=16_000, power_w=90,
...                     intensity_g_per_kwh=820, avg_time_ms=20),
...     carbonedge.Node("hydro", cpu_cores=4, memory_mb=8_000, power_w=30,
...                     intensity_g_per_kwh=24, avg_time_ms=45),
... ]
>>> carbonedge.schedule(carbonedge.Task(), nodes, mode="green").node
'hydro'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from carbonedge.cluster import Cluster, Link, Node
from carbonedge.exceptions import (
    BackendUnavailableError,
    CarbonEdgeError,
    ClusterError,
    InfeasibleError,
    IntensityUnavailableError,
    MeterUnavailableError,
    ModelError,
    RequestTimeoutError,
)
from carbonedge.scheduling import MODES, Decision, Scheduler, Task, Weights, schedule

if TYPE_CHECKING:
    from carbonedge.carbon import Footprint
    from carbonedge.planning import (
        ModelGraph,
        PartitionProblem,
        Plan,
        Replan,
        Stage,
        load_model,
    )
    from carbonedge.planning.pareto import pareto
    from carbonedge.planning.partition import partition
    from carbonedge.planning.replan import replan
    from carbonedge.runtime import InferenceSession, LocalCluster

__all__ = [
    "MODES",
    "BackendUnavailableError",
    "CarbonEdgeError",
    "Cluster",
    "ClusterError",
    "Decision",
    "Footprint",
    "InfeasibleError",
    "InferenceSession",
    "IntensityUnavailableError",
    "Link",
    "LocalCluster",
    "MeterUnavailableError",
    "ModelError",
    "ModelGraph",
    "Node",
    "PartitionProblem",
    "Plan",
    "Replan",
    "RequestTimeoutError",
    "Scheduler",
    "Stage",
    "Task",
    "Weights",
    "load_model",
    "pareto",
    "partition",
    "replan",
    "schedule",
]

# What these need is loaded when one is first used: scheduling needs none of it.
_LAZY = {
    "Footprint": "carbonedge.carbon",
    "InferenceSession": "carbonedge.runtime",
    "LocalCluster": "carbonedge.runtime",
    "ModelGraph": "carbonedge.planning",
    "PartitionProblem": "carbonedge.planning",
    "Plan": "carbonedge.planning",
    "Replan": "carbonedge.planning",
    "Stage": "carbonedge.planning",
    "load_model": "carbonedge.planning",
    "pareto": "carbonedge.planning",
    "partition": "carbonedge.planning",
    "replan": "carbonedge.planning",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Takes longer to load than all that stands above.
        from importlib.metadata import version

        return version("carbonedge")
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'carbonedge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
