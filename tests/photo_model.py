"""A small network that takes a photo."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

CHANNELS = (3, 8, 16, 32)
SIDE = 224


def photo_model(side: int = SIDE) -> ModelProto:
    """Three strided convolutions, the mean of each channel, and ten classes: a millisecond."""
    random = np.random.default_rng(0)
    nodes, weights = [], {}
    tensor = "photo"
    for layer, (taken, given) in enumerate(itertools.pairwise(CHANNELS)):
        name = f"w{layer}"
        weights[name] = random.normal(0, (2 / (9 * taken)) ** 0.5, (given, taken, 3, 3))
        nodes += [
            make_node("Conv", [tensor, name], [f"c{layer}"], strides=[2, 2], pads=[1, 1, 1, 1]),
            make_node("Relu", [f"c{layer}"], [f"r{layer}"]),
        ]
        tensor = f"r{layer}"
    weights["classes"] = random.normal(0, 0.2, (CHANNELS[-1], 10))
    nodes += [
        make_node("GlobalAveragePool", [tensor], ["pooled"]),
        make_node("Flatten", ["pooled"], ["flat"]),
        make_node("MatMul", ["flat", "classes"], ["logits"]),
    ]
    graph = make_graph(
        nodes,
        "photo",
        [make_tensor_value_info("photo", TensorProto.FLOAT, (1, 3, side, side))],
        [make_tensor_value_info("logits", TensorProto.FLOAT, (1, 10))],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def save_photo_model(folder: Path, name: str = "mobilenetv2_tiny", side: int = SIDE) -> str:
    """Its file."""
    path = folder / f"{name}.onnx"
    onnx.save(photo_model(side), path)
    return str(path)
