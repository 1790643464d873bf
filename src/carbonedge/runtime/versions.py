"""What is installed here, of what ought to be the same on all machines."""

from __future__ import annotations

import platform

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Of ONNX Runtime, carbonedge and Python."""
    import onnxruntime

    import carbonedge

    return {
        "onnxruntime": onnxruntime.__version__,
        "carbonedge": carbonedge.__version__,
        "python": platform.python_version(),
    }
