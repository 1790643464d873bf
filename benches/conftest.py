from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from carbonedge._backend import ENVIRONMENT_VARIABLE, backend

GOALS = pytest.StashKey[list[str]]()


@pytest.fixture
def use_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes what is called from here on use another backend."""

    def use(name: str) -> None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, name)
        backend.cache_clear()

    yield use
    monkeypatch.undo()
    backend.cache_clear()


@pytest.fixture
def record_ratio(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Holds a figure to its goal, unless benchmarks are disabled, and lists both at the end."""

    def record(
        what: str, value: float, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        if request.config.getoption("benchmark_disable"):
            return
        goal = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least else ""
        reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        lines = request.config.stash.setdefault(GOALS, [])
        said = f"   goal {goal}{'' if reached else '   MISSED'}" if goal else ""
        lines.append(f"{what:<66}{value:>12,.2f}{said}")
        assert reached, f"{what} is {value:.2f}, its goal {goal}"

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash.get(GOALS, [])
    if lines:
        terminalreporter.section("goals")
        for line in lines:
            terminalreporter.write_line(line)
