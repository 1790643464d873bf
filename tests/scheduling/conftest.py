from __future__ import annotations

from collections.abc import Iterator

import backends
import pytest

from carbonedge._backend import NAMES


@pytest.fixture(params=NAMES)
def each_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """All that the test makes computes on each backend in turn."""
    with backends.using(request.param):
        yield request.param
