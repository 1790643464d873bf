"""Small ONNX models, each with one difficulty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper
from onnx.helper import (
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
)

WIDTH = 8


def _floats(name: str, *shape: int | str) -> ValueInfoProto:
    return make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
) -> ModelProto:
    initializers = [numpy_helper.from_array(v, name) for name, v in (weights or {}).items()]
    graph = make_graph(list(nodes), "small", list(inputs), list(outputs), initializers)
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _square(seed: int) -> np.ndarray:
    scale = 1 / np.sqrt(WIDTH)
    return np.random.default_rng(seed).normal(0, scale, (WIDTH, WIDTH)).astype(np.float32)


def layers(depth: int = 4, batch: int | str = 1) -> ModelProto:
    """`depth` times a matrix product and a Tanh."""
    nodes, weights = [], {}
    tensor = "x"
    for k in range(depth):
        weights[f"w{k}"] = _square(k)
        result = "y" if k == depth - 1 else f"h{k}"
        nodes += [
            make_node("MatMul", [tensor, f"w{k}"], [f"p{k}"]),
            make_node("Tanh", [f"p{k}"], [result]),
        ]
        tensor = result
    return _model(nodes, [_floats("x", batch, WIDTH)], [_floats("y", batch, WIDTH)], weights)


def skip_connection() -> ModelProto:
    """The input is needed again at the end, and a result in between is an output."""
    nodes = [
        make_node("Tanh", ["x"], ["early"]),
        make_node("MatMul", ["early", "w"], ["a"]),
        make_node("Sigmoid", ["a"], ["b"]),
        make_node("Add", ["b", "x"], ["c"]),
        make_node("Mul", ["c", "early"], ["y"]),
    ]
    outputs = [_floats("early", 1, WIDTH), _floats("y", 1, WIDTH)]
    return _model(nodes, [_floats("x", 1, WIDTH)], outputs, {"w": _square(0)})


def early_outputs() -> ModelProto:
    """Outputs made early, read again or not, one of constants, and inputs put straight out."""
    nodes = [
        make_node("Tanh", ["x"], ["early"]),
        make_node("ReduceMean", ["early"], ["mean"]),
        make_node("MatMul", ["early", "w"], ["a"]),
        make_node("Neg", ["w"], ["negative"]),
        make_node("Sigmoid", ["a"], ["b"]),
        make_node("Mul", ["b", "mean"], ["c"]),
        make_node("Tanh", ["c"], ["y"]),
    ]
    outputs = [
        _floats("y", 1, WIDTH),
        _floats("early", 1, WIDTH),
        _floats("mean", 1, 1),
        _floats("negative", WIDTH, WIDTH),
        _floats("x", 1, WIDTH),
        _floats("beside", 3),
    ]
    inputs = [_floats("x", 1, WIDTH), _floats("beside", 3)]
    return _model(nodes, inputs, outputs, {"w": _square(0)})


def captured_by_if() -> ModelProto:
    """Branches of an If read a tensor and a weight from outside."""
    then = make_graph([make_node("Add", ["a", "w"], ["t"])], "then", [], [_floats("t", 1, WIDTH)])
    other = make_graph([make_node("Sub", ["a", "w"], ["e"])], "else", [], [_floats("e", 1, WIDTH)])
    nodes = [
        make_node("Tanh", ["x"], ["a"]),
        make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        make_node("Greater", ["total", "limit"], ["flag"]),
        make_node("Neg", ["x"], ["n"]),
        make_node("If", ["flag"], ["b"], then_branch=then, else_branch=other),
        make_node("Mul", ["b", "n"], ["y"]),
    ]
    weights = {"w": _square(1)[:1], "limit": np.array(4.0, dtype=np.float32)}
    return _model(nodes, [_floats("x", 1, WIDTH)], [_floats("y", 1, WIDTH)], weights)


def prepared_constants() -> ModelProto:
    """Weights come out of operators that depend on no input; a dead operator besides."""
    nodes = [
        make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32([2]))),
        make_node("Mul", ["w", "two"], ["w2"]),
        make_node("MatMul", ["x", "w2"], ["a"]),
        make_node("Neg", ["a"], ["unused"]),
        make_node("Tanh", ["a"], ["b"]),
        make_node("MatMul", ["b", "w2"], ["y"]),
    ]
    return _model(nodes, [_floats("x", 1, WIDTH)], [_floats("y", 1, WIDTH)], {"w": _square(2)})


def shared_weight_and_two_inputs() -> ModelProto:
    """One weight read at both ends; an int64 input that joins late."""
    nodes = [
        make_node("MatMul", ["x", "w"], ["a"]),
        make_node("Tanh", ["a"], ["b"]),
        make_node("Cast", ["k"], ["f"], to=TensorProto.FLOAT),
        make_node("Mul", ["b", "f"], ["c"]),
        make_node("MatMul", ["c", "w"], ["y"]),
    ]
    inputs = [_floats("x", 1, WIDTH), make_tensor_value_info("k", TensorProto.INT64, (1,))]
    return _model(nodes, inputs, [_floats("y", 1, WIDTH)], {"w": _square(3)})


def lost_in_rounding() -> ModelProto:
    """A large number is added and taken away again: what is left is mostly rounding, unless
    ONNX Runtime fuses both into nothing.
    """
    nodes = [
        make_node("Conv", ["x", "w", "large"], ["a"]),
        make_node("BatchNormalization", ["a", "one", "zero", "large", "one"], ["b"], epsilon=0.0),
        make_node("Neg", ["b"], ["y"]),
    ]
    weights = {
        "w": np.float32([[0.05, -0.03], [0.02, 0.04]]).reshape(2, 2, 1, 1),
        "large": np.full(2, 1e6, np.float32),
        "one": np.ones(2, np.float32),
        "zero": np.zeros(2, np.float32),
    }
    return _model(nodes, [_floats("x", 1, 2, 4, 4)], [_floats("y", 1, 2, 4, 4)], weights)


def constants_only() -> ModelProto:
    """An output that no input reaches."""
    nodes = [make_node("Neg", ["w"], ["y"])]
    return _model(nodes, [_floats("x", 1)], [_floats("y", WIDTH, WIDTH)], {"w": _square(4)})


def sum_of_two() -> ModelProto:
    """Two inputs whose dynamic sizes must agree."""
    inputs = [_floats("a", "N"), _floats("b", "M")]
    return _model([make_node("Add", ["a", "b"], ["y"])], inputs, [_floats("y", "K")])


def valid_convolution() -> ModelProto:
    """A filter that does not fit an image of one pixel."""
    weights = {"w": np.ones((1, 1, 3, 3), np.float32)}
    inputs, outputs = [_floats("x", 1, 1, "H", "W")], [_floats("y", 1, 1, "h", "w")]
    return _model([make_node("Conv", ["x", "w"], ["y"])], inputs, outputs, weights)


def of_seven() -> ModelProto:
    """One input, of seven numbers, which only running it tells."""
    nodes = [make_node("Reshape", ["x", "shape"], ["a"]), make_node("Tanh", ["a"], ["y"])]
    return _model(nodes, [_floats("x", "N")], [_floats("y", 7)], {"shape": np.array([7])})


def weights_within_branches() -> ModelProto:
    """An If whose branches bring 64 floats each."""
    branches = {
        name: make_graph(
            [make_node("MatMul", ["x", "w"], [f"{name}_y"])],
            name,
            [],
            [_floats(f"{name}_y", 1, WIDTH)],
            [numpy_helper.from_array(_square(5), "w")],
        )
        for name in ("then_branch", "else_branch")
    }
    inputs = [_floats("x", 1, WIDTH), make_tensor_value_info("flag", TensorProto.BOOL, ())]
    return _model([make_node("If", ["flag"], ["y"], **branches)], inputs, [_floats("y", 1, WIDTH)])


def folded_shape() -> ModelProto:
    """The shape of the input, known ahead, is read at the very end."""
    chain = layers()
    chain.graph.node[-1].output[0] = "last"
    chain.graph.node.insert(0, make_node("Shape", ["x"], ["size"]))
    chain.graph.node.append(make_node("Reshape", ["last", "size"], ["y"]))
    return chain


def unknown_operator() -> ModelProto:
    """Valid ONNX with an operator that ONNX Runtime does not have."""
    graph = make_graph(
        [make_node("Frobnicate", ["x"], ["y"], domain="example.org")],
        "unknown",
        [_floats("x", 1, WIDTH)],
        [_floats("y", 1, WIDTH)],
    )
    opsets = [make_opsetid("", 17), make_opsetid("example.org", 1)]
    return make_model(graph, opset_imports=opsets, ir_version=8)


ALL = {
    "layers": layers,
    "skip connection": skip_connection,
    "early outputs": early_outputs,
    "captured by If": captured_by_if,
    "prepared constants": prepared_constants,
    "shared weight, two inputs": shared_weight_and_two_inputs,
}
