from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_tool
import pytest
from hard_models import hard_model
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from carbonedge import load_model
from carbonedge.planning.arithmetic import macs
from carbonedge.planning.sized import sized

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50")
MORE_MODELS = ("shufflenet", "squeezenet", "vgg19", "zfnet512")


def total(text: str, **weights: tuple[int, ...]) -> int:
    """Multiply-accumulates of a model in ONNX's own text form."""
    return sum(operator.macs for operator in graph(text, **weights).operators)


def graph(text: str, **weights: tuple[int, ...]) -> Any:
    model = parser.parse_model(text)
    for name, shape in weights.items():
        values = numpy_helper.from_array(np.ones(shape, np.float32), name)
        model.graph.initializer.append(values)
    return load_model(model)


HEAD = '<ir_version: 8, opset_import: ["": 18]>'


@pytest.mark.parametrize("name", [*MODELS, *MORE_MODELS])
def test_real_models_count_as_a_maintained_profiler_has_it(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    theirs: Counter[str] = Counter()
    profiled = onnx_tool.Model(str(path))
    profiled.graph.shape_infer(None)
    profiled.graph.profile()
    for node in profiled.graph.nodemap.values():
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            # It counts the addition of a bias too: one for each value put out.
            results = math.prod(profiled.graph.tensormap[node.output[0]].shape)
            theirs[node.op_type] += node.macs[0] - results * (len(node.input) > 2)
    ours: Counter[str] = Counter()
    for operator in load_model(path).operators:
        ours[operator.op_type] += operator.macs
    assert theirs.total() > 0
    assert +ours == theirs


def convolved(
    data: Sequence[int],
    weights: Sequence[int],
    *,
    pads: int,
    strides: int,
    dilations: int,
    groups: int,
) -> int:
    """A convolution carried out on zeros, every product counted, those of padding too."""
    count = 0
    channels, kernel = weights[0], weights[2:]
    sizes = [
        (size + 2 * pads - dilations * (width - 1) - 1) // strides + 1
        for size, width in zip(data[2:], kernel, strict=True)
    ]
    for _ in itertools.product(range(data[0]), range(channels), *map(range, sizes)):
        for _ in itertools.product(range(data[1] // groups), *map(range, kernel)):
            count += 1
    return count


@pytest.mark.parametrize(
    ("data", "weights", "pads", "strides", "dilations", "groups"),
    [
        ((2, 3, 9), (4, 3, 3), 0, 1, 1, 1),
        ((1, 4, 8, 7), (6, 2, 3, 2), 1, 2, 1, 2),
        ((1, 4, 9, 9), (4, 1, 3, 3), 1, 1, 2, 4),
        ((1, 2, 4, 5, 6), (3, 2, 2, 2, 2), 0, 1, 1, 1),
    ],
)
def test_a_convolution_counts_each_product(
    data: tuple[int, ...],
    weights: tuple[int, ...],
    pads: int,
    strides: int,
    dilations: int,
    groups: int,
) -> None:
    rank = len(data) - 2
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        pads=[pads] * 2 * rank,
        strides=[strides] * rank,
        dilations=[dilations] * rank,
        group=groups,
    )
    floats = TensorProto.FLOAT
    made = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("x", floats, data)],
        [helper.make_tensor_value_info("y", floats, [None] * len(data))],
        [numpy_helper.from_array(np.zeros(weights, np.float32), "w")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    expected = convolved(
        data, weights, pads=pads, strides=strides, dilations=dilations, groups=groups
    )
    assert load_model(model).operators[0].macs == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5,), (5,)),
        ((3, 5), (5,)),
        ((5,), (5, 4)),
        ((3, 5), (5, 4)),
        ((2, 1, 3, 5), (7, 5, 4)),
    ],
)
def test_a_matrix_product_counts_each_product(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    result = np.matmul(np.zeros(left), np.zeros(right))
    assert macs("", "MatMul", [left, right], [result.shape], {}) == result.size * 5
    assert macs("", "MatMulInteger", [left, right], [result.shape], {}) == result.size * 5


@pytest.mark.parametrize(
    ("equation", "shapes", "expected"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], 24),
        ("bij, bjk -> bik", [(5, 2, 3), (5, 3, 4)], 120),
        ("...ij,...jk", [(6, 1, 2, 3), (7, 3, 4)], 6 * 7 * 24),
        ("i,i->", [(9,), (9,)], 9),
        ("ij->ji", [(2, 3)], 0),
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)], 2 * 120),
    ],
)
def test_an_einsum_counts_every_index_once(
    equation: str, shapes: list[tuple[int, ...]], expected: int
) -> None:
    assert macs("", "Einsum", shapes, [None], {"equation": equation}) == expected


ONNX_RUNTIME = "com.microsoft"


@pytest.mark.parametrize(
    ("domain", "op_type", "inputs", "output", "attributes", "expected"),
    [
        ("", "Gemm", [(2, 3), (3, 4)], (2, 4), {}, 24),
        ("", "Gemm", [(3, 2), (4, 3)], (2, 4), {"transA": 1, "transB": 1}, 24),
        ("", "ConvTranspose", [(1, 4, 5), (4, 6, 3)], (1, 6, 7), {}, 4 * 5 * 6 * 3),
        ("", "ConvInteger", [(1, 3, 8), (2, 3, 3)], (1, 2, 6), {}, 2 * 6 * 9),
        ("", "QLinearConv", [(1, 3, 8), (), (), (2, 3, 3)], (1, 2, 6), {}, 2 * 6 * 9),
        ("", "QLinearMatMul", [(2, 3), (), (), (3, 4)], (2, 4), {}, 24),
        ("", "LSTM", [(7, 2, 3), (1, 20, 3), (1, 20, 5)], (7, 1, 2, 5), {}, 14 * 20 * 8),
        ("", "GRU", [(7, 2, 3), (2, 15, 3), (2, 15, 5)], (7, 2, 2, 5), {}, 14 * 2 * 15 * 8),
        ("", "RNN", [(7, 2, 3), (1, 5, 3), (1, 5, 5)], (7, 1, 2, 5), {}, 14 * 5 * 8),
        ("", "Attention", [(2, 4, 6, 8), (2, 4, 9, 8), (2, 4, 9, 3)], None, {}, 48 * 9 * 11),
        ("", "Attention", [(2, 6, 32), (2, 9, 16), (2, 9, 16)], None, {}, 2 * 6 * 9 * 64),
        (ONNX_RUNTIME, "FusedConv", [(1, 3, 8), (2, 3, 3)], (1, 2, 6), {}, 108),
        (ONNX_RUNTIME, "FusedMatMul", [(3, 2), (3, 4)], (2, 4), {"transA": 1}, 24),
        (ONNX_RUNTIME, "FusedGemm", [(2, 3), (3, 4)], (2, 4), {}, 24),
        (ONNX_RUNTIME, "QGemm", [(3, 2), (), (), (3, 4)], (2, 4), {"transA": 1}, 24),
        (ONNX_RUNTIME, "DynamicQuantizeMatMul", [(2, 3), (3, 4)], (2, 4), {}, 24),
        (ONNX_RUNTIME, "MatMulNBits", [(2, 64), (4, 2, 16)], (2, 4), {"K": 64}, 512),
        (ONNX_RUNTIME, "Attention", [(2, 5, 8), (8, 24)], None, {}, 10 * (8 * 24 + 5 * 16)),
        (ONNX_RUNTIME, "QAttention", [(2, 5, 8), (8, 24)], None, {}, 10 * (8 * 24 + 5 * 16)),
        (ONNX_RUNTIME, "MultiHeadAttention", [(2, 5, 8), (2, 7, 8), (2, 7, 4)], None, {}, 840),
        (ONNX_RUNTIME, "MultiHeadAttention", [(2, 5, 2, 3, 4)], None, {}, 10 * 5 * 16),
        (
            ONNX_RUNTIME,
            "GroupQueryAttention",
            [(1, 5, 8), (1, 5, 4), (1, 5, 4), (1, 1, 6, 4)],
            None,
            {"num_heads": 2, "kv_num_heads": 1},
            5 * 11 * 16,
        ),
        ("example.org", "MatMul", [(2, 3), (3, 4)], (2, 4), {}, 0),
        ("", "Relu", [(2, 3)], (2, 3), {}, 0),
        ("", "MatMul", [None, (3, 4)], None, {}, 0),
    ],
)
def test_what_multiplies_counts_by_its_definition(
    domain: str,
    op_type: str,
    inputs: list[tuple[int, ...] | None],
    output: tuple[int, ...] | None,
    attributes: dict[str, Any],
    expected: int,
) -> None:
    assert macs(domain, op_type, inputs, [output], attributes) == expected


def test_of_an_if_the_heavier_branch_counts() -> None:
    text = f"""{HEAD} g (float[2,8] x, bool c) => (float[2,4] y)
    {{ y = If (c) <
        then_branch = t () => (float[2,4] a) {{ p = MatMul(x, u) a = MatMul(p, v) }},
        else_branch = e () => (float[2,4] b) {{ b = MatMul(x, w) }}
    > }}"""
    weights = {"u": (8, 8), "v": (8, 4), "w": (8, 4)}
    [operator] = graph(text, **weights).operators
    assert operator.macs == 2 * 8 * 8 + 2 * 8 * 4
    # What the heavier branch holds on its way, and the result.
    assert operator.activation_mb == pytest.approx((2 * 8 + 2 * 4 + 2 * 4) * 4 / 1e6)


def test_a_loops_body_counts_once_a_trip_where_their_number_is_known() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]> g (float[2,8] x, bool c{more}) => (float[2,8] y)
    <{known}float[8,8] w>
    {{ y = Loop (trips, c, x) <body = b (int64 i, bool again, float[2,8] s) => (bool k, float[2,8] t)
        {{ k = Identity(again) t = MatMul(s, w) }}> }}"""
    known = text.format(more="", known="int64 trips = {5}, ")
    assert total(known, w=(8, 8)) == 5 * 2 * 8 * 8
    assert total(text.format(more=", int64 trips", known=""), w=(8, 8)) == 2 * 8 * 8


def test_a_scans_body_counts_once_a_step() -> None:
    text = f"""{HEAD} g (float[2,8] x, float[6,2,8] steps) => (float[2,8] last, float[6,2,8] each)
    {{ last, each = Scan <num_scan_inputs = 1, body = b (float[2,8] s, float[2,8] i)
        => (float[2,8] t, float[2,8] o) {{ p = Add(s, i) t = MatMul(p, w) o = Identity(t) }}>
        (x, steps) }}"""
    assert total(text, w=(8, 8)) == 6 * 2 * 8 * 8


def test_a_models_own_function_counts_as_its_body() -> None:
    text = """<ir_version: 8, opset_import: ["": 18, "own": 1]>
    g (float[2,8] x) => (float[2,4] y) { h = own.twice(x, u) y = own.once(h, w) }
    <domain: "own", opset_import: ["": 18, "own": 1]>
    twice (a, m) => (c) { b = own.once(a, m) c = own.once(b, m) }
    <domain: "own", opset_import: ["": 18]>
    once (a, m) => (c) { c = MatMul(a, m) }"""
    twice, once = graph(text, u=(8, 8), w=(8, 4)).operators
    assert (twice.macs, once.macs) == (2 * 2 * 8 * 8, 2 * 8 * 4)


def dynamic() -> ModelProto:
    text = f"""{HEAD} g (float[n,c,h,w] x) => (float[n,c,h2,w2] y)
    {{ a = Conv <pads = [1,1,1,1]> (x, k) y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (a) }}"""
    model = parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "k"))
    return model


def test_a_request_decides_on_sizes_that_the_model_leaves_open() -> None:
    model = load_model(dynamic())
    known = sized(model, {"x": np.zeros((2, 3, 8, 10), np.float32)})
    assert known.operators[0].macs == 2 * 4 * 8 * 10 * 27
    assert known.operators[1].activation_mb == pytest.approx(2 * 4 * 4 * 5 * 4 / 1e6)
    assert known.cuts[1].mb == pytest.approx(2 * 4 * 8 * 10 * 4 / 1e6)
    assert [c.position for c in known.cuts] == [c.position for c in model.cuts]
    assert known.proto is model.proto
    assert model.cuts[1].tensors[0].shape != known.cuts[1].tensors[0].shape


def test_a_name_for_a_size_stands_for_the_requests_where_nothing_else_tells() -> None:
    model = hard_model("operators whose types only ONNX Runtime knows")
    before = load_model(model)
    known = sized(before, {"x": np.zeros((3, 4), np.float32)})
    assert known.outputs[0].shape == (3, 4)
    assert known.cuts[-1].mb == pytest.approx(3 * 4 * 4 / 1e6)
    # What a name stands for in one request says nothing of the next.
    assert before.outputs[0].shape == ("N", 4)
    assert sized(before, {"x": np.zeros((5, 4), np.float32)}).outputs[0].shape == (5, 4)


def test_a_request_of_the_declared_sizes_changes_nothing() -> None:
    model = load_model(LIGHT / "light_squeezenet.onnx")
    assert sized(model, {"data_0": np.zeros((1, 3, 224, 224), np.float32)}) is model
