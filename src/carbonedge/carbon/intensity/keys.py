"""Keys of providers: where they come from, and how they stay unseen."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NoReturn

from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["Secret", "find_secret"]

logger = logging.getLogger(__name__)

_LONGEST = 4096


class Secret:
    """A text that neither shows nor is written out unless asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied: make the signal where it is used")


def find_secret(
    given: str | Secret | None,
    *,
    what: str,
    variable: str,
    where: str,
    file: str | os.PathLike[str] | None = None,
    ascii_only: bool = False,
) -> Secret:
    """A key from an argument, else a file, else an environment variable.

    A file that everyone may read is warned of and not refused: mounted container secrets
    are such files.

    Parameters
    ----------
    given, file
        The argument, or a file that holds it alone; a line break at its end is not part of it.
    what, variable, where
        What it is called, the environment variable, and where to get one.
    ascii_only
        Whether it goes into a header as it is.

    Raises
    ------
    IntensityUnavailableError
        If there is none, or the file or variable holds none.
    ValueError, TypeError
        If the argument is none, or argument and file are both given.
    """
    if given is not None and file is not None:
        raise ValueError(f"{what} is given and a file for it too: give one of them")
    if given is not None:
        if not isinstance(given, str | Secret):
            raise TypeError(f"{what} is a {type(given).__name__}: give a str")
        # From here on no local variable holds it in the open.
        secret = given = given if isinstance(given, Secret) else Secret(given)
        origin = "the argument"
    elif file is not None:
        origin, secret = f"file {os.fspath(file)}", _read(Path(file), what)
    elif variable in os.environ:
        origin, secret = f"environment variable {variable}", Secret(os.environ[variable])
    else:
        raise IntensityUnavailableError(
            f"no {what}: set {variable}, or give it or a file that holds it; {where}"
        )
    fault = _fault(secret.reveal(), ascii_only)
    if fault:
        kind = ValueError if given is not None else IntensityUnavailableError
        raise kind(f"the {what} in {origin} {fault}: {where}")
    return secret


def _fault(text: str, ascii_only: bool) -> str | None:
    """What keeps a text from being a key, without saying any of it."""
    if not text.strip():
        return "is empty"
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} letters"
    if not text.isprintable():
        return "holds a line break or another control character"
    if ascii_only and (not text.isascii() or " " in text):
        return "holds a space or a letter that no such key has"
    return None


def _read(path: Path, what: str) -> Secret:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            open_to_all = os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o004
            secret = Secret(file.read(_LONGEST + 2).rstrip("\r\n"))
    except OSError as error:
        raise IntensityUnavailableError(
            f"the {what} in file {path} cannot be read ({error.strerror}): "
            "check the path and its permissions"
        ) from error
    if open_to_all:
        logger.warning("everyone on this machine may read %s, which holds a key: chmod 600", path)
    return secret
