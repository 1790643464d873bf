"""Stages under a quota and a pace, against the quota alone."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import pytest

from carbonedge import Node
from carbonedge.runtime.local_cluster import cgroups
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.pace import Pace

RUNS = 60
CPU_S = 0.008
"""As MobileNetV2 takes on one core here."""
REST_S = 0.012
TOO_LONG, TOO_SHORT = 1.05, 0.98


@pytest.mark.parametrize("rest_s", [0.0, REST_S], ids=["back to back", "after a rest"])
@pytest.mark.parametrize("cores", [0.4, 0.6])
def bench_share_of_a_core(cores: float, rest_s: float, record_ratio: Callable[..., None]) -> None:
    """What a stage takes, over what its node would for its CPU time."""
    limits = {"n": Limits.of(Node("n", cpu_cores=cores, memory_mb=1000, power_w=1))}
    notes: list[Sequence[str]] = []
    try:
        made = cgroups.make(f"carbonedge-bench{os.getpid()}", limits, noting=notes.append)
        arguments = [json.dumps(made["n"]), str(cores), str(rest_s)]
        said = subprocess.check_output([sys.executable, __file__, *arguments])
    except cgroups.NoRightsError as error:
        pytest.skip(f"no cgroups: {error}")
    finally:
        cgroups.remove(notes)
    quota, paced = json.loads(said)
    assert quota > 0
    how = f"{cores:g} cores, {'after a rest' if rest_s else 'back to back'}"
    record_ratio(f"by quota alone, {how}: time / what it should take", quota)
    record_ratio(f"and paced, {how}: time / what it should take", paced, at_most=TOO_LONG)
    record_ratio(f"and paced, {how}: time / what it should take", paced, at_least=TOO_SHORT)


def _median(cores: float, rest_s: float, pace: Pace | None) -> float:
    ratios = []
    for _ in range(RUNS):
        time.sleep(rest_s)
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        with contextlib.nullcontext() if pace is None else pace.kept():
            while (cpu_s := time.thread_time() - began_cpu_s) < CPU_S:
                pass
        ratios.append((time.perf_counter() - began_s) / (cpu_s / cores))
    return statistics.median(ratios)


def _within(folders: Sequence[str], cores: float, rest_s: float) -> None:
    """Print both medians, as a process of its own."""
    cgroups.enter(folders)
    both = [_median(cores, rest_s, pace) for pace in (None, Pace(cores))]
    sys.stdout.write(json.dumps(both))


if __name__ == "__main__":
    _within(json.loads(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
