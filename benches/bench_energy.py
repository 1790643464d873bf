"""One read of a meter: RAPL beside CodeCarbon's on the same tree, and the power model.

The tree is of ordinary files: a real counter adds what the processor takes to tell it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from codecarbon.core.cpu import IntelRAPL
from codecarbon.core.units import Time
from machines import Machine, usage
from powercap import Powercap

from carbonedge.carbon.energy import ModelMeter, RaplMeter

GOAL_RAPL_US = 1.5
GOAL_TIMES_FASTER = 5.0
START_UJ = 100_000_000_000
RISE_UJ = 1_000_000_000
CALLS = 4000
ROUNDS = 9


@pytest.fixture
def tree(tmp_path: Path) -> Powercap:
    """One package."""
    made = Powercap(tmp_path)
    made.add("intel-rapl:0", "package-0", START_UJ)
    return made


def least_us(reads: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Least mean time of each in us, all taken in turn."""

    def mean_us(read: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(CALLS):
            read()
        return (time.perf_counter() - began) / CALLS * 1e6

    taken = [{name: mean_us(read) for name, read in reads.items()} for _ in range(ROUNDS)]
    return {name: min(one[name] for one in taken) for name in reads}


def bench_rapl_one_domain(
    tree: Powercap, use_backend: Callable[[str], None], record_ratio: Callable[..., None]
) -> None:
    meters = {}
    for name in ("native", "numba", "python"):
        use_backend(name)
        meters[name] = RaplMeter(tree.root)
    theirs = IntelRAPL(rapl_dir=str(tree.root / "intel-rapl"))
    [domain] = theirs._rapl_files
    second = Time.from_seconds(1)

    (tree.root / "intel-rapl:0" / "energy_uj").write_text(f"{START_UJ + RISE_UJ}\n")
    assert [meter.read_j() for meter in meters.values()] == [(RISE_UJ / 1e6,)] * 3
    details = theirs.get_cpu_details(second)
    assert details["Processor Energy Delta_0(kWh)"] * 3.6e6 == pytest.approx(RISE_UJ / 1e6, 1e-5)

    # Of CodeCarbon the domain alone, without what its tracker does around it.
    reads = {name: meter.read_j for name, meter in meters.items()}
    took_us = least_us({**reads, "codecarbon": lambda: domain.delta(second)})
    for name in ("native", "numba", "python"):
        goal = {"at_most": GOAL_RAPL_US} if name == "native" else {}
        record_ratio(f"RAPL, one domain, {name}, us", took_us[name], **goal)
    record_ratio("RAPL, one domain, CodeCarbon, us", took_us["codecarbon"])
    record_ratio(
        "RAPL, one domain, CodeCarbon / native",
        took_us["codecarbon"] / took_us["native"],
        at_least=GOAL_TIMES_FASTER,
    )


def bench_rapl_two_packages_with_memory(tmp_path: Path, record_ratio: Callable[..., None]) -> None:
    tree = Powercap(tmp_path)
    for package in range(2):
        tree.add(f"intel-rapl:{package}", f"package-{package}", START_UJ)
        tree.add(f"intel-rapl:{package}:0", "dram", START_UJ)
    meter = RaplMeter(tree.root)
    assert meter.read_j() == (0.0,) * 4
    took_us = least_us({"native": meter.read_j})["native"]
    record_ratio("RAPL, four domains, native, us", took_us)


def bench_model(tmp_path: Path, record_ratio: Callable[..., None]) -> None:
    plain = Machine(tmp_path / "machine")
    second = Machine(tmp_path / "second")
    second.mount("", "/", at="/sys/fs/cgroup")
    second.write("/sys/fs/cgroup", cpu__max="40000 100000", cpu__stat=usage(1))
    first = Machine(tmp_path / "first")
    first.mount("cpu,cpuacct", "/")
    quota = {"cpu__cfs_quota_us": 40_000, "cpu__cfs_period_us": 100_000}
    first.write("/sys/fs/cgroup/cpu,cpuacct", cpuacct__usage=1, **quota)
    meters = {
        "cgroup v1": ModelMeter(root=first.root),
        "cgroup v2": ModelMeter(root=second.root),
        "/proc/stat": ModelMeter(root=plain.root),
        "as found here": ModelMeter(),
    }
    covered = [meter.covers.partition(":")[0] for meter in meters.values()]
    assert covered[:3] == ["cgroup /", "cgroup /", "this machine"]
    took_us = least_us({name: meter.read_j for name, meter in meters.items()})
    for name, us in took_us.items():
        record_ratio(f"power model, {name}, us", us)
