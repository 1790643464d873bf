"""Stages at the planner's own cuts, all in one process, against the whole model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from carbonedge import Cluster, InferenceSession, Link, Node, Plan, load_model, partition
from carbonedge.experiments import light_model
from carbonedge.planning import ModelGraph
from carbonedge.planning.samples import made_up_request

MODELS_VARIABLE = "CARBONEDGE_MODELS"
RUN_S = 12.0
WARM_UP_RUNS = 5
RUNS_IN_TURN = 10
MOST_DIFFERENCE = 1e-5

CASES = [("resnet50", 1.04), ("mobilenetv2_100", 1.08)]

MEMORY_SHARE = 0.45
"""Of the model, that each of three nodes holds: two do not hold it."""


@pytest.mark.parametrize("threads", [1, 2], ids=["1 thread", "2 threads"])
@pytest.mark.parametrize(("name", "goal"), CASES, ids=[name for name, _ in CASES])
def bench_three_stages(
    name: str, goal: float, threads: int, record_ratio: Callable[..., None]
) -> None:
    """Of nodes that hold no more: the planner takes the fastest way through all three."""
    graph = load_model(_model(name))
    cluster = _alike(memory_mb=MEMORY_SHARE * graph.memory_mb)
    plan = partition(graph, cluster, objective="latency", sess_options=_options(threads))
    ratio = _ratio(graph, cluster, plan, threads)
    # With as many threads as there are cores anything else that runs decides.
    held_to = goal if threads == 1 else None
    record_ratio(f"{name}, 3 stages over the whole, threads {threads}, x", ratio, at_most=held_to)


@pytest.mark.parametrize("name", [name for name, _ in CASES])
def bench_three_stages_for_throughput(name: str, record_ratio: Callable[..., None]) -> None:
    """Of about the same length, whatever has to cross between them."""
    graph = load_model(_model(name))
    cluster = _alike(memory_mb=graph.memory_mb)
    plan = partition(graph, cluster, objective="throughput", sess_options=_options(1))
    ratio = _ratio(graph, cluster, plan, 1)
    record_ratio(f"{name}, 3 stages of one length over the whole, x", ratio)


def _ratio(graph: ModelGraph, cluster: Cluster, plan: Plan, threads: int) -> float:
    """Whole and split run in turn, ten times each as a service would, so that a slow spell
    of the machine hits both and neither finds its memory taken every time.
    """
    assert len(plan.stages) == 3
    feed = made_up_request(graph, seed=0)
    # Threads that the whole leaves spinning would slow the stages, which run next.
    options = _options(threads)
    options.add_session_config_entry("session.force_spinning_stop", "1")
    whole = onnxruntime.InferenceSession(graph.proto.SerializeToString(), options)
    with InferenceSession(graph, cluster, plan=plan, sess_options=_options(threads)) as split:
        [expected], [answer] = whole.run(None, feed), split.run(None, feed)
        assert np.max(np.abs(answer - expected)) <= MOST_DIFFERENCE * np.ptp(expected)
        return _of_medians(lambda: split.run(None, feed), lambda: whole.run(None, feed))


def _of_medians(split: Callable[[], Any], whole: Callable[[], Any]) -> float:
    for _ in range(WARM_UP_RUNS):
        split()
        whole()
    split_s: list[float] = []
    whole_s: list[float] = []
    ends = time.perf_counter() + RUN_S
    while time.perf_counter() < ends:
        split_s += [_seconds(split) for _ in range(RUNS_IN_TURN)]
        whole_s += [_seconds(whole) for _ in range(RUNS_IN_TURN)]
    return float(np.median(split_s) / np.median(whole_s))


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _model(name: str) -> Any:
    if name == "resnet50":
        return light_model(name)
    folder = os.environ.get(MODELS_VARIABLE)
    path = Path(folder or "") / f"{name}.onnx"
    if folder is None or not path.exists():
        pytest.skip(
            f"{path.name} is missing: write it with benches/models/export.py FOLDER "
            f"and set {MODELS_VARIABLE}=FOLDER"
        )
    return path


def _alike(*, memory_mb: float) -> Cluster:
    names = ("a", "b", "c")
    nodes = [
        Node(name, cpu_cores=1, memory_mb=memory_mb, power_w=10, intensity_g_per_kwh=100)
        for name in names
    ]
    links = [
        Link(source, target, bandwidth_mbps=10_000, latency_ms=0.05)
        for source, target in (("a", "b"), ("b", "c"), ("a", "c"))
    ]
    return Cluster(nodes, links)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return options
