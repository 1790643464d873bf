from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from backends import using
from machines import TICKS_PER_S, Machine, usage

from carbonedge._backend import NAMES
from carbonedge.carbon.energy.cpu_time import CpuTime, find_cpu_time


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def facts(found: CpuTime, root: Path) -> tuple[str, str, float]:
    found.close()
    return found.covers, "/" + found.source.removeprefix(f"{root}/"), found.cores


def test_without_cgroups_it_is_the_machines(machine: Machine) -> None:
    machine.spend(500)
    found = find_cpu_time(machine.root)
    assert found.seconds() == 0.0
    machine.spend(501)
    assert found.seconds() == 1 / os.sysconf("SC_CLK_TCK")
    assert facts(found, machine.root) == ("this machine", "/proc/stat", 8.0)


def test_a_container_of_version_2_sees_itself_at_the_top(machine: Machine) -> None:
    machine.mount("", "/", at="/sys/fs/cgroup")
    machine.write("/sys/fs/cgroup", cpu__max="40000 100000", cpu__stat=usage(7_000_000))
    found = find_cpu_time(machine.root)
    machine.write("/sys/fs/cgroup", cpu__stat=usage(7_000_250))
    assert found.seconds() == 0.00025
    assert facts(found, machine.root) == ("cgroup /", "/sys/fs/cgroup/cpu.stat", 0.4)


def test_the_outermost_of_the_tightest_limits_counts(machine: Machine) -> None:
    """Siblings within it use the same quota."""
    machine.mount("", "/pod.slice/app.slice/main/worker", at="/sys/fs/cgroup")
    for path, limit in (
        ("", "max 100000"),
        ("/pod.slice", "400000 100000"),
        ("/pod.slice/app.slice", "150000 100000"),
        ("/pod.slice/app.slice/main", "75000 50000"),
        ("/pod.slice/app.slice/main/worker", "max 100000"),
    ):
        machine.write(f"/sys/fs/cgroup{path}", cpu__max=limit, cpu__stat=usage(0))
    expected = ("cgroup /pod.slice/app.slice", "/sys/fs/cgroup/pod.slice/app.slice/cpu.stat", 1.5)
    assert facts(find_cpu_time(machine.root), machine.root) == expected


@pytest.mark.parametrize("backend", NAMES)
def test_a_container_of_version_1_that_the_host_names(machine: Machine, backend: str) -> None:
    point = "/sys/fs/cgroup/cpu,cpuacct"
    machine.mount("cpu,cpuacct", "/docker/abc", top="/docker/abc")
    files = {"cpu__cfs_quota_us": 200_000, "cpu__cfs_period_us": 100_000}
    machine.write(point, cpuacct__usage=5_000_000_000, **files)
    with using(backend):
        found = find_cpu_time(machine.root)
    machine.write(point, cpuacct__usage=5_000_000_007)
    assert found.seconds() == 7e-9
    assert facts(found, machine.root) == ("cgroup /docker/abc", f"{point}/cpuacct.usage", 2.0)


def test_a_mount_that_shows_another_name_is_taken_for_its_own(machine: Machine) -> None:
    machine.mount("cpu,cpuacct", "/docker/abc", top="/lxc/xyz")
    files = {"cpu__cfs_quota_us": 200_000, "cpu__cfs_period_us": 100_000}
    machine.write("/sys/fs/cgroup/cpu,cpuacct", cpuacct__usage=5, **files)
    assert find_cpu_time(machine.root).covers == "cgroup /docker/abc"


def test_the_top_of_version_1_counts_the_machine_in_nanoseconds(machine: Machine) -> None:
    machine.mount("cpu,cpuacct", "/system.slice/app")
    top = "/sys/fs/cgroup/cpu,cpuacct"
    machine.write(top, cpuacct__usage=100, release_agent="", cpu__cfs_quota_us=-1)
    machine.write(f"{top}/system.slice/app", cpuacct__usage=7, cpu__cfs_quota_us=-1)
    expected = ("this machine", f"{top}/cpuacct.usage", 8.0)
    assert facts(find_cpu_time(machine.root), machine.root) == expected


def test_a_container_without_a_limit_counts_the_machine(machine: Machine) -> None:
    """Its own account would leave out what others do with cores that it may use."""
    machine.mount("cpu,cpuacct", "/")
    machine.write("/sys/fs/cgroup/cpu,cpuacct", cpuacct__usage=100, cpu__cfs_quota_us=-1)
    assert find_cpu_time(machine.root).source.endswith("/proc/stat")


@pytest.mark.parametrize("limit", ["max 100000", "800000 100000", "6400000 100000"])
def test_a_quota_of_the_whole_machine_is_none(machine: Machine, limit: str) -> None:
    machine.mount("", "/app", at="/sys/fs/cgroup")
    machine.write("/sys/fs/cgroup/app", cpu__max=limit, cpu__stat=usage(0))
    assert facts(find_cpu_time(machine.root), machine.root)[::2] == ("this machine", 8.0)


@pytest.mark.parametrize(("cpus", "cores"), [("0", 1.0), ("1,4-6", 4.0), ("0-1,3", 3.0)])
def test_a_set_of_cpus_is_a_limit_in_version_2(machine: Machine, cpus: str, cores: float) -> None:
    machine.mount("", "/app", at="/sys/fs/cgroup")
    machine.write("/sys/fs/cgroup", cpuset__cpus__effective="0-7")
    machine.write(
        "/sys/fs/cgroup/app",
        cpuset__cpus__effective=cpus,
        cpu__max="max 100000",
        cpu__stat=usage(0),
    )
    assert facts(find_cpu_time(machine.root), machine.root)[::2] == ("cgroup /app", cores)


def test_a_set_of_cpus_is_a_limit_in_version_1(machine: Machine) -> None:
    for controllers in ("cpuset", "cpu,cpuacct"):
        machine.mount(controllers, "/docker/abc")
    machine.write("/sys/fs/cgroup/cpuset", cpuset__cpus="0-7")
    machine.write("/sys/fs/cgroup/cpuset/docker/abc", cpuset__cpus="2-3")
    machine.write("/sys/fs/cgroup/cpu,cpuacct/docker/abc", cpuacct__usage=1)
    assert facts(find_cpu_time(machine.root), machine.root)[::2] == ("cgroup /docker/abc", 2.0)


def hybrid(machine: Machine, unified: str) -> None:
    """Each controller mounted by itself, and the hierarchy of version 2 without any."""
    machine.mount("cpu", "/limited")
    machine.mount("cpuacct", "/")
    machine.mount("", unified)
    files = {"cpu__cfs_quota_us": 40_000, "cpu__cfs_period_us": 100_000}
    machine.write("/sys/fs/cgroup/cpu/limited", **files)
    machine.write("/sys/fs/cgroup/cpuacct", cpuacct__usage=1, release_agent="")
    machine.write(f"/sys/fs/cgroup/unified{unified.rstrip('/')}", cpu__stat=usage(1))


def test_a_limit_without_an_account_leaves_the_process_itself(machine: Machine) -> None:
    hybrid(machine, "/")
    found = find_cpu_time(machine.root)
    start_s = time.process_time()
    while time.process_time() < start_s + 0.02:
        pass
    assert 0.02 <= found.seconds() < 10
    assert facts(found, machine.root)[::2] == ("this process alone", 0.4)


def test_a_limit_of_version_1_may_have_its_account_in_version_2(machine: Machine) -> None:
    hybrid(machine, "/limited")
    expected = ("cgroup /limited", "/sys/fs/cgroup/unified/limited/cpu.stat", 0.4)
    assert facts(find_cpu_time(machine.root), machine.root) == expected


def test_a_mount_point_may_have_spaces(machine: Machine) -> None:
    machine.mount("", "/app", at="/mnt/my cgroups")
    machine.write("/mnt/my cgroups/app", cpu__max="100000 100000", cpu__stat=usage(0))
    assert find_cpu_time(machine.root).source.endswith("/mnt/my cgroups/app/cpu.stat")


def test_a_system_without_proc_leaves_the_process_itself(tmp_path: Path) -> None:
    expected = ("this process alone", float(os.cpu_count() or 1))
    assert facts(find_cpu_time(tmp_path), tmp_path)[::2] == expected


def test_it_never_falls(machine: Machine) -> None:
    machine.spend(500)
    found = find_cpu_time(machine.root)
    for ticks, seconds in ((600, 1.0), (590, 1.0), (610, 1.1)):
        machine.spend(ticks)
        assert found.seconds() == pytest.approx(seconds * TICKS_PER_S / os.sysconf("SC_CLK_TCK"))


def test_it_never_falls_whoever_reads() -> None:
    found = find_cpu_time()
    over = threading.Event()
    fell: list[float] = []

    def watch() -> None:
        last_s = 0.0
        while not over.is_set():
            now_s = found.seconds()
            if now_s < last_s:
                fell.append(now_s)
            last_s = now_s

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join()
    found.close()
    assert not fell


def test_garbage_is_named(machine: Machine) -> None:
    found = find_cpu_time(machine.root)
    (machine.root / "proc" / "stat").write_text("cpu0 1 2 3\n")
    with pytest.raises(ValueError, match="proc/stat holds no CPU time"):
        found.seconds()
    with pytest.raises(ValueError, match="proc/stat holds no CPU time"):
        find_cpu_time(machine.root)
    machine.spend(100)
    assert found.seconds() == 100 / os.sysconf("SC_CLK_TCK")


def test_a_file_is_kept_open_until_close(machine: Machine) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    found = find_cpu_time(machine.root)
    for _ in range(10):
        found.seconds()
    assert len(list(open_files.iterdir())) == before + 1
    found.close()
    found.close()
    assert len(list(open_files.iterdir())) == before
    with pytest.raises(ValueError, match="closed"):
        found.seconds()
    left_open = find_cpu_time(machine.root)
    del left_open
    assert len(list(open_files.iterdir())) == before


def test_on_this_machine_work_shows() -> None:
    found = find_cpu_time()
    start_s = time.process_time()
    while time.process_time() < start_s + 0.3:
        pass
    assert found.seconds() >= 0.2  # in ticks, each CPU's last may still be missing
    assert found.cores > 0
    found.close()
