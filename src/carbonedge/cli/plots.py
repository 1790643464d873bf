"""Saving plots to where a person says."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["save_plot"]


def save_plot(save: Callable[[str], None], path: str) -> None:
    """Save a plot.

    Raises
    ------
    ValueError
        If the file cannot be written.
    """
    try:
        save(path)
    except OSError as error:
        raise ValueError(
            f"cannot write the plot {path!r}: {error.strerror or error}; "
            "name a file in a folder that can be written to"
        ) from error
