from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from machines import Machine, usage

from carbonedge import CarbonEdgeError
from carbonedge.carbon.energy.cpu_time import find_cpu_time
from carbonedge.runtime.load import LoadGauge

CACHED = "anon 9000000\ninactive_file 20000000\nactive_file 10000000\nfile_mapped 1\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class Seconds:
    """A clock that is set by hand."""

    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def container(machine: Machine, **files: object) -> str:
    """One of version 2 that may use half a core."""
    machine.mount("", "/pod/main", at="/sys/fs/cgroup")
    limits = {"cpu__max": "50000 100000", "cpu__stat": usage(7_000_000)}
    machine.write("/sys/fs/cgroup/pod/main", **limits, **files)
    return "/sys/fs/cgroup/pod/main"


def reading(machine: Machine) -> tuple[LoadGauge, Seconds, Callable[[], float]]:
    clock = Seconds()
    gauge = LoadGauge(machine.root, clock=clock)
    return gauge, clock, lambda: gauge.read().load


def test_load_is_the_share_of_all_cores_since_the_last_reading(machine: Machine) -> None:
    machine.spend(1000)
    gauge, clock, load = reading(machine)
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    # Eight CPUs could have spent 8 s in one.
    machine.spend(1000 + round(4.0 / tick_s))
    clock.now_s += 1.0
    assert load() == pytest.approx(0.5)
    machine.spend(1000 + round(6.0 / tick_s))
    clock.now_s += 2.0
    assert load() == pytest.approx(0.125)
    clock.now_s += 1.0
    assert load() == 0.0
    gauge.close()


@pytest.mark.parametrize(("used_us", "load"), [(0, 0.0), (125_000, 0.25), (500_000, 1.0)])
def test_in_a_container_of_version_2_it_is_the_share_of_the_quota(
    machine: Machine, used_us: int, load: float
) -> None:
    group = container(machine)
    gauge, clock, read = reading(machine)
    machine.spend(800)  # others are busy on cores that are not for this container
    machine.write(group, cpu__stat=usage(7_000_000 + used_us))
    clock.now_s += 1.0
    assert read() == load
    gauge.close()


def test_in_a_container_of_version_1_it_is_the_share_of_the_quota(machine: Machine) -> None:
    point = "/sys/fs/cgroup/cpu,cpuacct"
    machine.mount("cpu,cpuacct", "/docker/abc", top="/docker/abc")
    files = {"cpu__cfs_quota_us": 200_000, "cpu__cfs_period_us": 100_000}
    machine.write(point, cpuacct__usage=5_000_000_000, **files)
    gauge, clock, load = reading(machine)
    machine.write(point, cpuacct__usage=6_500_000_000)
    clock.now_s += 1.0
    assert load() == 0.75
    gauge.close()


def test_a_burst_above_the_quota_is_a_load_of_one(machine: Machine) -> None:
    group = container(machine)
    gauge, clock, load = reading(machine)
    machine.write(group, cpu__stat=usage(7_900_000))
    clock.now_s += 1.0
    assert load() == 1.0
    gauge.close()


def test_two_readings_at_one_moment_tell_the_same_and_lose_nothing(machine: Machine) -> None:
    group = container(machine)
    gauge, clock, load = reading(machine)
    machine.write(group, cpu__stat=usage(7_100_000))
    assert load() == 0.0
    clock.now_s += 1.0
    assert load() == load() == pytest.approx(0.2)
    gauge.close()


def memory_free_mb(machine: Machine) -> float:
    gauge = LoadGauge(machine.root)
    free_mb = gauge.read().memory_free_mb
    gauge.close()
    return free_mb


def test_memory_of_version_2_is_limit_less_use_without_what_is_cached(machine: Machine) -> None:
    files = {"memory__max": 100_000_000, "memory__current": 55_000_000, "memory__stat": CACHED}
    container(machine, **files)
    assert memory_free_mb(machine) == 75.0


def test_memory_of_version_1_has_that_of_the_groups_within(machine: Machine) -> None:
    machine.mount("memory", "/docker/abc", top="/docker/abc")
    machine.write(
        "/sys/fs/cgroup/memory",
        memory__limit_in_bytes=100_000_000,
        memory__usage_in_bytes=55_000_000,
        memory__stat="inactive_file 7\nactive_file 8\n"
        "hierarchical_memory_limit 100000000\n"
        "total_inactive_file 20000000\ntotal_active_file 10000000\n",
    )
    assert memory_free_mb(machine) == 75.0


def test_a_group_further_out_may_leave_less_than_the_own(machine: Machine) -> None:
    files = {"memory__max": 100_000_000, "memory__current": 40_000_000, "memory__stat": ""}
    container(machine, **files)
    files = {"memory__max": 150_000_000, "memory__current": 140_000_000, "memory__stat": ""}
    machine.write("/sys/fs/cgroup/pod", **files)
    assert memory_free_mb(machine) == 10.0


@pytest.mark.parametrize("limit", ["max", 10**16])
def test_memory_is_never_more_than_the_machines(machine: Machine, limit: object) -> None:
    container(machine, memory__max=limit, memory__current=1, memory__stat="")
    assert 0 < memory_free_mb(machine) <= psutil.virtual_memory().total / 1e6


def test_a_limit_that_was_lowered_below_the_use_leaves_nothing(machine: Machine) -> None:
    files = {"memory__max": 100_000_000, "memory__current": 140_000_000, "memory__stat": CACHED}
    container(machine, **files)
    assert memory_free_mb(machine) == 0.0


def test_a_limit_whose_use_is_not_told_is_an_error(machine: Machine) -> None:
    container(machine, memory__max=100_000_000, memory__stat="")
    with pytest.raises(OSError, match=r"memory\.usage_in_bytes"):
        memory_free_mb(machine)


@pytest.mark.parametrize("told", [True, False], ids=["/proc", "psutil"])
def test_on_this_machine_work_shows(tmp_path: Path, told: bool) -> None:
    root = "/" if told else tmp_path
    cores = find_cpu_time(root).cores
    start_s = time.monotonic()
    gauge = LoadGauge(root)
    used_s = time.process_time()
    while time.process_time() < used_s + 0.3:
        pass
    load, free_mb = gauge.read()
    could_s = (time.monotonic() - start_s) * cores
    assert min(1.0, 0.2 / could_s) <= load <= 1.0  # in ticks, each CPU's last may be missing
    assert 0 < free_mb <= psutil.virtual_memory().total / 1e6
    gauge.close()


def test_files_are_let_go(machine: Machine) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    gauge = LoadGauge(machine.root)
    for _ in range(10):
        gauge.read()
    assert len(list(open_files.iterdir())) == before + 1
    gauge.close()
    gauge.close()
    assert len(list(open_files.iterdir())) == before


def test_without_psutil_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(CarbonEdgeError, match=r'pip install "carbonedge\[ray\]"'):
        LoadGauge()
