from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clock import Clock
from provider import Provider
from unseen import shown


@pytest.fixture(autouse=True)
def _no_keys_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("ELECTRICITY_MAPS_API_KEY", "WATTTIME_USERNAME", "WATTTIME_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def provider(caplog: pytest.LogCaptureFixture) -> Iterator[Provider]:
    """A provider on this machine; no test that asks it may log a key, at any level."""
    caplog.set_level(logging.DEBUG)
    # No test sees one hour, half hour or five minutes end while it runs.
    left_s = 300 - time.time() % 300
    if left_s < 3:
        time.sleep(left_s)
    provider = Provider()
    yield provider
    provider.stop()
    for record in caplog.get_records("call"):
        told = f"{record.getMessage()} {record.args} {record.exc_text}"
        assert not shown(told), told


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module that a test file is about."""
    clock = Clock()
    module = Path(request.path).stem.removeprefix("test_")
    monkeypatch.setattr(f"carbonedge.carbon.intensity.{module}.time", clock)
    return clock
