"""Models that tools for splitting break on, in ONNX's own text form, and requests for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.parser import parse_model

X = np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 4)

HARD: dict[str, tuple[str, dict[str, Any]]] = {
    "captured two levels deep, by a loop within a branch": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x, bool flag) => (float[1,4] y)
        <float[4] w = {1, 2, 3, 4}, int64 trips = {3}> {
            outer = Tanh(x)
            n = Neg(x)
            b = If (flag) <
                then_branch = then () => (float[1,4] t) {
                    zero = Sub(n, n)
                    t = Loop(trips, , zero) <body = body (int64 i, bool c, float[1,4] s)
                        => (bool go, float[1,4] next) {
                            go = Identity(c)
                            scaled = Mul(outer, w)
                            next = Add(s, scaled)
                        }>
                },
                else_branch = other () => (float[1,4] e) { e = Identity(outer) }>
            y = Add(b, n)
        }""",
        {"x": X, "flag": np.array(True)},
    ),
    "a name in a body that is another outside": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x, bool flag) => (float[1,4] y) {
            a = Tanh(x)
            b = Sigmoid(a)
            c = If (flag) <
                then_branch = then () => (float[1,4] t) { p = Neg(a) t = Add(p, b) },
                else_branch = other () => (float[1,4] e) { p = Abs(a) e = Mul(p, x) }>
            y = Exp(c)
        }""",
        {"x": X, "flag": np.array(False)},
    ),
    "Scan that captures": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[3,4] x) => (float[4] last, float[3,4] y) <float[4] start = {0, 0, 0, 0}> {
            bias = ReduceMean <axes = [0], keepdims = 0> (x)
            h = Tanh(x)
            last, y = Scan <num_scan_inputs = 1, body = body (float[4] s, float[4] row)
                => (float[4] t, float[4] out) {
                    u = Add(s, row)
                    t = Add(u, bias)
                    out = Identity(t)
                }> (start, h)
        }""",
        {"x": np.arange(12, dtype=np.float32).reshape(3, 4)},
    ),
    "sequences cross, made by SequenceMap": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[2,4] x) => (float[K] y) {
            parts = SplitToSequence <axis = 0> (x)
            scale = ReduceMax <keepdims = 0> (x)
            mapped = SequenceMap <body = body (float[1,4] part) => (float[4] out) {
                flat = Squeeze(part)
                out = Mul(flat, scale)
            }> (parts)
            y = ConcatFromSequence <axis = 0> (mapped)
        }""",
        {"x": np.arange(8, dtype=np.float32).reshape(2, 4)},
    ),
    "an optional crosses": (
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,4] x) => (float[1,4] y) {
            a = Tanh(x)
            o = Optional(a)
            b = OptionalGetElement(o)
            y = Neg(b)
        }""",
        {"x": X},
    ),
    "local functions, one of them of an operator's name": (
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[1,4] x) => (float[1,4] y) {
            a = own.Tanh(x)
            b = own.Twice <by: int = 3> (a)
            y = Neg(b)
        }
        <domain: "own", opset_import: ["" : 17]>
        Tanh (v) => (r) { half = Constant <value = float {0.5}> () r = Mul(v, half) }
        <domain: "own", opset_import: ["" : 17, "own" : 1]>
        Twice <by> (v) => (r) { t = own.Tanh(v) r = Softmax(t) }""",
        {"x": X},
    ),
    "strings, flags, whole numbers and halves cross": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (string[N] words, float[N] x) => (float[N] y, string[N] same)
        {
            same = Identity(words)
            h = Cast <to = 10> (x)
            small = Neg(h)
            k = Cast <to = 7> (x)
            odd = Greater(small, h)
            f = Cast <to = 1> (k)
            g1 = Cast <to = 1> (small)
            y = Where(odd, f, g1)
        }""",
        {"words": np.array(["coal", "wind"], dtype=object), "x": np.float32([1.5, -2.5])},
    ),
    "outputs that are inputs, constants, or read again; an input nobody reads": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x, float[1] unread) => (float[1,4] x, float[1,4] a, float[2] w, float[1,4] y)
        <float[2] w = {1, 2}> {
            a = Tanh(x)
            b = Sigmoid(a)
            y = Add(a, b)
        }""",
        {"x": X, "unread": np.float32([0])},
    ),
    "inputs and outputs left out": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,4] y) <float most = {0.5}> {
            a = Tanh(x)
            b = Clip(a, , most)
            c, mask = Dropout(b)
            y, = Dropout(c)
        }""",
        {"x": X},
    ),
    "a rank that is known to nobody": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x, int64[R] shape) => (float y) {
            a = Reshape(x, shape)
            b = Tanh(a)
            c = Exp(b)
            y = ReduceSum <keepdims = 0> (c)
        }""",
        {"x": X, "shape": np.array([2, 1, 2])},
    ),
    "a size that onnx 1.23 infers as 0": (
        """<ir_version: 11, opset_import: ["" : 23, "com.microsoft" : 1]>
        g (float[B,N,D] q, float[B,M,D] k) => (float[B,N,D] y) {
            a = Attention <q_num_heads = 2, kv_num_heads = 2> (q, k, k)
            b = com.microsoft.Gelu(a)
            y = Neg(b)
        }""",
        {"q": X.reshape(1, 1, 4), "k": np.arange(8, dtype=np.float32).reshape(1, 2, 4)},
    ),
    "operators whose types only ONNX Runtime knows": (
        """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[N,4] x) => (float[N,4] y) <float[4] bias = {1, 2, 3, 4}> {
            a = com.microsoft.Gelu(x)
            b = com.microsoft.BiasGelu(a, bias)
            y = Neg(b)
        }""",
        {"x": np.repeat(X, 3, axis=0)},
    ),
    "a length that only ONNX Runtime knows": (
        """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[N,1,2,2] x) => (float[N,1,P,Q] y)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[2] larger = {4, 4}> {
            a = com.microsoft.Gelu(x)
            s = Shape(a)
            kept = Slice(s, zero, two, zero)
            sizes = Concat <axis = 0> (kept, larger)
            y = Resize <mode = "nearest"> (a, , , sizes)
        }""",
        {"x": X.reshape(1, 1, 2, 2)},
    ),
    "quantised operators": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[2,4] x) => (float[2,2] y)
        <float s = {0.02}, uint8 z = {128}, float[1] ws = {0.01}, int8[1] wz = {0},
         int8[4,2] w = {1, -2, 3, -4, 5, -6, 7, -8}> {
            q = QuantizeLinear(x, s, z)
            p = QLinearMatMul(q, s, z, w, ws, wz, s, z)
            d = DequantizeLinear(p, s, z)
            dq, ds, dz = DynamicQuantizeLinear(d)
            e = DequantizeLinear(dq, ds, dz)
            y = Neg(e)
        }""",
        {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)},
    ),
    "vertices out of order": (
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,4] y) {
            y = Add(b, a)
            b = Neg(a)
            a = Tanh(x)
        }""",
        {"x": X},
    ),
    "labels and maps, as of scikit-learn": (
        """<ir_version: 8, opset_import: ["" : 8, "ai.onnx.ml" : 1]>
        g (float[N,2] x) => (string[N] label, seq(map(string, float[])) probabilities) {
            scaled = Mul(x, x)
            label, scores = ai.onnx.ml.LinearClassifier <
                coefficients = [1.0, 2.0, -1.0, -2.0], intercepts = [0.0, 0.5],
                classlabels_strings = ["coal", "wind"], post_transform = "SOFTMAX"> (scaled)
            normal = ai.onnx.ml.Normalizer <norm = "L1"> (scores)
            probabilities = ai.onnx.ml.ZipMap <classlabels_strings = ["coal", "wind"]> (normal)
        }""",
        {"x": np.float32([[1, 2], [3, -1]])},
    ),
}
"""What is hard, the model's text, and a request."""


def hard_model(what: str) -> ModelProto:
    return parse_model(HARD[what][0])


def old_style() -> ModelProto:
    """Initializers stand among the inputs, as IR 3 demands, and one is read by nothing."""
    return parse_model("""<ir_version: 3, opset_import: ["" : 9]>
        g (float[1,4] x, float[4] w, float[4] unread) => (float[1,4] y)
        <float[4] w = {1, 2, 3, 4}, float[4] unread = {0, 0, 0, 0}> {
            a = Mul(x, w)
            b = Tanh(a)
            y = Add(b, w)
        }""")


def sparse_weight() -> ModelProto:
    """A weight that is stored as its three values."""
    model = parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,4] y) { a = Tanh(x) b = MatMul(a, w) y = Neg(b) }""")
    values = numpy_helper.from_array(np.float32([1, 2, 3]), "w")
    indices = numpy_helper.from_array(np.array([0, 6, 15]), "w_indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 4]))
    return model


def heavy_everywhere(width: int = 48) -> ModelProto:
    """Large tensors as an initializer, in a Constant, and in both of a nested graph."""
    random = np.random.default_rng(0)

    def weight(name: str) -> TensorProto:
        return numpy_helper.from_array(
            (random.normal(size=(width, width)) / width).astype(np.float32), name
        )

    def floats(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, width))

    branches = {
        f"{name}_branch": helper.make_graph(
            [
                helper.make_node("Constant", [], ["k"], value=weight("")),
                helper.make_node("MatMul", ["a", "k"], ["p"]),
                helper.make_node("MatMul", ["p", "v"], [f"{name}_y"]),
            ],
            name,
            [],
            [floats(f"{name}_y")],
            [weight("v")],
        )
        for name in ("then", "else")
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("If", ["flag"], ["b"], **branches),
        helper.make_node("Constant", [], ["c"], value=weight("")),
        helper.make_node("MatMul", ["b", "c"], ["d"]),
        helper.make_node("Tanh", ["d"], ["y"]),
    ]
    inputs = [floats("x"), helper.make_tensor_value_info("flag", TensorProto.BOOL, ())]
    graph = helper.make_graph(nodes, "heavy", inputs, [floats("y")], [weight("w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def branches(count: int, depth: int) -> ModelProto:
    """Chains side by side that grow, written row by row, and meet at the end."""
    nodes = []
    for k in range(depth):
        for n in range(count):
            before = "x" if k == 0 else f"t{n}_{k - 1}"
            nodes.append(helper.make_node("Tanh", [before], [f"t{n}_{k}"]))
    for n in range(count):
        nodes.append(helper.make_node("ReduceSum", [f"t{n}_{depth - 1}"], [f"s{n}"], keepdims=1))
    nodes.append(helper.make_node("Sum", [f"s{n}" for n in range(count)], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (16, 16))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1))
    graph = helper.make_graph(nodes, "branches", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
