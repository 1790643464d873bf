"""JSON that carbonedge wrote and reads back, with the version of its form."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["read_document"]


def read_document(text: str, what: str, versions: tuple[int, ...], remedy: str) -> dict[str, Any]:
    """The fields of a document but its version.

    Parameters
    ----------
    what
        Such as ``"this plan"``, for messages.
    versions
        That can be read.
    remedy
        What to do where it cannot.

    Raises
    ------
    ValueError
        If the text is no JSON, or of another version.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{what} is not JSON ({error}): {remedy}") from error
    version = document.pop("version", None) if isinstance(document, dict) else None
    # True is 1 to Python, and no version.
    if type(version) is not int or version not in versions:
        known = " and ".join(map(str, versions))
        raise ValueError(
            f"{what} is of version {version!r} and this carbonedge reads {known}: {remedy}"
        )
    return document  # type: ignore[no-any-return]
