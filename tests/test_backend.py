from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from carbonedge import BackendUnavailableError, Node, Task, schedule
from carbonedge._backend import ENVIRONMENT_VARIABLE, NAMES, backend, load


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    for cached in (backend, load):
        cached.cache_clear()
    yield
    for cached in (backend, load):
        cached.cache_clear()


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_native_comes_first_and_silently(caplog: pytest.LogCaptureFixture) -> None:
    assert backend().name == "native"
    assert not caplog.records


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [(("carbonedge._core",), "numba"), (("carbonedge._core", "numba"), "python")],
)
def test_falling_back_is_logged_once(
    hidden: tuple[str, ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hide(monkeypatch, *hidden)
    nodes = [Node("a", cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=1)]
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert schedule(Task(), nodes).node == "a"
    assert backend().name == expected
    [record] = caplog.records
    assert f"using the slower {expected} backend" in record.getMessage()


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_forces_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, name)
    assert backend().name == name


def test_what_is_forced_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "numba")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "numba")
    with pytest.raises(BackendUnavailableError, match=r'pip install "carbonedge\[numba\]"'):
        backend()


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="native, numba, python"):
        load("fortran")


def test_a_fallback_without_numba_loads_no_numba() -> None:
    code = (
        "import sys, carbonedge as c;"
        "n = [c.Node('a', cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=1)];"
        "assert c.schedule(c.Task(), n).node == 'a'; assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={ENVIRONMENT_VARIABLE: "python"})
