"""Sessions that run one after another in one process, and share cores and memory."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["taking_turns"]

_STOP_SPINNING = "session.force_spinning_stop"
_SHARE_ARENA = "session.use_env_allocators"


def taking_turns(sess_options: Any) -> Any:
    """Options under which sessions leave cores and memory to the one whose turn it is.

    ONNX Runtime's threads spin for a while in wait of the next run. Those of one stage
    would hold the cores that the next needs: on 2 cores that made 3 stages of ResNet-50
    take three times as long as the whole. And each session has an arena of its own,
    which is cold when its turn comes: out of a common one 3 stages of MobileNetV2 take
    1 to 2 % less time.

    Parameters
    ----------
    sess_options
        ONNX Runtime's, to which the entries are added unless they are there; new ones
        when ``None``. Without an arena there is none to share.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions() if sess_options is None else sess_options
    if not _has(options, _STOP_SPINNING):
        options.add_session_config_entry(_STOP_SPINNING, "1")
    if options.enable_cpu_mem_arena and not _has(options, _SHARE_ARENA):
        _register_arena()
        options.add_session_config_entry(_SHARE_ARENA, "1")
    return options


def _has(options: Any, entry: str) -> bool:
    try:
        options.get_session_config_entry(entry)
    except RuntimeError:
        return False
    return True


@functools.cache
def _register_arena() -> None:
    """An arena for the sessions of this process that ask for it, and for no others."""
    import onnxruntime

    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, None)
