"""Model deployer: how a plan runs."""

from __future__ import annotations

from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.local_cluster.context import LocalCluster
from carbonedge.runtime.session import InferenceSession

__all__ = ["Adaptation", "InferenceSession", "Listening", "LocalCluster"]
