"""Reading a model from wherever it is."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from onnx import ModelProto

from carbonedge.exceptions import ModelError

__all__ = ["check", "first_line", "read"]


def read(model: str | os.PathLike[str] | ModelProto) -> tuple[str, ModelProto, Path | None]:
    """What to call a model, a copy of it, and the folder of its external data.

    Raises
    ------
    ModelError
        If the file is missing, is not ONNX or is cut short.
    """
    if isinstance(model, ModelProto):
        copy = ModelProto()
        copy.CopyFrom(model)
        return "the model", copy, None
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"a model is {type(model).__name__}: give a path or an onnx.ModelProto")
    path = Path(model)
    try:
        proto = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read model file {str(path)!r}: {error.strerror}") from error
    except Exception as error:
        # onnx lets protobuf's own error through, whose type depends on its build.
        raise ModelError(
            f"{str(path)!r} is not an ONNX model or is cut short: export or copy it again"
        ) from error
    if not proto.graph.output:
        raise ModelError(f"{str(path)!r} has no outputs: it is not an ONNX model or is cut short")
    return str(path), proto, path.parent.absolute()


def check(name: str, skeleton: ModelProto) -> None:
    """Hold a model to ONNX's rules.

    Raises
    ------
    ModelError
        If it breaks one.
    """
    try:
        onnx.checker.check_model(skeleton)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{name} is not a valid ONNX model: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Of a message that would take several."""
    return str(error).strip().split("\n", 1)[0]
