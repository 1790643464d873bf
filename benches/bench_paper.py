"""The paper's experiment, quick: how long it takes, and every goal it was set.

With CARBONEDGE_MODELS, a folder with what benches/models/export.py writes, on the paper's models;
else on a small network, which shows that it runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_split_execution import MODELS_VARIABLE
from photo_model import save_photo_model

from carbonedge.experiments.paper import (
    QUICK,
    Extent,
    conclusions,
    read_models,
    read_photos,
    run_paper,
)

QUICK_GOAL_S = 180.0
TINY = Extent(photos=3, repeats=2, targets=2)


def bench_paper(record_ratio: Callable[..., None], tmp_path: Path) -> None:
    folder = os.environ.get(MODELS_VARIABLE)
    paths = (
        sorted(map(str, Path(folder).glob("*.onnx"))) if folder else [save_photo_model(tmp_path)]
    )
    extent = QUICK if folder else TINY
    began = time.perf_counter()
    result = run_paper(read_models(paths), read_photos(extent.photos), extent)
    took_s = time.perf_counter() - began
    if not folder:
        return
    record_ratio("carbonedge paper --quick, s", took_s, at_most=QUICK_GOAL_S)
    if not result.throttled:
        pytest.skip(f"nodes did not differ: {result.why}")
    reached = {one.what: one.reached for one in conclusions(result)}
    for what, its in reached.items():
        record_ratio(f"{what[:62]}: reached", float(its))
    assert all(reached.values()), reached
