"""Thread pools of several sessions that run one after another in one process."""

from __future__ import annotations

from typing import Any

__all__ = ["taking_turns"]

_STOP_SPINNING = "session.force_spinning_stop"


def taking_turns(sess_options: Any) -> Any:
    """Options under which a session's threads rest as soon as its run is over.

    ONNX Runtime's threads spin for a while in wait of the next run. Those of one stage
    would hold the cores that the next needs: on 2 cores that made 3 stages of ResNet-50
    take three times as long as the whole.

    Parameters
    ----------
    sess_options
        ONNX Runtime's, to which the entry is added unless it has one; new ones when
        ``None``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions() if sess_options is None else sess_options
    try:
        options.get_session_config_entry(_STOP_SPINNING)
    except RuntimeError:  # there is none yet
        options.add_session_config_entry(_STOP_SPINNING, "1")
    return options
