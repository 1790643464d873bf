"""Several machines of a Ray cluster on one, to be killed, cut off and started again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# One token for all clusters of this process: nobody else may run code on them, and Ray writes
# none of its own to the home folder.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", uuid.uuid4().hex)
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray._raylet import Config, GcsClient

QUICK = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""A head with these takes a machine that falls silent for dead after some 4 s.

At Ray's own settings (a check every 3 s that may take 10 s, 5 failures) it takes 64 s, and 14 s for
one whose processes are killed, as their connections are then closed: 1 s with these.
"""

LEAST_STORE_BYTES = 80_000_000
"""Ray takes no less than 75 MiB."""

STARTS_WITHIN_S = 60.0
UNIT = 'for start in 1 2 3 4 5; do "$@"; sleep 0.5; done'
MARK = "CARBONEDGE_TEST_MACHINE"
HEAD = "the head"

if MARK not in os.environ:  # a driver, which may have imported Ray before
    Config.initialize("")


class Machines:
    """A head without ``carbonedge:`` resources, and one Ray node for each name.

    Each machine is a ``ray start`` that is started again half a second after it ends, as by
    systemd with ``Restart=always``. Leaving ends every process and removes every file, whatever
    happened meanwhile; the driver in this process is shut down first, since Ray ends a process
    whose head is gone.

    Parameters
    ----------
    *names
        Nodes; each has the resource ``carbonedge:<name>`` (1.0) and one CPU.
    apart
        Those in a network namespace of their own, which `cut` and `restore` need; ask
        `namespaces_available` first.
    environments
        More environment for some nodes; their workers inherit it.
    object_store_bytes
        Of each node, or of some by name; `HEAD`'s is the one that a driver here writes to.
    settings
        Of the whole Ray cluster; ``{}`` for Ray's own.
    """

    def __init__(
        self,
        *names: str,
        apart: Collection[str] = (),
        environments: Mapping[str, Mapping[str, str]] = {},
        object_store_bytes: int | Mapping[str, int] = LEAST_STORE_BYTES,
        settings: Mapping[str, Any] = QUICK,
    ) -> None:
        if strangers := {*apart, *environments} - {*names}:
            raise ValueError(f"{strangers} are none of the nodes {names}: name them first")
        self.names = names
        self._apart = apart
        self._environments = environments
        self._object_store_bytes = object_store_bytes
        self._settings = settings
        self._id = uuid.uuid4().hex[:6]
        self._units: dict[str, subprocess.Popen[bytes]] = {}
        self.network = Network(self._id)
        self.address = ""
        """To be given to ``ray.init``."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            # Short, since the path of a socket has 107 characters at most.
            self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
            undo.callback(shutil.rmtree, self.folder)
            undo.callback(self.network.close)
            undo.callback(self._stop_all)
            undo.callback(ray.shutdown)
            here = (f"--node-ip-address={self.network.open(self._apart)}",) if self._apart else ()
            self._start(
                HEAD,
                *("--head", "--port=0", "--include-dashboard=false", *here),
                f"--system-config={json.dumps(self._settings)}",
            )
            written = self._temporary(HEAD) / "ray_current_cluster"
            self._wait(written.exists, HEAD)
            self.address = written.read_text().strip()
            for name in self.names:
                self._start_node(name)
            for name in self.names:
                self.wait(name)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def start(self, name: str) -> None:
        """Start a node that `stop` stopped, and wait until the head knows it."""
        self._start_node(name)
        self.wait(name)

    def stop(self, name: str) -> None:
        """Kill a node with all its processes at once.

        Unlike at a power cut its connections are closed by the kernel, so that the head notices
        sooner; for one that says nothing see `cut`.
        """
        while processes := self.pids(name):
            for number in (signal.SIGSTOP, signal.SIGKILL):  # so that none sees another die
                for pid in processes:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            time.sleep(0.01)
        self._units.pop(name).wait()

    def cut(self, name: str) -> None:
        """Pull the network cable of a node that stands apart."""
        self.network.plug(name, "down")

    def restore(self, name: str) -> None:
        """Put the cable back; `wait` tells when the node has joined again."""
        self.network.plug(name, "up")

    def wait(self, name: str) -> None:
        """Wait until the head knows a node as it runs now, not as it was before its death."""
        self._wait(lambda: self._running(name) & self._alive(name), name)

    def is_alive(self, name: str) -> bool:
        """Whether the head holds a node to be alive, be it right or not."""
        return bool(self._alive(name))

    def pids(self, name: str) -> list[int]:
        """Every process of a node."""
        return _marked(f"{MARK}={self._id}:{name}\0".encode())

    def raylet_pid(self, name: str) -> int:
        """The process that is the node to Ray; killed alone, it is started again."""
        [pid] = self._raylets(name)
        return pid

    def worker_pids(self, name: str) -> list[int]:
        """The workers of a node that hold an actor or run a task."""
        titles = {pid: _command(pid)[0] for pid in self.pids(name)}
        others = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
        return [
            pid
            for pid, title in titles.items()
            if title.startswith("ray::") and not title.startswith(others)
        ]

    def _raylets(self, name: str) -> dict[int, str]:
        """Raylets of a node by their process, with the names that they have for the head."""
        commands = {pid: _command(pid) for pid in self.pids(name)}
        return {
            pid: argument.removeprefix("--node_id=")
            for pid, command in commands.items()
            if command[0].endswith("/raylet")
            for argument in command
            if argument.startswith("--node_id=")
        }

    def _running(self, name: str) -> set[str]:
        return set(self._raylets(name).values())

    def _alive(self, name: str) -> set[str]:
        nodes = GcsClient(address=self.address).get_all_node_info()
        return {
            id_.hex()
            for id_, node in nodes.items()
            if f"carbonedge:{name}" in node.resources_total and node.state == node.ALIVE
        }

    def _start_node(self, name: str) -> None:
        ip = self.network.ips.get(name)
        self._start(
            name,
            f"--address={self.address}",
            f"--resources={json.dumps({f'carbonedge:{name}': 1.0})}",
            *((f"--node-ip-address={ip}",) if ip else ()),
        )

    def _start(self, name: str, *arguments: str) -> None:
        size = self._object_store_bytes
        size = size if isinstance(size, int) else size.get(name, LEAST_STORE_BYTES)
        command = [
            *self.network.enter(name),
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
            *(f"--temp-dir={self._temporary(name)}", "--num-cpus=1", "--num-gpus=0"),
            f"--object-store-memory={size}",
            *("--include-log-monitor=false", "--disable-usage-stats", *arguments),
        ]
        own = self._environments.get(name, {})
        environment = {**os.environ, **own}
        environment.pop("RAY_ADDRESS", None)
        # Workers import the modules of tests, and what those import.
        paths = [own.get("PYTHONPATH"), os.environ.get("PYTHONPATH"), str(Path(__file__).parent)]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        environment[MARK] = f"{self._id}:{name}"
        with (self.folder / f"{name}.log").open("ab") as log:
            self._units[name] = subprocess.Popen(
                ["sh", "-c", UNIT, "unit", *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _temporary(self, name: str) -> Path:
        """Where a node has its files; nodes that share a folder and start at once collide."""
        return self.folder / str(self.names.index(name) if name != HEAD else "head")

    def _wait(self, condition: Callable[[], object], name: str) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not condition():
            if time.monotonic() > deadline or self._units[name].poll() is not None:
                said = (self.folder / f"{name}.log").read_text()[-2000:]
                raise TimeoutError(f"{name} does not come up: {said}")
            time.sleep(0.05)

    def _stop_all(self) -> None:
        for name in reversed(tuple(self._units)):
            self.stop(name)


class Network:
    """A switch in this machine, and network namespaces plugged into it; needs root."""

    def __init__(self, id_: str) -> None:
        self.switch = f"ce{id_}"
        self._ports: dict[str, str] = {}
        self.ips: dict[str, str] = {}

    def open(self, names: Iterable[str]) -> str:
        """The address of this machine, once each name has its namespace."""
        _ip("link", "add", self.switch, "type", "bridge")
        # RFC 5737 gives these addresses to examples: no real host has them. 14 hosts to a net.
        used = _ip("-4", "-o", "addr")
        first = next(n for n in range(1, 256, 16) if f" 198.51.100.{n}/" not in used)
        host = f"198.51.100.{first}"
        _ip("addr", "add", f"{host}/28", "dev", self.switch)
        _ip("link", "set", self.switch, "up")
        for number, name in enumerate(names):
            space, port, inner = self._space(name), f"{self.switch}p{number}", self.switch
            self.ips[name] = f"198.51.100.{first + 1 + number}"
            self._ports[name] = port
            _ip("netns", "add", space)
            _ip("link", "add", port, "type", "veth", "peer", "name", inner, "netns", space)
            _ip("link", "set", port, "master", self.switch, "up")
            _ip("-n", space, "addr", "add", f"{self.ips[name]}/28", "dev", inner)
            _ip("-n", space, "link", "set", inner, "up")
            _ip("-n", space, "link", "set", "lo", "up")
        return host

    def enter(self, name: str) -> tuple[str, ...]:
        """What to put before a command for it to run where the node is."""
        return ("ip", "netns", "exec", self._space(name)) if name in self.ips else ()

    def plug(self, name: str, state: str) -> None:
        _ip("link", "set", self._ports[name], state)

    def close(self) -> None:
        """Remove what there is of it."""
        # Links first: connections that nobody answers may keep a namespace for minutes.
        for link in (*self._ports.values(), self.switch):
            if Path("/sys/class/net", link).exists():
                _ip("link", "del", link)
        for name in self.ips:
            if Path("/run/netns", self._space(name)).exists():
                _ip("netns", "del", self._space(name))

    def _space(self, name: str) -> str:
        return f"{self.switch}-{name}"


@functools.cache
def namespaces_available() -> str | None:
    """Why no machine can be put apart here, or nothing."""
    if shutil.which("ip") is None:
        return "there is no ip command: install iproute2"
    network = Network(uuid.uuid4().hex[:6])
    try:
        network.open(["probe"])
    except subprocess.CalledProcessError as error:
        return f"no network namespaces can be made here: {error.stderr.strip()}"
    finally:
        network.close()
    return None


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def _marked(mark: bytes) -> list[int]:
    """Processes that live and have the mark in their environment, which children inherit."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    pids.append(int(folder.name))
    return pids


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return [""]
