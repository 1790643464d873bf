"""Cutting a model into three stages, and the memory that takes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pytest_benchmark.fixture import BenchmarkFixture

from carbonedge import ModelGraph, load_model
from carbonedge.planning import split

GOALS_MS = {26: 30, 419: 600}
GOAL_EXTRA_MEMORY = 1.2
DEPTH = 60
AT = [DEPTH * 2 // 3, DEPTH * 4 // 3]


def chain(size_mb: int) -> onnx.ModelProto:
    """Matrix products and Tanh, `size_mb` of weights."""
    width = int((size_mb * 1e6 / 4 / DEPTH) ** 0.5)
    nodes, weights, tensor = [], [], "x"
    random = np.random.default_rng(0)
    for k in range(DEPTH):
        values = random.random((width, width), dtype=np.float32)
        weights.append(numpy_helper.from_array(values, f"w{k}"))
        nodes += [
            helper.make_node("MatMul", [tensor, f"w{k}"], [f"p{k}"]),
            helper.make_node("Tanh", [f"p{k}"], [f"h{k}"]),
        ]
        tensor = f"h{k}"
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, width)) for n in ("x", tensor)]
    graph = helper.make_graph(nodes, "chain", info[:1], info[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module", params=GOALS_MS, ids="{} MB".format)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param > 100 and request.config.getoption("benchmark_disable"):
        pytest.skip("large, and nothing is timed")
    path = tmp_path_factory.mktemp("split") / f"{request.param}.onnx"
    onnx.save(chain(request.param), path)
    return path


def split_and_build(graph: ModelGraph) -> list[onnx.ModelProto]:
    return [stage.proto for stage in split(graph, AT)]


def extract(path: Path, graph: ModelGraph) -> list[onnx.ModelProto]:
    """The yardstick: onnx's own tool, with the model read and inferred once for all stages."""
    extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(onnx.load(path)))
    names = ["x", *(graph.operators[position - 1].outputs[0] for position in AT)]
    ends = [*names[1:], graph.outputs[0].name]
    return [extractor.extract_model([a], [b]) for a, b in zip(names, ends, strict=True)]


@pytest.mark.benchmark(group="split into three stages, weights copied")
def bench_split(benchmark: BenchmarkFixture, path: Path) -> None:
    protos = benchmark.pedantic(split_and_build, (load_model(path),), rounds=3, warmup_rounds=1)
    assert sum(len(proto.graph.initializer) for proto in protos) == DEPTH


@pytest.mark.benchmark(group="split into three stages, weights copied")
def bench_onnx_utils(benchmark: BenchmarkFixture, path: Path) -> None:
    if path.stem != "26":
        pytest.skip("takes too long")
    graph = load_model(path)
    protos = benchmark.pedantic(extract, (path, graph), rounds=1)
    assert sum(len(proto.graph.initializer) for proto in protos) == DEPTH


def bench_split_goal(record_ratio: Callable[..., None], path: Path) -> None:
    graph = load_model(path)
    times_ms = []
    for _ in range(7):
        began = time.perf_counter()
        protos = split_and_build(graph)
        times_ms.append((time.perf_counter() - began) * 1e3)
        del protos
    size_mb = int(path.stem)
    what = f"split {size_mb} MB into three stages with their weights, ms"
    record_ratio(what, float(np.median(times_ms)), at_most=GOALS_MS[size_mb])


def bench_memory_goal(record_ratio: Callable[..., None], path: Path) -> None:
    program = f"""
import resource, sys
from carbonedge import load_model
from carbonedge.planning import split
with open("/proc/self/clear_refs", "w") as file:
    graph = load_model(sys.argv[1])
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    file.write("5")
stages = [stage.proto for stage in split(graph, {AT})]
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(peak - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    extra = int(done.stdout) / path.stat().st_size
    what = f"peak memory of that beyond the loaded model of {path.stem} MB"
    record_ratio(what, extra, at_most=GOAL_EXTRA_MEMORY)


def bench_load_ten_thousand_operators(record_ratio: Callable[..., None]) -> None:
    model = chain(1)
    del model.graph.node[:], model.graph.initializer[:]
    count = 10_000
    for k in range(count):
        last = k == count - 1
        before, after = f"t{k}" if k else "x", model.graph.output[0].name if last else f"t{k + 1}"
        model.graph.node.append(helper.make_node("Tanh", [before], [after]))
    began = time.perf_counter()
    graph = load_model(model)
    loaded = time.perf_counter()
    assert len(graph.operators) == count
    stages = split(graph, list(range(100, count, 100)))
    done = time.perf_counter()
    assert len(stages) == 100
    record_ratio("load 10,000 operators, ms", (loaded - began) * 1e3, at_most=3000)
    record_ratio("split them into a hundred stages, ms", (done - loaded) * 1e3, at_most=3000)
