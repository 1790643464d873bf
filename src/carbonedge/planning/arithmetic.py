"""How much work an operator is: the paper's cost (Eq. 5) and multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Shape", "macs", "paper_cost"]

Shape = tuple[int, ...]
"""Sizes of a tensor's dimensions, 1 where one is not known."""

Shapes = Sequence[Shape | None]
Attributes = Mapping[str, Any]


def paper_cost(op_type: str, inputs: Shapes, parameters: int, groups: int = 1) -> int:
    """Cost of an operator by Eq. 5 of AMP4EC (arXiv 2504.00407).

    Parameters
    ----------
    op_type
        The operator's ONNX type.
    inputs
        Shapes of its inputs, ``None`` where unknown.
    parameters
        Number of its parameters.
    groups
        Of a convolution.

    Returns
    -------
    int
        ``kh * kw * Cin * Cout`` for a convolution, ``Nin * Nout`` for a linear layer,
        the number of parameters otherwise. No unit.
    """
    weights = inputs[1] if len(inputs) > 1 else None
    if weights is not None and op_type in ("Conv", "ConvTranspose"):
        # Of each pair of channels a group keeps apart, ONNX stores only one factor.
        return math.prod(weights) * groups
    if weights is not None and op_type in ("Gemm", "MatMul") and parameters:
        return math.prod(weights)
    return parameters


def macs(domain: str, op_type: str, inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """Multiply-accumulates of an operator, its bodies aside.

    Products of matrices, convolutions, recurrent layers and attention count, as their
    definitions have them: no bias, no activation, padding as if it were data, nothing
    saved by a clever algorithm.

    Parameters
    ----------
    domain, op_type
        The operator's, as in ONNX; ``"com.microsoft"`` for ONNX Runtime's own.
    inputs, outputs
        Shapes in the order of the operator's definition, ``None`` where one is left out
        or unknown.
    attributes
        Values by name.

    Returns
    -------
    int
        0 for an operator that does none of this, or whose shapes are not known.
    """
    count = _COUNTS.get(domain, {}).get(op_type)
    if count is None:
        return 0
    try:
        return count(_Known(inputs), _Known(outputs), attributes)
    except _UnknownShape:
        return 0


class _UnknownShape(Exception):
    """A shape that the count depends on is not known."""


class _Known:
    """Shapes that are asked for one at a time, and have to be there then."""

    __slots__ = ("_shapes",)

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def __getitem__(self, index: int) -> Shape:
        shape = self.get(index)
        if shape is None:
            raise _UnknownShape
        return shape

    def __len__(self) -> int:
        return len(self._shapes)

    def get(self, index: int) -> Shape | None:
        return self._shapes[index] if index < len(self._shapes) else None


_Count = Callable[[_Known, _Known, Attributes], int]


def _conv(weights: int = 1) -> _Count:
    def count(inputs: _Known, outputs: _Known, _: Attributes) -> int:
        # Its weights hold the input channels of one group only.
        return math.prod(outputs[0]) * math.prod(inputs[weights][1:])

    return count


def _conv_transpose(inputs: _Known, _: _Known, __: Attributes) -> int:
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _matmul(inputs: _Known, outputs: _Known, attributes: Attributes) -> int:
    left = inputs[0]
    depth = left[-1] if left else 0
    if attributes.get("transA") and len(left) > 1:
        depth = left[0] if attributes.get("transBatchA") else left[-2]
    return math.prod(outputs[0]) * depth


def _gemm(inputs: _Known, outputs: _Known, attributes: Attributes) -> int:
    return math.prod(outputs[0]) * inputs[0][0 if attributes.get("transA") else 1]


def _packed_matmul(_: _Known, outputs: _Known, attributes: Attributes) -> int:
    return math.prod(outputs[0]) * int(attributes.get("K", 0))


def _einsum(inputs: _Known, _: _Known, attributes: Attributes) -> int:
    """Every index once, and one product less than there are factors."""
    equation = attributes["equation"].replace(" ", "")
    terms = equation.split("->")[0].split(",")
    sizes: dict[str | int, int] = {}
    for position, term in enumerate(terms):
        shape = inputs[position]
        before, dots, after = term.partition("...")
        hidden = len(shape) - len(before) - len(after)
        # What an ellipsis stands for is counted from the right, as in broadcasting.
        ellipsis = list(range(-hidden, 0)) if dots else []
        for label, size in zip([*before, *ellipsis, *after], shape, strict=True):
            sizes[label] = max(sizes.get(label, 1), size)
    return math.prod(sizes.values()) * (len(terms) - 1)


def _recurrent(inputs: _Known, _: _Known, __: Attributes) -> int:
    # Whichever comes first, time and batch are the first two sizes of the data.
    steps = math.prod(inputs[0][:2])
    return steps * (math.prod(inputs[1]) + math.prod(inputs[2]))


def _attention(inputs: _Known, _: _Known, __: Attributes) -> int:
    """Heads apart ``[batch, heads, length, size]`` or together ``[batch, length, size]``."""
    query, key, value = inputs[0], inputs[1], inputs[2]
    past = inputs.get(4)
    total = key[-2] + (past[2] if past else 0)
    if len(query) == 4:
        batch, heads, length, size = query
        return batch * heads * length * total * (size + value[-1])
    batch, length, size = query
    # Each key and value head may serve several heads of queries.
    value_size = value[-1] * size // key[-1]
    return batch * length * total * (size + value_size)


def _projected_attention(past_input: int) -> _Count:
    def count(inputs: _Known, _: _Known, attributes: Attributes) -> int:
        batch, length, size = inputs[0]
        projected = inputs[1][1]
        sizes: Sequence[int] = attributes.get("qkv_hidden_sizes") or [projected // 3] * 3
        past = inputs.get(past_input)
        total = length + (past[3] if past else 0)
        return batch * length * (size * projected + total * (sizes[0] + sizes[2]))

    return count


def _multi_head_attention(inputs: _Known, _: _Known, __: Attributes) -> int:
    query, key, value, past = inputs[0], inputs.get(1), inputs.get(2), inputs.get(6)
    batch, length = query[:2]
    # Packed together with its key and value a query is [batch, length, heads, 3, size].
    size = query[2] * query[4] if len(query) == 5 else query[2]
    if key is None:
        total, value_size = length, size
    elif value is None:
        total, value_size = key[1], size
    elif len(value) == 4:
        total, value_size = key[2], value[1] * value[3]
    else:
        total, value_size = key[1], value[2]
    total += past[2] if past else 0
    return batch * length * total * (size + value_size)


def _grouped_attention(inputs: _Known, _: _Known, attributes: Attributes) -> int:
    batch, length, size = inputs[0]
    heads = int(attributes["num_heads"])
    if inputs.get(1) is None:
        # Query, key and value stand side by side.
        size = size * heads // (heads + 2 * int(attributes["kv_num_heads"]))
    past = inputs.get(3)
    return batch * length * (length + (past[2] if past else 0)) * 2 * size


_OF_ONNX: Mapping[str, _Count] = {
    "Attention": _attention,
    "Conv": _conv(),
    "ConvInteger": _conv(),
    "ConvTranspose": _conv_transpose,
    "DeformConv": _conv(),
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearConv": _conv(weights=3),
    "QLinearMatMul": _matmul,
    "RNN": _recurrent,
}
_OF_ONNX_RUNTIME: Mapping[str, _Count] = {
    **_OF_ONNX,
    "Attention": _projected_attention(past_input=4),
    "ConvTransposeWithDynamicPads": _conv_transpose,
    "DynamicQuantizeLSTM": _recurrent,
    "DynamicQuantizeMatMul": _matmul,
    "FusedConv": _conv(),
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "GemmFloat8": _gemm,
    "GroupQueryAttention": _grouped_attention,
    "MatMulBnb4": _packed_matmul,
    "MatMulInteger16": _matmul,
    "MatMulIntegerToFloat": _matmul,
    "MatMulNBits": _packed_matmul,
    "MultiHeadAttention": _multi_head_attention,
    "QAttention": _projected_attention(past_input=8),
    "QGemm": _gemm,
    "TransposeMatMul": _matmul,
}
_COUNTS = {"": _OF_ONNX, "ai.onnx": _OF_ONNX, "com.microsoft": _OF_ONNX_RUNTIME}
