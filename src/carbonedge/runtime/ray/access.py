"""The token of a local cluster, for as long as this process is connected to its Ray."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from carbonedge.runtime.local_cluster.record import Record

__all__ = ["token_of"]


@contextlib.contextmanager
def token_of(record: Record) -> Iterator[None]:
    """Let Ray show the token of a local cluster, in place of any that it has found elsewhere."""
    its = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": record.token}
    before = {name: os.environ.get(name) for name in its}
    _set(its)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    # Ray reads both when it is imported, or first needs them. Its threads may be asking still: they
    # must not look for a token where none is wanted any more.
    inner: Any = importlib.import_module("ray._raylet")
    inner.Config.initialize("")
    inner.AuthenticationTokenLoader.instance().reset_cache()
