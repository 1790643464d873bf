"""Writing to where a person says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["writing"]


@contextlib.contextmanager
def writing(what: str, path: str) -> Iterator[None]:
    """Say plainly what could not be written.

    Parameters
    ----------
    what
        Such as ``"the plot"``.
    path
        As it was given.

    Raises
    ------
    ValueError
        If the system refuses what is done within.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"cannot write {what} {path!r}: {error.strerror or error}; name one in a folder that "
            "can be written to"
        ) from error
