from __future__ import annotations

import doctest
import time
from pathlib import Path

import pytest
from machines import Machine, usage

from carbonedge.carbon.energy import Counter, ModelMeter, model
from carbonedge.exceptions import MeterUnavailableError


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """8 CPUs and 8.192 GB."""
    return Machine(tmp_path)


@pytest.fixture
def container(machine: Machine) -> Machine:
    """2 of its CPUs and 2 GB, by cgroup v2."""
    machine.mount("", "/", at="/sys/fs/cgroup")
    limits = {"cpu__max": "200000 100000", "memory__max": 2_000_000_000}
    machine.write("/sys/fs/cgroup", cpu__stat=usage(1_000_000), **limits)
    return machine


def test_each_core_and_gigabyte_draws_its_mean(machine: Machine) -> None:
    meter = ModelMeter(root=machine.root)
    assert (meter.name, meter.method) == ("model", "modelled")
    cpu, memory = meter.counters
    assert cpu == Counter("cpu", "cpu", pytest.approx(8 * 0.74))
    assert memory == Counter("memory", "memory", pytest.approx(8.192 * 0.375))
    assert meter.covers == (f"this machine: 8 cores by {machine.root}/proc/stat, 8.19 GB of memory")
    meter.close()


def test_a_container_draws_for_what_it_may_use(container: Machine) -> None:
    meter = ModelMeter(root=container.root)
    assert [counter.idle_power_w for counter in meter.counters] == pytest.approx([1.48, 0.75])
    assert meter.covers.startswith("cgroup /: 2 cores by ")
    meter.close()


def test_cpu_time_adds_what_lies_between_idle_and_full(container: Machine) -> None:
    """3 s of 2 cores is full power for 1.5 s."""
    meter = ModelMeter(idle_power_w=0, full_power_w=8.0, memory_gb=0, root=container.root)
    container.write("/sys/fs/cgroup", cpu__stat=usage(4_000_000))
    assert meter.read_j() == (12.0,)
    meter.close()


def test_time_alone_adds_idle_power_and_memorys(container: Machine) -> None:
    before_s = time.monotonic()
    meter = ModelMeter(idle_power_w=6.0, full_power_w=8.0, root=container.root)
    made_s = time.monotonic()
    time.sleep(0.02)
    start_s = time.monotonic()
    cpu_j, memory_j = meter.read_j()
    end_s = time.monotonic()
    meter.close()
    assert 6.0 * (start_s - made_s) <= cpu_j <= 6.0 * (end_s - before_s)
    assert memory_j == pytest.approx(cpu_j / 6.0 * 0.75)


def test_default_powers_meet_at_the_mean_of_a_busy_core(container: Machine) -> None:
    start_s = time.monotonic()
    meter = ModelMeter(memory_gb=0, root=container.root)
    container.write("/sys/fs/cgroup", cpu__stat=usage(1_000_000 + 100_000_000))
    [cpu_j] = meter.read_j()
    meter.close()
    idle_j = 1.48 * (time.monotonic() - start_s)
    assert 100 * (3.5 - 0.74) <= cpu_j <= 100 * (3.5 - 0.74) + idle_j + 1e-9


def test_cores_that_are_given_are_those_full_power_is_of(container: Machine) -> None:
    meter = ModelMeter(idle_power_w=0, full_power_w=8.0, cores=4, memory_gb=0, root=container.root)
    container.write("/sys/fs/cgroup", cpu__stat=usage(4_000_000))
    assert meter.read_j() == (6.0,)
    assert ": 4 cores by" in meter.covers
    meter.close()


def test_memory_that_is_given_takes_the_place_of_what_is_found(tmp_path: Path) -> None:
    """Where there is no /proc, both memory and CPU time of the machine stay unknown."""
    meter = ModelMeter(memory_gb=4, root=tmp_path)
    assert meter.counters[1].idle_power_w == 1.5
    assert meter.covers.startswith("this process alone")
    meter.close()
    with pytest.raises(MeterUnavailableError, match=r"proc/meminfo.*give memory_gb"):
        ModelMeter(root=tmp_path)


def test_a_limit_above_the_machines_memory_is_none(machine: Machine) -> None:
    machine.mount("memory", "/docker/abc")
    machine.write("/sys/fs/cgroup/memory", memory__limit_in_bytes=9223372036854771712)
    limited = "/sys/fs/cgroup/memory/docker/abc"
    machine.write(limited, memory__limit_in_bytes=9223372036854771712)
    assert "8.19 GB" in ModelMeter(root=machine.root).covers
    machine.write(limited, memory__limit_in_bytes=4_000_000_000)
    assert "4 GB" in ModelMeter(root=machine.root).covers


def test_cpu_time_that_goes_is_an_error_and_no_energy_is_lost(container: Machine) -> None:
    meter = ModelMeter(idle_power_w=0, full_power_w=8.0, memory_gb=0, root=container.root)
    container.write("/sys/fs/cgroup", cpu__stat="")
    with pytest.raises(MeterUnavailableError, match=r"cpu.stat holds no CPU time"):
        meter.read_j()
    container.write("/sys/fs/cgroup", cpu__stat=usage(4_000_000))
    assert meter.read_j() == (12.0,)
    meter.close()
    meter.close()
    with pytest.raises(MeterUnavailableError, match="closed"):
        meter.read_j()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"idle_power_w": 1.0}, "give both or neither"),
        ({"full_power_w": 1.0}, "give both or neither"),
        ({"idle_power_w": 3.0, "full_power_w": 2.0}, "full_power_w is 2: it must be at least"),
        ({"idle_power_w": -1.0, "full_power_w": 2.0}, "idle_power_w is -1"),
        ({"idle_power_w": 0.0, "full_power_w": float("inf")}, "full_power_w is inf"),
        ({"cores": 0}, "cores is 0"),
        ({"memory_gb": -1}, "memory_gb is -1"),
    ],
)
def test_wrong_arguments_are_told(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModelMeter(**wrong)


def test_the_docstrings_example_holds() -> None:
    done = doctest.testmod(model)
    assert (done.failed, done.attempted) == (0, 3)


def test_this_machine_draws_something() -> None:
    meter = ModelMeter()
    first = meter.read_j()
    second = meter.read_j()
    assert len(first) == len(meter.counters) == 2
    assert all(0 < a <= b for a, b in zip(first, second, strict=True))
    meter.close()
