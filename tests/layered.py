"""A model whose layers take milliseconds, and nodes of which two hold it together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from carbonedge import Cluster, Link, Node, load_model

WIDTH, ROWS, DEPTH = 512, 64, 6


def _layered() -> ModelProto:
    """`DEPTH` times a matrix product and a Tanh."""
    random = np.random.default_rng(0)
    nodes, weights = [], []
    for k in range(DEPTH):
        values = random.normal(0, 1 / np.sqrt(WIDTH), (WIDTH, WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{k}"))
        source, target = "x" if k == 0 else f"h{k - 1}", "y" if k == DEPTH - 1 else f"h{k}"
        nodes += [
            helper.make_node("MatMul", [source, f"w{k}"], [f"p{k}"]),
            helper.make_node("Tanh", [f"p{k}"], [target]),
        ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (ROWS, WIDTH))]
        for name in ("x", "y")
    ]
    graph = helper.make_graph(nodes, "layered", *ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


MODEL = _layered()
GRIDS = {"a": 100.0, "b": 300.0, "c": 900.0}


def cluster(share: float = 2.0, **speeds: float) -> Cluster:
    """Nodes that are alike but for their grids, and their speeds where given, each with so large
    a share of the memory that the model takes. By their mean times they are far slower than
    here, so that no noise tells them apart.
    """
    memory_mb = share * load_model(MODEL).memory_mb
    nodes = [
        Node(
            name,
            cpu_cores=1,
            memory_mb=memory_mb,
            power_w=5,
            avg_time_ms=1000 / speeds.get(name, 1.0),
            intensity_g_per_kwh=g_per_kwh,
            speed=speeds.get(name, 1.0),
        )
        for name, g_per_kwh in GRIDS.items()
    ]
    return Cluster(nodes, [Link(*pair, bandwidth_mbps=1000) for pair in ("ab", "bc", "ac")])


def feed(number: int) -> dict[str, Any]:
    """A request unlike the others."""
    x = np.linspace(-1, 1, ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)
    return {"x": x * np.float32(1 + number % 17)}
