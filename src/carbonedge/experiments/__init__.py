"""The wings put to work on a question."""

from __future__ import annotations

from carbonedge.experiments.comparison import Comparison, Row, compare
from carbonedge.experiments.front import Baseline, Front, compare_with_front
from carbonedge.experiments.front_plot import save_front_plot
from carbonedge.experiments.light_model import light_model
from carbonedge.experiments.paper_cluster import paper_cluster
from carbonedge.experiments.plots import save_sweep_plot
from carbonedge.experiments.ranking import Ranking, rank_nodes
from carbonedge.experiments.sweep import Sweep, sweep_carbon

__all__ = [
    "Baseline",
    "Comparison",
    "Front",
    "Ranking",
    "Row",
    "Sweep",
    "compare",
    "compare_with_front",
    "light_model",
    "paper_cluster",
    "rank_nodes",
    "save_front_plot",
    "save_sweep_plot",
    "sweep_carbon",
]
