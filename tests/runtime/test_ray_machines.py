from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError
from ray_machines import HEAD, Machines, namespaces_available

WITHIN_S = 30.0
NAMESPACES = Path("/run/netns")


class Clerk:
    """Tells where it works."""

    def pid(self) -> int:
        return os.getpid()

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)


def hire(node: str) -> Any:
    options = {"num_cpus": 0, "resources": {f"carbonedge:{node}": 0.001}, "max_restarts": -1}
    return ray.remote(**options)(Clerk).remote()


def answer(clerk: Any) -> int:
    """The first answer of a clerk who may be away, asked again and again."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            return ray.get(clerk.pid.remote(), timeout=1.0)
        except (ActorUnavailableError, GetTimeoutError):
            assert time.monotonic() < deadline


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def connect(machines: Machines) -> None:
    ray.init(address=machines.address, log_to_driver=False, logging_level="warning")


@pytest.fixture(scope="module")
def two() -> Iterator[Machines]:
    with Machines("a", "b", environments={"b": {"COLOUR": "green"}}) as machines:
        yield machines


@pytest.fixture
def machines(two: Machines) -> Iterator[Machines]:
    connect(two)
    yield two
    ray.shutdown()


def test_an_actor_works_on_the_node_of_its_resource(machines: Machines) -> None:
    for node in machines.names:
        pid = answer(hire(node))
        assert pid in machines.worker_pids(node)
        assert machines.raylet_pid(node) in machines.pids(node)
    assert not set(machines.pids("a")) & set(machines.pids("b"))


def test_the_workers_of_a_node_have_its_environment(machines: Machines) -> None:
    assert ray.get(hire("b").variable.remote("COLOUR"), timeout=WITHIN_S) == "green"
    assert ray.get(hire("a").variable.remote("COLOUR"), timeout=WITHIN_S) is None


def test_an_actor_outlives_its_worker(machines: Machines) -> None:
    clerk = hire("a")
    before = answer(clerk)
    os.kill(before, signal.SIGKILL)
    after = answer(clerk)
    assert after != before
    assert after in machines.worker_pids("a")


def test_a_node_that_stops_is_dead_to_ray_and_comes_back(machines: Machines) -> None:
    clerk, other = hire("a"), hire("b")
    before = answer(clerk)
    answer(other)
    machines.stop("a")
    assert not machines.pids("a")
    until(lambda: not machines.is_alive("a"))
    answer(other)
    machines.start("a")
    assert machines.is_alive("a")
    assert answer(clerk) != before


def test_a_raylet_that_dies_is_started_again(machines: Machines) -> None:
    clerk = hire("a")
    before, raylet = answer(clerk), machines.raylet_pid("a")
    os.kill(raylet, signal.SIGKILL)
    until(lambda: raylet not in machines.pids("a"))  # a worker outlives it for a moment
    machines.wait("a")
    assert answer(clerk) != before
    assert machines.raylet_pid("a") != raylet


def test_nothing_is_left_when_a_test_fails() -> None:
    machines = Machines("a")

    def fails() -> None:
        with machines:
            connect(machines)
            answer(hire("a"))
            assert machines.folder.exists()
            raise RuntimeError("fails, as tests do")

    with pytest.raises(RuntimeError, match="as tests do"):
        fails()
    assert not ray.is_initialized()
    assert not machines.pids("a")
    assert not machines.pids(HEAD)
    assert not machines.folder.exists()


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise SystemExit('no Ray here')")
    broken = {"a": {"PYTHONPATH": str(tmp_path)}}
    with pytest.raises(TimeoutError, match="no Ray here"), Machines("a", environments=broken):
        pass


def test_a_node_that_is_cut_off_is_dead_to_ray_and_comes_back() -> None:
    if reason := namespaces_available():
        pytest.skip(reason)
    with Machines("a", "b", apart=["b"]) as machines:
        connect(machines)
        here, there = hire("a"), hire("b")
        before = answer(there)
        answer(here)
        machines.cut("b")
        late = there.pid.remote()
        assert ray.wait([late], timeout=0.5) == ([], [late])
        machines.restore("b")
        assert ray.get(late, timeout=WITHIN_S) == before  # too short a cut to be noticed
        machines.cut("b")
        call = there.pid.remote()
        assert ray.wait([call], timeout=0.5) == ([], [call])
        with pytest.raises(ActorUnavailableError):
            ray.get(call, timeout=WITHIN_S)
        assert not machines.is_alive("b")
        assert before in machines.pids("b")  # which knows nothing of its death
        answer(here)
        machines.restore("b")
        after = answer(there)
        assert after != before
        assert before not in machines.pids("b")
    assert not machines.pids("b")
    links = {link.name for link in Path("/sys/class/net").iterdir()}
    assert not [link for link in links if link.startswith(machines.network.switch)]
    assert not [space for space in NAMESPACES.iterdir() if machines.network.switch in space.name]


def test_a_node_apart_or_with_an_environment_is_named_first() -> None:
    with pytest.raises(ValueError, match=r"{'x'} are none of the nodes"):
        Machines("a", apart=["x"])
    with pytest.raises(ValueError, match=r"{'x'} are none of the nodes"):
        Machines("a", environments={"x": {}})


def test_no_namespaces_without_the_ip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "iproute2" in namespaces_available.__wrapped__()
