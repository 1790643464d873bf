"""The three nodes of the paper, from the cluster file that comes along."""

from __future__ import annotations

import importlib.resources

from carbonedge.cluster import Cluster

__all__ = ["paper_cluster"]


def paper_cluster() -> Cluster:
    """The paper's node-high, node-medium and node-green."""
    source = importlib.resources.files("carbonedge.experiments").joinpath("cluster.toml")
    with importlib.resources.as_file(source) as path:
        return Cluster.from_toml(path)
