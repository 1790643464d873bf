"""Machines as ``/proc`` and mounted cgroups show them, in a folder."""

from __future__ import annotations

from pathlib import Path

TICKS_PER_S = 100


class Machine:
    """Has CPUs, memory and, once they are mounted, hierarchies of cgroups."""

    def __init__(self, root: Path, *, cpus: int = 8, memory_kib: int = 8_000_000) -> None:
        self.root = root
        self._cpus = cpus
        self._self = root / "proc" / "self"
        self._self.mkdir(parents=True)
        (self._self / "cgroup").write_text("")
        (self._self / "mountinfo").write_text(
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
            "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - tmpfs tmpfs rw,mode=755\n"
        )
        (root / "proc" / "meminfo").write_text(
            f"MemTotal:       {memory_kib} kB\nMemFree:          100000 kB\n"
        )
        self.spend(0)

    def spend(self, ticks: int) -> None:
        """Sets for how long all CPUs together were busy since boot, in all five ways.

        They were idle, waiting and stolen for longer; half of the busy time was a guest's.
        """
        most, some = ticks // 2, ticks // 10
        user, nice, system, hard = most, some, some, some
        soft = ticks - user - nice - system - hard
        line = f"{user} {nice} {system} 900000 70000 {hard} {soft} 50000 {most} 0"
        each = "".join(f"cpu{n} {line}\n" for n in range(self._cpus))
        (self.root / "proc" / "stat").write_text(f"cpu  {line}\n{each}intr 1234\nctxt 99\n")

    def mount(self, controllers: str, own: str, *, top: str = "/", at: str = "") -> None:
        """Mounts the hierarchy of these controllers, none for cgroup v2, with ``top`` at its top;
        this process lies in ``own``."""
        point = at or f"/sys/fs/cgroup/{controllers or 'unified'}"
        kind, options = ("cgroup", f"rw,{controllers}") if controllers else ("cgroup2", "rw")
        escaped = point.replace(" ", r"\040")
        with (self._self / "mountinfo").open("a") as file:
            file.write(f"32 31 0:29 {top} {escaped} rw,nosuid - {kind} {kind} {options}\n")
        with (self._self / "cgroup").open("a") as file:
            file.write(f"{7 if controllers else 0}:{controllers}:{own}\n")
        (self.root / point.lstrip("/")).mkdir(parents=True)

    def write(self, path: str, **files: object) -> Path:
        """Writes files of a cgroup; ``__`` in their names stands for a dot. Returns its folder."""
        folder = self.root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_text(f"{content}\n")
        return folder


def usage(microseconds: int) -> str:
    """What ``cpu.stat`` holds."""
    return f"usage_usec {microseconds}\nuser_usec {microseconds}\nsystem_usec 0\nnr_periods 5"
