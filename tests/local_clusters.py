"""Local clusters of tests: where they lie, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonedge import Cluster, Link, Node
from carbonedge.carbon.energy.cgroup import UNIFIED, groups
from carbonedge.runtime.local_cluster.cgroups import NoRightsError, make, remove
from carbonedge.runtime.local_cluster.down import down
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.record import RUN_FOLDER

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
    """The processes of all local clusters of a run folder: by the mark that they were started
    with or, as some of Ray's write their title over it, by the files that they have open.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            titled = (process / "cmdline").read_bytes().startswith(b"ray::")
            files = {str(one.readlink()) for one in (process / "fd").iterdir()}
            if f"={folder}/".encode() in (process / "environ").read_bytes() or (
                titled and any(name.startswith(f"{folder}/") for name in files)
            ):
                found.append(int(process.name))
    return found


def cgroups_of(name: str) -> list[str]:
    """Those that local clusters of some name have here."""
    tops = {
        folder
        for controller in ("cpu", "memory", UNIFIED)
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
