"""Schedulers on a backend of one's choice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from carbonedge._backend import ENVIRONMENT_VARIABLE, backend


@contextmanager
def using(name: str) -> Iterator[None]:
    """What is made meanwhile computes on that backend, and goes on to."""
    with mock.patch.dict(os.environ, {ENVIRONMENT_VARIABLE: name}):
        backend.cache_clear()
        try:
            yield
        finally:
            backend.cache_clear()
