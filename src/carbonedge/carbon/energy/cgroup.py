"""The cgroups that this process lies in, version 1 and 2, what they limit and what is left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = [
    "UNIFIED",
    "CpuLimit",
    "cpu_limit",
    "groups",
    "memory_free_bytes",
    "memory_limit_bytes",
]

UNIFIED = ""
"""Stands for the controller where all are in one hierarchy: cgroup v2."""


@dataclass(frozen=True, slots=True)
class CpuLimit:
    """How many cores a cgroup lets its processes use together."""

    cores: float
    group: str


def groups(controller: str, root: Path) -> dict[str, Path]:
    """Folders by cgroup, in the hierarchy of a controller.

    Parameters
    ----------
    controller
        Such as ``"cpuacct"``, for its hierarchy of version 1, or `UNIFIED`.
    root
        What ``/proc`` and the mount points lie in: ``/`` but in tests.

    Returns
    -------
    dict
        The cgroup that this process is in, then each that this one lies in, as far out as the
        mount shows. Empty where there is no such hierarchy.
    """
    own = next(_memberships(controller, root), None)
    mounts = list(_mounts(controller, root))
    if own is None or not mounts:
        return {}
    for top, folder in mounts:
        if own.is_relative_to(top):
            inside = own.relative_to(top)
            found = [inside, *inside.parents] if inside.parts else [inside]
            return {str(top / part): folder / part for part in found}
    # A container that sees its own cgroup mounted, but under the name that the host gives it.
    return {str(own): mounts[0][1]}


def cpu_limit(root: Path) -> CpuLimit | None:
    """The tightest limit, by quota or by set of CPUs, and the outermost cgroup that sets it."""
    limits = [
        CpuLimit(cores, group)
        for controller, cores_of in (("cpu", _quota_cores), ("cpuset", _cpuset_cores))
        for group, folder in (groups(controller, root) or groups(UNIFIED, root)).items()
        if (cores := cores_of(folder)) is not None
    ]
    return min(limits, key=lambda limit: (limit.cores, len(limit.group)), default=None)


def memory_limit_bytes(root: Path) -> int | None:
    """The tightest limit of memory."""
    return min((limit for limit, _ in _memory_limits(root)), default=None)


def memory_free_bytes(root: Path) -> int | None:
    """The least that any limit of memory leaves. Files that are cached are no use of it: the
    kernel drops them before it refuses memory.

    Raises
    ------
    OSError, ValueError
        If a cgroup with a limit does not tell its use.
    """
    return min(
        (max(0, limit - _memory_used(folder)) for limit, folder in _memory_limits(root)),
        default=None,
    )


def _memberships(controller: str, root: Path) -> Iterator[PurePosixPath]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            yield PurePosixPath(path)


def _mounts(controller: str, root: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """The cgroup that each mount shows at its top, and where."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        # See proc_pid_mountinfo(5): optional fields come between, and end at a dash.
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if (
            kind == "cgroup2"
            if controller == UNIFIED
            else kind == "cgroup" and controller in options.split(",")
        ):
            top, point = map(_unescaped, fields.split(" ")[3:5])
            yield PurePosixPath(top), root / point.lstrip("/")


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def _quota_cores(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us")
        period = _text(folder / "cpu.cfs_period_us")
    return None if quota in ("", "max", "-1") else int(quota) / int(period)


def _cpuset_cores(folder: Path) -> float | None:
    ranges = _text(folder / "cpuset.cpus.effective") or _text(folder / "cpuset.cpus")
    if not ranges:
        return None
    bounds = [part.partition("-") for part in ranges.split(",")]
    return float(sum(int(last or first) - int(first) + 1 for first, _, last in bounds))


def _memory_limits(root: Path) -> Iterator[tuple[int, Path]]:
    """Each, with the folder of the cgroup that sets it."""
    for folder in (groups("memory", root) or groups(UNIFIED, root)).values():
        limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
        if limit not in ("", "max"):
            yield int(limit), folder


def _memory_used(folder: Path) -> int:
    # In version 1 only the sums called total_ have what lies further in, as the use has.
    use, total = folder / "memory.current", ""
    if not use.exists():
        use, total = folder / "memory.usage_in_bytes", "total_"
    cached = re.findall(
        rf"^{total}(?:in)?active_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE
    )
    return max(0, int(use.read_text()) - sum(map(int, cached)))


def _text(path: Path) -> str:
    """What a file holds; nothing where it is not there, as many are not in a top cgroup."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
