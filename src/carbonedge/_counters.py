"""The counters of the fallback: what ``_core.Counters`` does, by ``os.pread``."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence

__all__ = ["Counters"]

SIZE = 32
"""20 digits are the longest number; what does not fit is none."""


class Counters:
    """Files of one unsigned integer each; see ``_core.pyi`` for what each method does."""

    __slots__ = ("_closed", "_files", "_last", "_lock", "_paths", "_ranges", "_totals")

    def __init__(self, paths: Sequence[str | os.PathLike[str]], ranges: Sequence[int]) -> None:
        if len(paths) != len(ranges):
            raise ValueError("paths and ranges differ in length")
        self._paths = [os.fspath(path) for path in paths]
        self._ranges = tuple(ranges)
        self._files: list[int] = []
        self._lock = threading.Lock()
        self._closed = False
        try:
            for path in self._paths:
                self._files.append(_open(path))
            self._last = self._values()
        except BaseException:
            self.close()
            raise
        self._totals = [0] * len(self._files)

    def __del__(self) -> None:
        # Arguments that are refused leave no lock behind.
        if hasattr(self, "_closed"):
            self.close()

    def read(self) -> tuple[int, ...]:
        with self._lock:
            if self._closed:
                raise ValueError("these counters are closed: open them anew")
            now = self._values()
            for i, (last, value, range_) in enumerate(
                zip(self._last, now, self._ranges, strict=True)
            ):
                self._totals[i] += _rise(last, value, range_)
            self._last = now
            return tuple(self._totals)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._files:
                os.close(self._files.pop())

    def _values(self) -> list[int]:
        return [_value(file, path) for file, path in zip(self._files, self._paths, strict=True)]


def _open(path: str) -> int:
    if not hasattr(os, "pread"):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), path)
    return os.open(path, os.O_RDONLY)


def _value(file: int, path: str) -> int:
    try:
        text = os.pread(file, SIZE, 0)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    digits = text.rstrip(b" \t\r\n")
    if digits.isdigit() and len(text) < SIZE:
        value = int(digits)
        if value < 2**64:
            return value
    raise ValueError(f"{path} holds no unsigned integer of 64 bits")


def _rise(last: int, now: int, range_: int) -> int:
    if now >= last:
        return now - last
    fall = last - now
    return range_ - fall if fall <= range_ else 0
