"""What can go wrong, as a tree.

::

    CarbonEdgeError
    ├── InfeasibleError               no answer meets every limit
    ├── ModelError                    a model that cannot be read, cut or run
    ├── ClusterError                  a cluster that contradicts itself
    ├── MeterUnavailableError         an energy meter that is not there
    ├── IntensityUnavailableError     no carbon intensity for a node
    ├── RequestTimeoutError           a request not answered in time
    └── BackendUnavailableError       a forced backend that is not installed

A wrong argument is a plain ``ValueError`` or ``TypeError``.
"""

from __future__ import annotations

__all__ = [
    "BackendUnavailableError",
    "CarbonEdgeError",
    "ClusterError",
    "InfeasibleError",
    "IntensityUnavailableError",
    "MeterUnavailableError",
    "ModelError",
    "RequestTimeoutError",
]


class CarbonEdgeError(Exception):
    """Base of all errors that carbonedge raises for what it was given."""


class InfeasibleError(CarbonEdgeError):
    """No node or plan meets every limit; the message says which and by how much."""


class ModelError(CarbonEdgeError):
    """A model cannot be read, cut or run."""


class ClusterError(CarbonEdgeError):
    """A cluster's nodes and links contradict each other or its file is wrong."""


class MeterUnavailableError(CarbonEdgeError):
    """An energy meter is not there or cannot be read."""


class IntensityUnavailableError(CarbonEdgeError):
    """A node's carbon intensity is needed and not known."""


class RequestTimeoutError(CarbonEdgeError, TimeoutError):
    """A request was not answered in the time that it was given."""


class BackendUnavailableError(CarbonEdgeError):
    """The backend that was asked for cannot be loaded."""
