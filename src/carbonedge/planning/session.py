"""Opening ONNX Runtime sessions, with its errors made ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto

from carbonedge.exceptions import ModelError

__all__ = ["open_session", "run_session"]


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
        reason = _first_line(error)
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load the model: {reason}"
        ) from error


def run_session(
    run: Any, outputs: Sequence[str] | None, feed: Mapping[str, Any], run_options: Any = None
) -> list[Any]:
    """What a session's ``run`` answers.

    Raises
    ------
    ModelError
        If ONNX Runtime fails, as for inputs whose sizes do not go together.
    """
    try:
        return run(outputs, feed, run_options)  # type: ignore[no-any-return]
    except Exception as error:
        shapes = ", ".join(f"{name} {getattr(value, 'shape', '')}" for name, value in feed.items())
        raise ModelError(
            f"ONNX Runtime cannot run the model on {shapes}: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
