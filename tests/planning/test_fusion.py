from __future__ import annotations

import itertools

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper, parser

from carbonedge import load_model
from carbonedge.experiments import light_model
from carbonedge.planning.fusion import Fusion, fusion


def kinds(model: ModelProto, found: Fusion) -> set[tuple[str, ...]]:
    """The operator types of each group."""
    operators = load_model(model).operators
    return {tuple(operators[i].op_type for i in group) for group in found.groups.values()}


@pytest.mark.parametrize("name", ["resnet50", "squeezenet", "shufflenet", "densenet121"])
def test_every_operator_of_a_real_model_is_in_one_group(name: str) -> None:
    graph = load_model(light_model(name))
    found = fusion(graph)
    members = sorted(itertools.chain.from_iterable(found.groups.values()))
    assert members == list(range(len(graph.operators)))
    assert set(found.kernels.values()) <= set(found.groups)
    assert {0, len(graph.operators)} < found.positions


def test_residual_blocks_of_resnet_are_cut_between_blocks_and_not_before_their_sums() -> None:
    model = light_model("resnet50")
    graph = load_model(model)
    positions = fusion(graph).positions
    for position, operator in enumerate(graph.operators):
        if operator.op_type == "Sum":
            # The last convolution of a block adds the shortcut and applies the Relu.
            assert graph.operators[position + 1].op_type == "Relu"
            assert not {position, position + 1} & positions
            assert position + 2 in positions
        elif operator.op_type == "Conv":
            assert not {position + 1} & positions


def test_activations_go_with_their_convolutions() -> None:
    model = light_model("squeezenet")
    groups = kinds(model, fusion(load_model(model)))
    assert {group[-2:] for group in groups if "Conv" in group} == {("Conv", "Relu")}


def test_a_gelu_is_one_and_so_is_the_product_with_a_bias_before_it() -> None:
    model = gelu()
    groups = kinds(model, fusion(load_model(model)))
    assert groups == {("MatMul", "Add"), ("Div", "Erf", "Add", "Mul", "Mul")}


def test_a_matrix_product_its_bias_and_its_activation_are_one() -> None:
    model = product_with_bias(1, 8)
    assert kinds(model, fusion(load_model(model))) == {("MatMul", "Add", "Relu")}


def test_a_layer_normalisation_is_one() -> None:
    model = layer_normalisation()
    groups = kinds(model, fusion(load_model(model)))
    normalisation = ("ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add")
    assert groups == {normalisation, ("MatMul",)}


def test_quantised_operators_go_with_what_they_are_carried_out_as() -> None:
    model = quantised_convolution()
    groups = kinds(model, fusion(load_model(model)))
    assert groups == {("QuantizeLinear",), ("DequantizeLinear", "Conv", "QuantizeLinear")}


def test_nothing_is_fused_where_optimisation_is_off() -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = load_model(light_model("squeezenet"))
    found = fusion(graph, sess_options=options)
    assert found.positions == frozenset(range(len(graph.operators) + 1))


@pytest.mark.parametrize("build", models.ALL.values(), ids=models.ALL)
def test_difficult_models_have_their_groups(build: type[ModelProto]) -> None:
    graph = load_model(build())
    found = fusion(graph)
    assert sorted(i for group in found.groups.values() for i in group) == list(
        range(len(graph.operators))
    )


def gelu() -> ModelProto:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[1,6,16] x) => (float[1,6,8] y)
        <float root = {1.41421356}, float one = {1.0}, float half = {0.5}>
        { m = MatMul(x, w) a = Add(m, b) d = Div(a, root) e = Erf(d) p = Add(e, one)
          q = Mul(a, p) y = Mul(q, half) }"""
    )
    return weighted(model, w=(16, 8), b=(8,))


def product_with_bias(rows: int, width: int) -> ModelProto:
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]> g (float[{rows},{width}] x) => (float[{rows},4] y)
        {{ m = MatMul(x, w) a = Add(m, b) y = Relu(a) }}"""
    )
    return weighted(model, w=(width, 4), b=(4,))


def layer_normalisation() -> ModelProto:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[1,6,16] x) => (float[1,6,4] y)
        <float two = {2.0}, float tiny = {0.00001}>
        { m = ReduceMean <axes = [-1]> (x) d = Sub(x, m) s = Pow(d, two)
          v = ReduceMean <axes = [-1]> (s) e = Add(v, tiny) r = Sqrt(e) n = Div(d, r)
          k = Mul(n, scale) o = Add(k, shift) y = MatMul(o, w) }"""
    )
    return weighted(model, scale=(16,), shift=(16,), w=(16, 4))


def quantised_convolution() -> ModelProto:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[1,3,8,8] x) => (uint8[1,4,6,6] y)
        <float s = {0.02}, uint8 z = {128}, int8 zero = {0}>
        { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
          f = DequantizeLinear(k, s, zero) c = Conv(d, f) y = QuantizeLinear(c, s, z) }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3, 3, 3), np.int8), "k"))
    onnx.checker.check_model(model)
    return model


def weighted(model: ModelProto, **shapes: tuple[int, ...]) -> ModelProto:
    for name, shape in shapes.items():
        values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    onnx.checker.check_model(model)
    assert isinstance(model, ModelProto)
    return model
