"""The CarbonEdge paper's experiment (arXiv 2603.27420), run on nodes that differ."""

from __future__ import annotations

from carbonedge.experiments.paper.conclusions import Conclusion, conclusions
from carbonedge.experiments.paper.experiment import FULL, QUICK, Extent, run_paper
from carbonedge.experiments.paper.models import PaperModel, read_models
from carbonedge.experiments.paper.photos import Photos, read_photos
from carbonedge.experiments.paper.result import ModelResult, PaperResult

__all__ = [
    "FULL",
    "QUICK",
    "Conclusion",
    "Extent",
    "ModelResult",
    "PaperModel",
    "PaperResult",
    "Photos",
    "conclusions",
    "read_models",
    "read_photos",
    "run_paper",
]
