"""The cgroups of nodes: made, entered, asked for kills, and removed. Version 1 and 2."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from carbonedge.carbon.energy.cgroup import UNIFIED, groups
from carbonedge.runtime.local_cluster.limits import Limits

__all__ = ["PREFIX", "NoRightsError", "enter", "make", "memory_kills", "pids", "remove"]

PREFIX = "carbonedge-"
"""Of the cgroups of all local clusters."""
CPU, MEMORY = "cpu", "memory"
COUNTING = "cpuacct"
"""In version 1 it may be a hierarchy of its own, and without a group there nobody could tell a node's
load."""
PROCESSES = "cgroup.procs"
SUBTREE = "cgroup.subtree_control"
PAUSE_S = 0.02
REMOVED_WITHIN_S = 5.0
"""Processes that were killed lie in their cgroups a little longer."""
ENTER = 'for group; do echo 0 > "$group/cgroup.procs" || { echo "$group"; exit 1; }; done'
"""0 is whoever writes it. It ends with the one that it may not enter."""


class NoRightsError(Exception):
    """No limits can be set here; the message says why."""


def make(
    name: str,
    limits: Mapping[str, Limits],
    *,
    noting: Callable[[Sequence[str]], None],
    root: str | os.PathLike[str] = "/",
) -> dict[str, tuple[str, ...]]:
    """Make the cgroups of nodes, beneath the one that this process is in.

    Cgroup v2 has controllers for the groups beneath one only while no process is in that: they
    are then made beneath the nearest that lies further out and can have them.

    Parameters
    ----------
    name
        What they are called, with a number.
    limits
        By node.
    noting
        Told what is about to be done, for `remove` to undo it whatever happens.
    root
        What ``/proc`` and the mount points lie in: another than ``/`` in tests.

    Returns
    -------
    dict
        The folders of the cgroups of each node, for `enter`.

    Raises
    ------
    NoRightsError
        If they cannot be made or entered.
    """
    root = Path(root)
    found: dict[str, list[str]] = {node: [] for node in limits}
    unified = [one for one in (CPU, MEMORY) if not groups(one, root)]
    try:
        for controller in (one for one in _controllers(root) if one not in unified):
            # The first is the one that this process is in.
            outer = next(iter(groups(controller, root).values()))
            for number, (node, its) in enumerate(limits.items()):
                folder = _new(outer / f"{name}-{number}", noting)
                _WRITERS[controller](folder, its)
                found[node].append(str(folder))
        if unified:
            outer = _with_controllers(unified, root, noting)
            for number, (node, its) in enumerate(limits.items()):
                folder = _new(outer / f"{name}-{number}", noting)
                for controller in unified:
                    _UNIFIED_WRITERS[controller](folder, its)
                found[node].append(str(folder))
        for folders in found.values():
            _try(folders)
    except OSError as error:
        raise NoRightsError(f"{_refused(str(error.filename), name)}: {error.strerror}") from error
    return {node: tuple(folders) for node, folders in found.items()}


def enter(folders: Iterable[str]) -> None:
    """Move this process, with all its threads, into cgroups of `make`."""
    for folder in folders:
        _write(Path(folder, PROCESSES), "0")


def memory_kills(folders: Iterable[str]) -> int:
    """How often the kernel has killed a process for more memory than the limit."""
    for folder in folders:
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                found = re.search(r"^oom_kill (\d+)$", Path(folder, name).read_text(), re.MULTILINE)
                if found:
                    return int(found[1])
    return 0


def pids(noted: Iterable[Sequence[str]]) -> set[int]:
    """The processes in the cgroups of which `make` gave note."""
    found: set[int] = set()
    for what, folder, *_ in noted:
        if what == "group":
            with contextlib.suppress(OSError):
                found.update(map(int, Path(folder, PROCESSES).read_text().split()))
    return found


def remove(noted: Sequence[Sequence[str]]) -> int:
    """Undo what `make` gave note of, once no process is in it any more; how many there were.

    Raises
    ------
    OSError
        If one is still in use, or may not be removed.
    """
    until_s = time.monotonic() + REMOVED_WITHIN_S
    removed = 0
    for what, folder, *controllers in reversed(noted):
        if what == "group":
            removed += _removed(Path(folder), until_s)
        elif Path(folder, SUBTREE).exists() and not any(Path(folder).glob(f"{PREFIX}*")):
            # Else another local cluster would lose its limits.
            _write(Path(folder, SUBTREE), " ".join(f"-{one}" for one in controllers))
    return removed


def _removed(folder: Path, until_s: float) -> bool:
    # Of one that could not be made, a read-only hierarchy would say that it cannot be removed.
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(PAUSE_S)
        else:
            return True
    return False


def _with_controllers(
    controllers: Sequence[str], root: Path, noting: Callable[[Sequence[str]], None]
) -> Path:
    """The innermost cgroup v2 around this process that has, or can be given, controllers for
    what is beneath it.
    """
    refusals: list[OSError] = []
    for folder in groups(UNIFIED, root).values():
        subtree = folder / SUBTREE
        try:
            missing = [one for one in controllers if one not in subtree.read_text().split()]
            if missing:
                _write(subtree, " ".join(f"+{one}" for one in missing))
                noting(("controllers", str(folder), *missing))
        except OSError as error:
            refusals.append(error)
        else:
            return folder
    if not refusals:
        raise NoRightsError("this machine has no cgroups")
    raise refusals[0]


def _controllers(root: Path) -> tuple[str, ...]:
    """Those that limit, and the one that counts where it is apart from that of CPU time."""
    counting, limiting = groups(COUNTING, root), groups(CPU, root)
    if not counting or set(counting.values()) == set(limiting.values()):
        return (CPU, MEMORY)
    return (CPU, MEMORY, COUNTING)


def _new(folder: Path, noting: Callable[[Sequence[str]], None]) -> Path:
    noting(("group", str(folder)))
    folder.mkdir()
    return folder


def _limit_cpu(folder: Path, limits: Limits) -> None:
    _write(folder / "cpu.cfs_period_us", str(limits.period_us))
    _write(folder / "cpu.cfs_quota_us", str(limits.quota_us))


def _limit_memory(folder: Path, limits: Limits) -> None:
    _write(folder / "memory.limit_in_bytes", str(limits.memory_bytes))
    # Where it is counted, what is swapped out counts too: nodes do not get slow, but full.
    if (folder / "memory.memsw.limit_in_bytes").exists():
        _write(folder / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))


def _limit_cpu_unified(folder: Path, limits: Limits) -> None:
    _write(folder / "cpu.max", f"{limits.quota_us} {limits.period_us}")


def _limit_memory_unified(folder: Path, limits: Limits) -> None:
    _write(folder / "memory.max", str(limits.memory_bytes))
    if (folder / "memory.swap.max").exists():
        _write(folder / "memory.swap.max", "0")


def _limit_nothing(folder: Path, limits: Limits) -> None:
    """It only counts."""


_WRITERS = {CPU: _limit_cpu, MEMORY: _limit_memory, COUNTING: _limit_nothing}
_UNIFIED_WRITERS = {CPU: _limit_cpu_unified, MEMORY: _limit_memory_unified}


def _write(path: Path, text: str) -> None:
    """The kernel says only on closing what it does not take."""
    try:
        path.write_text(text)
    except OSError as error:
        error.filename = str(path)
        raise


def _refused(path: str, name: str) -> str:
    """What could not be done, in words that are the same each time: they stand in ledgers."""
    outer, made, inside = path.partition(f"/{name}-")
    _, _, file = inside.partition("/")
    if file:
        return f"{file} cannot be written in a cgroup in {outer}"
    return f"no cgroup can be made in {outer}" if made else f"{outer} cannot be used"


def _try(folders: Sequence[str]) -> None:
    """See that a process may enter: who may make a cgroup need not be allowed to."""
    done = subprocess.run(
        ["sh", "-c", ENTER, "sh", *folders], capture_output=True, text=True, check=False
    )
    if done.returncode:
        outer = Path(done.stdout.strip()).parent
        why = done.stderr.strip().rpartition(": ")[2]
        raise NoRightsError(f"no process can be moved into a cgroup in {outer}: {why}")
