"""Requests in NumPy's .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["read_npz"]


def read_npz(path: str) -> dict[str, Any]:
    """Arrays by name.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    try:
        arrays = np.load(Path(path), allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            arrays = {"": arrays}
        return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ValueError(
            f"cannot read inputs from {path!r}: {reason}; write it with numpy.savez(path, name=...)"
        ) from error
