"""Local clusters of tests: where they lie, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from carbonedge import Cluster, Link, Node
from carbonedge.carbon.energy.cgroup import UNIFIED, groups
from carbonedge.runtime.local_cluster.cgroups import NoRightsError, make, remove
from carbonedge.runtime.local_cluster.down import down
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.record import MARK, RUN_FOLDER

NODES = (
    Node("a", cpu_cores=0.5, memory_mb=300, power_w=10, intensity_g_per_kwh=100),
    Node("b", cpu_cores=0.25, memory_mb=200, power_w=5, intensity_g_per_kwh=300),
)
CLUSTER = Cluster(NODES, [Link("a", "b", bandwidth_mbps=1000, latency_ms=20)])


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A run folder of a test's own, with a short name: sockets lie in it. Nothing stays."""
    folder = Path(tempfile.mkdtemp(prefix="ce-", dir="/tmp"))
    before = os.environ.get(RUN_FOLDER)
    os.environ[RUN_FOLDER] = str(folder)
    try:
        yield folder
    finally:
        down()
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            del os.environ[RUN_FOLDER]
        else:
            os.environ[RUN_FOLDER] = before


def marked(folder: Path) -> list[int]:
    """The processes of all local clusters of a run folder, by their environment as it is in memory:
    some have partly overwritten it, or else by their logs.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            proc = Path("/proc", str(process.pid))
            its = f"{MARK}={folder}/".encode() in (proc / "environ").read_bytes()
            if not its and process.pid != os.getpid():
                its = any(
                    one.readlink().match(f"{folder}/ce*/ray/*/logs/*") for one in proc.glob("fd/*")
                )
            if its and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def cgroups_of(name: str) -> list[str]:
    """Those that local clusters of some name have here."""
    tops = {
        folder
        for controller in ("cpu", "memory", "cpuacct", UNIFIED)
        for folder in groups(controller, Path("/")).values()
    }
    return [str(path) for top in tops for path in top.glob(f"carbonedge-{name}-*")]


def assert_no_trace(folder: Path, *names: str) -> None:
    assert marked(folder) == []
    assert [group for name in names for group in cgroups_of(name)] == []
    assert not folder.exists() or list(folder.iterdir()) == []


def no_rights() -> str | None:
    """Why no cgroups can be made here, or nothing."""
    notes: list[tuple[str, ...]] = []
    try:
        make(f"carbonedge-probe{os.getpid()}", {"a": Limits.of(NODES[0])}, noting=notes.append)
    except NoRightsError as error:
        return str(error)
    finally:
        remove(notes)
    return None


needs_cgroups = pytest.mark.skipif(no_rights() is not None, reason=f"no cgroups: {no_rights()}")
