"""What accounting adds to an inference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carbonedge import Node
from carbonedge.carbon import Accounting, Hop
from carbonedge.carbon.energy import Portion
from carbonedge.carbon.intensity import Static
from carbonedge.carbon.ledger import Ledger
from carbonedge.units import J_PER_KWH

GOAL_US = 5.0
GOAL_SHARE = 0.01
INFERENCE_US = 5000.0
BATCH = 200

PORTION = Portion(cpu_j=0.25, memory_j=0.05, idle_j=0.1)
EMISSIONS_G = 0.3 * 400 / J_PER_KWH


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def nodes(count: int) -> list[Node]:
    return [
        Node(f"node-{k}", cpu_cores=1, memory_mb=1024, power_w=5, zone="DE") for k in range(count)
    ]


@pytest.mark.parametrize("stages", [1, 3])
@pytest.mark.benchmark(group="accounting of one inference")
def bench_footprint_and_ledger(
    benchmark: Any, record_ratio: Callable[..., None], ledger: Ledger, stages: int
) -> None:
    """As a session does it: grams of each stage, the sum so far, and what is written down."""
    on = nodes(stages)
    hops = [Hop(on[k], on[k + 1], k) for k in range(stages - 1)]
    accounting = Accounting(on, hops, signal=Static(400.0), ledger=ledger, model="m", plan="p")
    times_ms, portions = [5.0 / stages] * stages, [PORTION] * stages
    transfers = [(0.1, 0.0)] * len(hops)

    def many() -> Any:
        for _ in range(BATCH):
            footprint = accounting.account(time.time(), times_ms, portions, transfers)
        return footprint

    def write() -> None:
        # Its thread is at work for a hundredth of the time when inferences take 5 ms.
        ledger.flush()

    footprint = benchmark.pedantic(many, setup=write, rounds=50, warmup_rounds=2)
    assert footprint.emissions_g == pytest.approx(stages * EMISSIONS_G)
    if benchmark.stats is not None:
        each_us = benchmark.stats.stats.median / BATCH * 1e6
        record_ratio(f"account an inference of {stages} stages, us", each_us, at_most=GOAL_US)
        record_ratio(
            f"account an inference of {stages} stages, % of one of 5 ms",
            100 * each_us / INFERENCE_US,
            at_most=100 * GOAL_SHARE,
        )


@pytest.mark.benchmark(group="accounting of one inference")
def bench_codecarbon_task(benchmark: Any) -> None:
    """The yardstick: what the paper's tool takes to account one task."""
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="DEU", output_methods=[], log_level="critical", allow_multiple_runs=True
    )

    def task() -> Any:
        tracker.start_task("inference")
        return tracker.stop_task("inference")

    data = benchmark.pedantic(task, rounds=20, warmup_rounds=2)
    tracker.stop()
    assert data.emissions >= 0
