from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from local_clusters import NODES, cgroups_of, needs_cgroups

from carbonedge.runtime.local_cluster import cgroups
from carbonedge.runtime.local_cluster.cgroups import NoRightsError
from carbonedge.runtime.local_cluster.limits import Limits

LIMITS = {node.name: Limits.of(node) for node in NODES}
V1 = "2:cpu:/mine\n3:memory:/its/own\n"
V2 = "0::/user.slice/session.scope\n"


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A machine with cgroups v1, and this process in one of each."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        "30 20 0:1 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
        "31 20 0:2 / /cg/memory rw - cgroup cgroup rw,memory\n"
        "32 20 0:3 / /cg/unified rw - cgroup2 cgroup2 rw\n"
    )
    (tmp_path / "proc/self/cgroup").write_text(V1 + "0::/\n")
    for folder in ("cpu/mine", "memory/its/own", "unified"):
        (tmp_path / "cg" / folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """One with cgroup v2, where the slice around this process's cgroup has controllers."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("30 20 0:1 / /cg rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "proc/self/cgroup").write_text(V2)
    scope = tmp_path / "cg/user.slice/session.scope"
    scope.mkdir(parents=True)
    subtree = scope / "cgroup.subtree_control"
    # As of a cgroup with processes in it, to which the kernel gives no controllers to hand on.
    subtree.mkdir()
    (scope.parent / "cgroup.subtree_control").write_text("memory pids\n")
    return tmp_path


def groups_in(notes: list[Sequence[str]]) -> int:
    return [what for what, *_ in notes].count("group")


def written(root: Path, notes: list[Sequence[str]]) -> dict[str, str]:
    made = cgroups.make("ce-x", LIMITS, noting=notes.append, root=root)
    return {
        str(file.relative_to(root / "cg")): file.read_text()
        for folders in made.values()
        for folder in folders
        for file in Path(folder).iterdir()
    }


def test_version_1_has_a_group_of_each_node_beneath_both_of_this_process(version_1: Path) -> None:
    notes: list[Sequence[str]] = []
    files = written(version_1, notes)
    tried = {name for name in files if name.endswith("cgroup.procs")}
    assert {name: text for name, text in files.items() if name not in tried} == {
        "cpu/mine/ce-x-0/cpu.cfs_period_us": "10000",
        "cpu/mine/ce-x-0/cpu.cfs_quota_us": "5000",
        "memory/its/own/ce-x-0/memory.limit_in_bytes": "300000000",
        "cpu/mine/ce-x-1/cpu.cfs_period_us": "10000",
        "cpu/mine/ce-x-1/cpu.cfs_quota_us": "2500",
        "memory/its/own/ce-x-1/memory.limit_in_bytes": "200000000",
    }
    # Whether one may be entered, a process that ends has tried.
    assert {Path(name).parent for name in tried} == {Path(name).parent for name in files}
    assert len(notes) == 4


@pytest.mark.parametrize("apart", [True, False])
def test_version_1_counts_each_nodes_cpu_time_too(version_1: Path, apart: bool) -> None:
    """Else nobody could tell its load."""
    mounts, memberships = (version_1 / "proc/self" / name for name in ("mountinfo", "cgroup"))
    if apart:
        mounts.write_text(
            mounts.read_text() + "33 20 0:4 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct\n"
        )
        memberships.write_text("4:cpuacct:/mine\n" + memberships.read_text())
        (version_1 / "cg/cpuacct/mine").mkdir(parents=True)
    else:
        for file in (mounts, memberships):
            file.write_text(file.read_text().replace("rw,cpu\n", "rw,cpu,cpuacct\n"))
        memberships.write_text(memberships.read_text().replace(":cpu:", ":cpu,cpuacct:"))
    made = cgroups.make("ce-x", LIMITS, noting=lambda _: None, root=version_1)
    folders = [str(Path(one).relative_to(version_1 / "cg")) for one in made[NODES[0].name]]
    counted = ["cpuacct/mine/ce-x-0"] if apart else []
    assert folders == ["cpu/mine/ce-x-0", "memory/its/own/ce-x-0", *counted]


def test_version_2_has_them_where_the_controllers_are(version_2: Path) -> None:
    notes: list[Sequence[str]] = []
    files = written(version_2, notes)
    assert {name: text for name, text in files.items() if "procs" not in name} == {
        "user.slice/ce-x-0/cpu.max": "5000 10000",
        "user.slice/ce-x-0/memory.max": "300000000",
        "user.slice/ce-x-1/cpu.max": "2500 10000",
        "user.slice/ce-x-1/memory.max": "200000000",
    }
    subtree = version_2 / "cg/user.slice/cgroup.subtree_control"
    assert subtree.read_text() == "+cpu"  # what it had not yet
    assert notes[0] == ("controllers", str(subtree.parent), "cpu")


def test_what_was_made_is_removed_however_far_it_got(version_2: Path) -> None:
    notes: list[Sequence[str]] = []

    def interrupted(what: Sequence[str]) -> None:
        notes.append(what)
        if len(notes) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cgroups.make("ce-x", LIMITS, noting=interrupted, root=version_2)
    group = version_2 / "cg/user.slice/ce-x-0"
    for file in group.iterdir():  # the kernel's go with the folder
        file.unlink()
    assert cgroups.remove(notes) == 1
    assert not group.exists()
    assert (version_2 / "cg/user.slice/cgroup.subtree_control").read_text() == "-cpu"
    assert cgroups.remove(notes) == 0


def test_controllers_stay_while_another_local_cluster_has_limits_by_them(version_2: Path) -> None:
    subtree = version_2 / "cg/user.slice/cgroup.subtree_control"
    notes: dict[str, list[Sequence[str]]] = {"one": [], "two": []}
    for name, its in notes.items():
        cgroups.make(f"{cgroups.PREFIX}{name}", LIMITS, noting=its.append, root=version_2)
        subtree.write_text("memory pids cpu\n")  # as the kernel says it
    for name, its in notes.items():
        for group in subtree.parent.glob(f"{cgroups.PREFIX}{name}-*"):
            for file in group.iterdir():  # the kernel's go with the folder
                file.unlink()
        assert cgroups.remove(its) == len(LIMITS)
        assert subtree.read_text() == "memory pids cpu\n"


def test_what_could_not_be_made_need_not_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(self: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "rmdir", read_only)
    assert cgroups.remove([("group", str(tmp_path / "ce-x-0"))]) == 0


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda root: (root / "proc/self/cgroup").unlink(), "this machine has no cgroups"),
        (
            lambda root: (root / "cg/user.slice/cgroup.subtree_control").unlink(),
            "session.scope/cgroup.subtree_control cannot be used: Is a directory",
        ),
    ],
    ids=["none", "no controllers"],
)
def test_without_what_it_takes_it_is_said_why(
    version_2: Path, spoil: Callable[[Path], None], why: str
) -> None:
    spoil(version_2)
    with pytest.raises(NoRightsError, match=why):
        cgroups.make("ce-x", LIMITS, noting=lambda what: None, root=version_2)


def test_a_group_that_cannot_be_made_is_named(version_1: Path) -> None:
    (version_1 / "cg/memory/its/own/ce-x-1").write_text("in the way")
    with pytest.raises(NoRightsError, match=r"no cgroup can be made in .*/own: File exists"):
        cgroups.make("ce-x", LIMITS, noting=lambda what: None, root=version_1)


def test_what_the_kernel_does_not_take_is_named(
    version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, text: str) -> int:
        if self.name == "cpu.cfs_quota_us":
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(self, text)

    real = Path.write_text
    monkeypatch.setattr(Path, "write_text", refused)
    said = r"cpu.cfs_quota_us cannot be written in a cgroup in .*/cpu/mine: Invalid argument"
    with pytest.raises(NoRightsError, match=said):
        cgroups.make("ce-x", LIMITS, noting=lambda what: None, root=version_1)


def test_a_group_that_may_not_be_entered_is_named(
    version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_the_way(what: Sequence[str]) -> None:
        folder = Path(what[1])
        mkdir(folder)
        mkdir(folder / "cgroup.procs")

    mkdir = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda self: None)
    said = r"no process can be moved into a cgroup in .*/cpu/mine: Is a directory"
    with pytest.raises(NoRightsError, match=said):
        cgroups.make("ce-x", LIMITS, noting=in_the_way, root=version_1)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("memory.events", "low 0\nmax 9\noom 3\noom_kill 2\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
)
def test_kills_for_want_of_memory_are_counted(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / file).write_text(text)
    assert cgroups.memory_kills([str(tmp_path / "cpu"), str(tmp_path)]) == 2
    assert cgroups.memory_kills([]) == 0


WITHIN = """
import sys
from pathlib import Path
from carbonedge.runtime.local_cluster import cgroups
from carbonedge.carbon.energy.cgroup import cpu_limit, memory_limit_bytes
cgroups.enter(sys.argv[1:])
print(cpu_limit(Path("/")).cores, memory_limit_bytes(Path("/")), flush=True)
held = []
while True:
    held.append(bytearray(10_000_000))
"""


@needs_cgroups
def test_a_process_that_enters_has_no_more_than_its_node() -> None:
    name = f"test{os.getpid()}"
    notes: list[Sequence[str]] = []
    try:
        made = cgroups.make(f"carbonedge-{name}", LIMITS, noting=notes.append)
        assert cgroups.memory_kills(made["b"]) == 0
        done = subprocess.run(
            [sys.executable, "-c", WITHIN, *made["b"]], capture_output=True, text=True, check=False
        )
        assert done.returncode == -9, done.stderr
        assert cgroups.memory_kills(made["b"]) == 1
        assert cgroups.memory_kills(made["a"]) == 0
        cores, limit = done.stdout.split()
        assert float(cores) == 0.25
        assert 0 <= 200_000_000 - int(limit) < 65536  # whole pages
    finally:
        assert cgroups.remove(notes) == groups_in(notes)
    assert cgroups_of(name) == []


@needs_cgroups
def test_a_group_in_use_is_not_forced() -> None:
    notes: list[Sequence[str]] = []
    made = cgroups.make(f"carbonedge-busy{os.getpid()}", LIMITS, noting=notes.append)
    enter = f"{cgroups.ENTER}; echo in; read -r _"
    with subprocess.Popen(
        ["sh", "-c", enter, "sh", *made["a"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        assert cgroups.pids(notes) == {process.pid}
        process.communicate(b"\n", timeout=10)
    assert cgroups.remove(notes) == groups_in(notes)
