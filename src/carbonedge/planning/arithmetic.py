"""How much work an operator is: the paper's cost (Eq. 5) and multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

__all__ = ["Shape", "macs", "paper_cost"]

Shape = tuple[int, ...]
"""Sizes of a tensor's dimensions, 1 where one is not known."""


def paper_cost(
    op_type: str, inputs: Sequence[Shape | None], parameters: int, groups: int = 1
) -> int:
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


def macs(op_type: str, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None]) -> int:
    """Multiply-accumulates of an operator; 0 for one that does not multiply matrices
    or convolve, or whose shapes are not known.
    """
    count = _MACS.get(op_type)
    known = len(inputs) > 1 and inputs[0] is not None and inputs[1] is not None
    if count is None or not known or not outputs or outputs[0] is None:
        return 0
    return count(inputs[0], inputs[1], outputs[0])  # type: ignore[arg-type]


def _conv(_: Shape, weights: Shape, result: Shape) -> int:
    return math.prod(result) * math.prod(weights[1:])


def _conv_transpose(data: Shape, weights: Shape, _: Shape) -> int:
    return math.prod(data) * math.prod(weights[1:])


def _matmul(left: Shape, _: Shape, result: Shape) -> int:
    return math.prod(result) * (left[-1] if left else 0)


def _gemm(left: Shape, _: Shape, result: Shape) -> int:
    # Either factor may be transposed; the left one holds the result's rows besides.
    return math.prod(result) * (math.prod(left) // result[0] if result else 0)


_MACS: Mapping[str, Callable[[Shape, Shape, Shape], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
