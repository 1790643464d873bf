"""What the session adds to ONNX Runtime sessions chained by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from pytest_benchmark.fixture import BenchmarkFixture

from carbonedge import Cluster, InferenceSession, Link, Node, Plan, Stage, load_model
from carbonedge.planning import split

GOAL_US = 50.0
GROUP = "one request through 3 small stages"
WIDTH = 16
CUTS = (2, 4)


def _model() -> ModelProto:
    nodes, weights = [], []
    tensor = "x"
    for k in range(3):
        values = np.random.default_rng(k).normal(size=(WIDTH, WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{k}"))
        result = "y" if k == 2 else f"h{k}"
        nodes.append(helper.make_node("MatMul", [tensor, f"w{k}"], [f"p{k}"]))
        nodes.append(helper.make_node("Tanh", [f"p{k}"], [result]))
        tensor = result
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, WIDTH)) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "small", infos[:1], infos[1:], weights)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


FEED = {"x": np.linspace(-1, 1, WIDTH, dtype=np.float32).reshape(1, -1)}


@pytest.fixture(scope="session")
def ours() -> Callable[[], Any]:
    names = ("a", "b", "c")
    cluster = Cluster(
        [Node(n, cpu_cores=1, memory_mb=1, power_w=1, intensity_g_per_kwh=100) for n in names],
        [Link(s, t, bandwidth_mbps=1000) for s, t in (("a", "b"), ("b", "c"))],
    )
    bounds = (0, *CUTS, 6)
    stages = tuple(
        Stage(node, bounds[k], bounds[k + 1], 0.0, 0.0, 0.0) for k, node in enumerate(names)
    )
    plan = Plan(stages, (), 0.0, 0.0, 0.0, 0.0, True, 0.0, "latency", "macs")
    session = InferenceSession(_model(), cluster, plan=plan)
    return lambda: session.run(None, FEED)[0]


@pytest.fixture(scope="session")
def by_hand() -> Callable[[], Any]:
    first, second, third = (
        onnxruntime.InferenceSession(stage.proto.SerializeToString())
        for stage in split(load_model(_model()), CUTS)
    )

    def run() -> Any:
        (a,) = first.run(["h0"], FEED)
        (b,) = second.run(["h1"], {"h0": a})
        return third.run(["y"], {"h1": b})[0]

    return run


@pytest.mark.benchmark(group=GROUP)
def bench_session(
    benchmark: BenchmarkFixture, ours: Callable[[], Any], by_hand: Callable[[], Any]
) -> None:
    assert np.array_equal(benchmark(ours), by_hand())


@pytest.mark.benchmark(group=GROUP)
def bench_chained_by_hand(
    benchmark: BenchmarkFixture, ours: Callable[[], Any], by_hand: Callable[[], Any]
) -> None:
    assert np.array_equal(benchmark(by_hand), ours())


def bench_overhead(
    record_ratio: Callable[..., None], ours: Callable[[], Any], by_hand: Callable[[], Any]
) -> None:
    """Both in turn, so that a slow spell of the machine hits both."""

    def microseconds(run: Callable[[], Any]) -> float:
        began = time.perf_counter()
        run()
        return (time.perf_counter() - began) * 1e6

    pairs = [(microseconds(ours), microseconds(by_hand)) for _ in range(2000)]
    added_us = float(np.median([a - b for a, b in pairs]))
    record_ratio("session over chained by hand, us", added_us, at_most=GOAL_US)
