from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backends import using
from hypothesis import given
from hypothesis import strategies as st
from powercap import LAYOUTS, RANGE_UJ, Powercap

from carbonedge._backend import NAMES
from carbonedge.carbon.energy import Counter, RaplMeter
from carbonedge.exceptions import MeterUnavailableError


@pytest.fixture(params=LAYOUTS)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Powercap:
    return Powercap(tmp_path, request.param)


@pytest.fixture
def one(tmp_path: Path) -> Powercap:
    made = Powercap(tmp_path)
    made.add("intel-rapl:0", "package-0", 5_000_000)
    return made


def energy(tree: Powercap, zone: str) -> Path:
    return tree.root / zone / "energy_uj"


def names(meter: RaplMeter) -> list[str]:
    found = [counter.name for counter in meter.counters]
    meter.close()
    return found


def test_what_lies_inside_a_package_is_not_counted_beside_it(tree: Powercap) -> None:
    package = tree.add("intel-rapl:0", "package-0", 10_000_000)
    tree.add("intel-rapl:0:0", "core", 1_000_000)
    tree.add("intel-rapl:0:1", "uncore", 1_000_000)
    memory = tree.add("intel-rapl:0:2", "dram", 1_000_000)
    tree.add("intel-rapl:1", "psys", 1_000_000)
    meter = RaplMeter(tree.root)
    assert (meter.name, meter.method) == ("rapl", "measured")
    assert meter.counters == (Counter("package-0", "cpu"), Counter("package-0-dram", "memory"))
    assert meter.read_j() == (0.0, 0.0)
    package.write_text("12500000\n")
    memory.write_text("1250000\n")
    assert meter.read_j() == (2.5, 0.25)
    meter.close()


def test_memory_is_left_out_where_it_is_not_asked_for(tree: Powercap) -> None:
    tree.add("intel-rapl:0", "package-0")
    tree.add("intel-rapl:0:0", "dram")
    assert names(RaplMeter(tree.root, dram=False)) == ["package-0"]


def test_a_package_that_two_interfaces_show_is_counted_once_by_registers(tree: Powercap) -> None:
    registers = tree.add("intel-rapl:0", "package-0")
    mapped = tree.add("intel-rapl-mmio:0", "package-0")
    tree.add("intel-rapl:0:0", "dram")
    tree.add("intel-rapl-mmio:0:0", "dram")
    meter = RaplMeter(tree.root)
    registers.write_text("3000000")
    mapped.write_text("4000000")
    assert [counter.name for counter in meter.counters] == ["package-0", "package-0-dram"]
    assert meter.read_j() == (3.0, 0.0)
    meter.close()


def test_mapped_memory_serves_where_it_is_all_there_is(tree: Powercap) -> None:
    tree.add("intel-rapl-mmio:0", "package-0")
    tree.add("intel-rapl-mmio:0:0", "dram")
    assert names(RaplMeter(tree.root)) == ["package-0", "package-0-dram"]


def test_packages_come_in_natural_order_each_with_its_memory(tree: Powercap) -> None:
    for number in (10, 2, 0, 1):
        tree.add(f"intel-rapl:{number}", f"package-{number}")
        tree.add(f"intel-rapl:{number}:0", "dram")
    expected = [f"package-{n}{part}" for n in (0, 1, 2, 10) for part in ("", "-dram")]
    assert names(RaplMeter(tree.root)) == expected


def test_dies_that_count_apart_are_packages_of_their_own(one: Powercap) -> None:
    one.add("intel-rapl:1", "package-1-die-0", 50_000_000)
    one.add("intel-rapl:2", "package-1-die-1", 90_000_000)
    one.add("intel-rapl:2:0", "dram")
    expected = ["package-0", "package-1-die-0", "package-1-die-1", "package-1-die-1-dram"]
    assert names(RaplMeter(one.root)) == expected


def test_dies_that_show_one_counter_are_counted_once(
    one: Powercap, caplog: pytest.LogCaptureFixture
) -> None:
    for zone, name, count_uj in (
        ("intel-rapl:1", "package-1-die-0", 68_000_000),
        ("intel-rapl:2", "package-1-die-1", 68_000_900),
        ("intel-rapl:3", "package-2-die-0", 68_000_000),
    ):
        one.add(zone, name, count_uj)
    with caplog.at_level(logging.INFO):
        assert names(RaplMeter(one.root)) == ["package-0", "package-1-die-0", "package-2-die-0"]
    assert "package-1-die-1 shows the counter of another die" in caplog.text


def test_dies_that_never_counted_are_not_taken_for_one(one: Powercap) -> None:
    one.add("intel-rapl:1", "package-1-die-0", 0)
    one.add("intel-rapl:2", "package-1-die-1", 0)
    assert names(RaplMeter(one.root)) == ["package-0", "package-1-die-0", "package-1-die-1"]


@pytest.mark.parametrize("psys", ["only", "prefer"])
def test_the_platform_stands_alone(one: Powercap, psys: str) -> None:
    one.add("intel-rapl:0:0", "dram")
    platform = one.add("intel-rapl:1", "psys")
    meter = RaplMeter(one.root, psys=psys, idle_power_w=9.0)
    assert meter.counters == (Counter("psys", "machine", 9.0),)
    platform.write_text("7000000")
    assert meter.read_j() == (7.0,)
    meter.close()


def test_packages_serve_where_the_platform_is_preferred_and_not_there(one: Powercap) -> None:
    assert names(RaplMeter(one.root, psys="prefer")) == ["package-0"]


def test_the_platform_alone_is_an_error_where_it_is_not_there(one: Powercap) -> None:
    with pytest.raises(MeterUnavailableError, match=r'no psys zone.*psys="prefer"'):
        RaplMeter(one.root, psys="only")


def test_a_platform_without_packages_has_to_be_asked_for(tmp_path: Path) -> None:
    tree = Powercap(tmp_path)
    tree.add("intel-rapl:0", "psys")
    with pytest.raises(MeterUnavailableError, match=r'only psys.*psys="prefer"'):
        RaplMeter(tree.root)
    assert names(RaplMeter(tree.root, psys="prefer")) == ["psys"]


def test_idle_power_is_split_over_the_packages(one: Powercap) -> None:
    one.add("intel-rapl:0:0", "dram")
    one.add("intel-rapl:1", "package-1")
    meter = RaplMeter(one.root, idle_power_w=30.0)
    assert [counter.idle_power_w for counter in meter.counters] == [15.0, 0.0, 15.0]
    meter.close()


@given(
    st.lists(st.lists(st.integers(0, RANGE_UJ - 1), min_size=2, max_size=2), min_size=1),
    st.sampled_from(NAMES),
)
def test_wraps_lose_nothing(steps: list[list[int]], backend: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Powercap(Path(folder))
        files = [tree.add(f"intel-rapl:{n}", f"package-{n}", 77 + n) for n in range(2)]
        with using(backend):
            meter = RaplMeter(tree.root)
        truth_uj = [0, 0]
        for step in steps:
            for n, file in enumerate(files):
                truth_uj[n] += step[n]
                file.write_text(f"{(truth_uj[n] + 77 + n) % RANGE_UJ}\n")
            assert meter.read_j() == tuple(risen / 1e6 for risen in truth_uj)
        meter.close()


def test_each_counter_wraps_at_its_own_range(tmp_path: Path) -> None:
    tree = Powercap(tmp_path)
    files = [tree.add(f"intel-rapl:{n}", f"package-{n}", 900, range_uj=1000 * n) for n in (1, 2)]
    meter = RaplMeter(tree.root)
    for file in files:
        file.write_text("100")
    assert meter.read_j() == (200e-6, 1200e-6)
    meter.close()


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that all may see, and the rights of a user who is not root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        os.seteuid(os.getuid())


@pytest.mark.parametrize("backend", NAMES)
def test_what_only_root_may_read_names_the_file_and_a_rule_that_helps(
    as_nobody: Path, backend: str
) -> None:
    tree = Powercap(as_nobody)
    file = tree.add("intel-rapl:0", "package-0")
    file.chmod(0o000)
    if os.geteuid() == 0:
        os.seteuid(65534)
    with using(backend), pytest.raises(MeterUnavailableError) as raised:
        RaplMeter(tree.root)
    said = str(raised.value)
    assert f"{energy(tree, 'intel-rapl:0')} cannot be read: Permission denied" in said
    for helps in ("CVE-2020-8694", "/etc/udev/rules.d/", 'KERNEL=="intel-rapl*:*"', "chmod a+r"):
        assert helps in said


def test_dies_that_only_root_may_read_say_the_same(as_nobody: Path) -> None:
    tree = Powercap(as_nobody)
    tree.add("intel-rapl:0", "package-0-die-0").chmod(0o000)
    if os.geteuid() == 0:
        os.seteuid(65534)
    with pytest.raises(MeterUnavailableError, match="energy_uj cannot be read: Permission denied"):
        RaplMeter(tree.root)


def test_a_folder_in_place_of_the_energy_is_named(one: Powercap) -> None:
    file = energy(one, "intel-rapl:0")
    file.unlink()
    file.mkdir()
    with pytest.raises(MeterUnavailableError, match=r"Is a directory: .*intel-rapl:0/energy_uj"):
        RaplMeter(one.root)


@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
@pytest.mark.parametrize("content", ["", "n/a", "-3"])
def test_garbage_is_named(one: Powercap, file: str, content: str) -> None:
    (one.root / "intel-rapl:0" / file).write_text(content)
    with pytest.raises(MeterUnavailableError, match=f"RAPL cannot be read: .*{file} holds"):
        RaplMeter(one.root)


@pytest.mark.parametrize("file", ["name", "max_energy_range_uj"])
def test_a_zone_that_lacks_a_file_is_named(one: Powercap, file: str) -> None:
    (one.root / "intel-rapl:0" / file).unlink()
    with pytest.raises(MeterUnavailableError, match=f"No such file or directory: .*{file}"):
        RaplMeter(one.root)


def test_no_powercap_names_what_serves_instead(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(MeterUnavailableError, match=r"virtual machines.*ModelMeter.*plug"):
            RaplMeter(root)


def test_a_read_that_fails_says_so_and_the_next_makes_up_for_it(one: Powercap) -> None:
    file = energy(one, "intel-rapl:0")
    meter = RaplMeter(one.root)
    file.write_text("")
    with pytest.raises(MeterUnavailableError, match=r"can no longer be read: .*energy_uj"):
        meter.read_j()
    file.write_text("6000000")
    assert meter.read_j() == (1.0,)
    meter.close()


@pytest.mark.parametrize("backend", NAMES)
def test_descriptors_are_kept_open_until_close(one: Powercap, backend: str) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    with using(backend):
        meter = RaplMeter(one.root)
    for _ in range(10):
        meter.read_j()
    assert len(list(open_files.iterdir())) == before + 1
    meter.close()
    meter.close()
    assert len(list(open_files.iterdir())) == before
    with pytest.raises(MeterUnavailableError, match="closed"):
        meter.read_j()


def test_a_counter_that_may_have_wrapped_unseen_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kilowatt, the most it may draw, takes 1 ms to wrap it."""
    tree = Powercap(tmp_path)
    tree.add("intel-rapl:0", "package-0", range_uj=1_000_000)
    meter = RaplMeter(tree.root)
    for _ in range(3):
        time.sleep(0.002)
        meter.read_j()
    meter.close()
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "energy may be missing; read it more often" in record.getMessage()


def test_a_power_limit_says_how_soon_a_counter_can_wrap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The higher of two, of 1 mW, is no kilowatt; one that is not told says nothing."""
    limits = {"constraint_0_max_power_uw": 500, "constraint_1_power_limit_uw": 1000}
    tree = Powercap(tmp_path)
    untold = {"constraint_2_max_power_uw": ""}
    tree.add("intel-rapl:0", "package-0", range_uj=1_000_000, limits_uw={**limits, **untold})
    meter = RaplMeter(tree.root)
    time.sleep(0.002)
    meter.read_j()
    meter.close()
    assert not caplog.records


def test_a_counter_that_never_wraps_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = Powercap(tmp_path)
    tree.add("intel-rapl:0", "package-0", range_uj=0)
    meter = RaplMeter(tree.root)
    meter.read_j()
    meter.close()
    assert not caplog.records


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"psys": "always"}, "psys is 'always': choose one of never, only, prefer"),
        ({"idle_power_w": -1.0}, "idle_power_w is -1"),
    ],
)
def test_wrong_arguments_are_told(one: Powercap, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RaplMeter(one.root, **wrong)
