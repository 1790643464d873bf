"""Opening ONNX Runtime sessions, with its errors made ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from onnx import ModelProto

from carbonedge.exceptions import ModelError
from carbonedge.planning.reading import first_line

__all__ = ["Openable", "exact_options", "open_session", "quiet_options", "run_session"]

# Where a model in memory finds its external data (onnxruntime_session_options_config_keys.h).
_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
# A product with weights of 8 bits is else computed in 8 bits, if what it is multiplied with
# was not quantised in the same session.
_PRODUCT_ACCURACY = ("session.qdq_matmulnbits_accuracy_level", "1")


class Openable(Protocol):
    """A model in memory, and the folder its external data is in."""

    @property
    def proto(self) -> ModelProto: ...

    @property
    def folder(self) -> Path | None: ...


def quiet_options(threads: int = 0, *, optimise: bool = True) -> Any:
    """ONNX Runtime's options with so many threads within an operator, 0 for its own choice.

    Nothing is logged: what fails is raised, and the same again on stderr helps nobody.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def exact_options(*, optimise: bool = True) -> Any:
    """The same, but that nothing is computed with fewer bits than it has."""
    options = quiet_options(optimise=optimise)
    options.add_session_config_entry(*_PRODUCT_ACCURACY)
    return options


def open_session(
    model: Openable | ModelProto | Path | bytes,
    *,
    folder: Path | None = None,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> Any:
    """An ``onnxruntime.InferenceSession`` over a model.

    Parameters
    ----------
    model
        A graph or stage, a model in memory, such or as its bytes, or a file.
    folder
        Of the external data of a model in memory; a graph or stage knows its own.
    providers, sess_options
        ONNX Runtime's.

    Raises
    ------
    ModelError
        If ONNX Runtime lacks an operator of the model or cannot load it.
    """
    import onnxruntime

    source: str | bytes
    if isinstance(model, bytes):
        source = model
    elif isinstance(model, Path):
        source = str(model)
    elif isinstance(model, ModelProto):
        source = model.SerializeToString()
    else:
        source, folder = model.proto.SerializeToString(), model.folder
    if folder is not None:
        sess_options = sess_options or onnxruntime.SessionOptions()
        _set_folder(sess_options, str(folder))
    try:
        # Without the fallback a wrong provider is an error, not a line on stdout.
        return onnxruntime.InferenceSession(
            source, sess_options=sess_options, providers=providers, enable_fallback=False
        )
    except (ValueError, TypeError):
        raise  # of providers or options, and clear as it is
    except Exception as error:
        # ONNX Runtime's errors share no base of their own.
        reason = first_line(error)
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load the model: {reason}"
        ) from error


def _set_folder(sess_options: Any, folder: str) -> None:
    try:
        present = sess_options.get_session_config_entry(_FOLDER_OPTION) == folder
    except RuntimeError:
        present = False
    if not present:  # else it would warn that it is set again
        sess_options.add_session_config_entry(_FOLDER_OPTION, folder)


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
            f"ONNX Runtime cannot run the model on {shapes}: {first_line(error)}"
        ) from error
