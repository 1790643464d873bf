"""The wings put to work on a question."""

from __future__ import annotations

from carbonedge.experiments.comparison import Comparison, Row, compare
from carbonedge.experiments.light_model import light_model
from carbonedge.experiments.paper_cluster import paper_cluster

__all__ = ["Comparison", "Row", "compare", "light_model", "paper_cluster"]
