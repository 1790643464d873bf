"""Opening ONNX Runtime sessions, with its errors made ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto

from carbonedge.exceptions import ModelError

__all__ = ["open_session"]


def open_session(
    model: ModelProto, *, providers: Sequence[Any] | None = None, sess_options: Any = None
) -> Any:
    """An ``onnxruntime.InferenceSession`` over a model in memory.

    Raises
    ------
    ModelError
        If ONNX Runtime lacks an operator of the model or cannot load it.
    """
    import onnxruntime

    try:
        # Without the fallback a wrong provider is an error, not a line on stdout.
        return onnxruntime.InferenceSession(
            model.SerializeToString(),
            sess_options=sess_options,
            providers=providers,
            enable_fallback=False,
        )
    except (ValueError, TypeError):
        raise  # of providers or options, and clear as it is
    except Exception as error:
        # ONNX Runtime's errors share no base of their own.
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load the model: {reason}"
        ) from error
