"""Real model topologies that come with the onnx package, with weights made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from carbonedge.exceptions import ModelError
from carbonedge.planning.model import FIRST_IR_WITH_PRIVATE_INITIALIZERS

__all__ = ["light_model"]


def light_model(name: str, *, seed: int = 0) -> ModelProto:
    """A model of the onnx package, its constant weights replaced by random ones.

    The package's "light" models fill each weight with one constant, so that their
    outputs do not depend on their inputs. Here convolutions and matrices get He's
    normal weights and batch normalisations statistics near 1, from a fixed seed.

    Parameters
    ----------
    name
        Such as ``"squeezenet"`` or ``"resnet50"``.
    seed
        Of the weights.

    Raises
    ------
    ModelError
        If the installed onnx package has no such model.
    """
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    path = folder / f"light_{name}.onnx"
    if not path.is_file():
        known = ", ".join(sorted(p.stem.removeprefix("light_") for p in folder.glob("*.onnx")))
        raise ModelError(f"onnx {onnx.__version__} has no light model {name!r}: it has {known}")
    model = onnx.load(path)
    graph = model.graph
    shapes = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    uses = {tensor: (node, slot) for node in graph.node for slot, tensor in enumerate(node.input)}
    random = np.random.default_rng(seed)
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        weights = _weights(uses, node.output[0], tuple(shapes[node.input[0]]), random)
        graph.initializer.append(numpy_helper.from_array(weights, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    model.ir_version = max(model.ir_version, FIRST_IR_WITH_PRIVATE_INITIALIZERS)
    return model


def _weights(
    uses: Mapping[str, tuple[NodeProto, int]],
    name: str,
    shape: tuple[int, ...],
    random: np.random.Generator,
) -> NDArray[np.float32]:
    reader, slot = uses[name]
    if reader.op_type == "BatchNormalization" and slot in (1, 4):
        values = random.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = random.normal(0.0, np.sqrt(2.0 / np.prod(shape[1:])), shape)
    else:
        values = random.normal(0.0, 0.05, shape)
    return values.astype(np.float32)
