"""What ``import carbonedge`` costs a framework that only schedules."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

GOAL_MS = 60.0


def _import(module: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return (time.perf_counter() - began) * 1e3


@pytest.mark.benchmark(group="a fresh interpreter imports")
@pytest.mark.parametrize("module", ["carbonedge", "numpy"])
def bench_import(benchmark: BenchmarkFixture, module: str) -> None:
    benchmark.pedantic(_import, args=(module,), rounds=10, warmup_rounds=1)


def bench_over_numpy(record_ratio: Callable[..., None]) -> None:
    pairs = [(_import("carbonedge"), _import("numpy")) for _ in range(12)]
    added_ms = float(np.median([a - b for a, b in pairs[2:]]))
    record_ratio("import carbonedge over import numpy, ms", added_ms, at_most=GOAL_MS)
