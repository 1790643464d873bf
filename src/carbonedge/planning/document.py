"""JSON that carbonedge wrote and reads back, with the version of its form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["read_document"]

_Document = TypeVar("_Document")


def read_document(
    text: str,
    kind: type[_Document],
    what: str,
    versions: tuple[int, ...],
    remedy: str,
    *,
    other_types: Callable[[type, Any], Any] | None = None,
) -> _Document:
    """What a document holds.

    Parameters
    ----------
    kind
        The dataclass that was written; each field is held to its type.
    what
        Such as ``"this plan"``, for messages.
    versions
        That can be read.
    remedy
        What to do where it cannot.
    other_types
        Makes, from a type and a value, what JSON and dataclasses do not know.

    Raises
    ------
    ValueError
        If the text is no JSON, of another version, or not such a document.
    """
    import msgspec

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
    try:
        return msgspec.convert(document, kind, dec_hook=other_types)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what} was changed or cut short ({error}): {remedy}") from error
