from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_nvml import FakeDriver

from carbonedge.carbon.energy import NvmlMeter
from carbonedge.exceptions import MeterUnavailableError


def test_a_gpu_that_counts_its_energy_is_read_from_when_the_meter_is_made(
    driver: FakeDriver,
) -> None:
    out = driver.run(
        """
meter = NvmlMeter()
print(meter.name, meter.method, meter.counters, threading.active_count())
tell("energy-0", 5_001_500)
print(meter.read_j())
""",
        energy_0=5_000_000,
    )
    assert out.splitlines() == [
        "nvml measured (Counter(name='gpu-0', component='gpu', idle_power_w=0.0),) 1",
        "(1.5,)",
    ]


def test_joules_stay_when_the_driver_is_loaded_again_and_go_on_from_there(
    driver: FakeDriver,
) -> None:
    out = driver.run(
        """
meter = NvmlMeter()
for count in (9_500, 100, 2_100):
    tell("energy-0", count)
    print(*meter.read_j())
""",
        energy_0=9_000,
    )
    assert out.split() == ["0.5", "0.5", "2.5"]


def test_power_is_integrated_by_the_trapezoid_rule_where_energy_is_not_told(
    driver: FakeDriver,
) -> None:
    out = driver.run(
        """
before = time.monotonic()
meter = NvmlMeter(sample_every_s=3600)
made = time.monotonic()
time.sleep(0.05)
tell("power-0", 150_000)
asked = time.monotonic()
joules, = meter.read_j()
answered = time.monotonic()
# From 50 W to 150 W: 100 W on average.
assert 100 * (asked - made) <= joules <= 100 * (answered - before), joules
time.sleep(0.02)
more = meter.read_j()[0] - joules
assert 150 * 0.02 <= more <= 150 * (time.monotonic() - asked), more
print("as it should be")
""",
        power_0=50_000,
    )
    assert out.strip() == "as it should be"


def test_power_between_two_reads_is_sampled_until_the_meter_is_closed(driver: FakeDriver) -> None:
    out = driver.run(
        """
meter = NvmlMeter(sample_every_s=0.01)
tell("power-0", 100_000)
time.sleep(0.3)
tell("power-0", 0)
joules, = meter.read_j()
print(joules > 1, threading.active_count())
meter.close()
meter.close()
print(threading.active_count())
print(refusal(meter.read_j))
try:
    pynvml.nvmlDeviceGetCount()
except pynvml.NVMLError_Uninitialized:
    print("let go")
""",
        power_0=0,
    )
    assert out.splitlines() == [
        "True 2",
        "1",
        "the nvml meter is closed: open another",
        "let go",
    ]


def test_gpus_are_told_apart_and_each_is_read_as_it_can_be(driver: FakeDriver) -> None:
    out = driver.run(
        """
meter = NvmlMeter(sample_every_s=3600)
time.sleep(0.01)
tell("energy-0", 2_000)
print([counter.name for counter in meter.counters])
counted, integrated = meter.read_j()
print(counted, integrated >= 80 * 0.01)
print([counter.name for counter in NvmlMeter(devices=[1]).counters])
print(refusal(lambda: NvmlMeter(devices=[0, 2])))
""",
        count_0=2,
        energy_0=1_000,
        power_1=80_000,
    )
    assert out.splitlines() == [
        "['gpu-0', 'gpu-1']",
        "1.0 True",
        "['gpu-1']",
        "there is no GPU 2: the NVIDIA driver sees 2, numbered from 0",
    ]


def test_a_gpu_that_is_lost_is_named_and_counts_on_if_it_comes_back(driver: FakeDriver) -> None:
    out = driver.run(
        """
meter = NvmlMeter()
tell("energy-0", "error 15")
print(refusal(meter.read_j))
tell("energy-0", 3_000)
print(*meter.read_j())
""",
        energy_0=1_000,
    )
    said, joules = out.splitlines()
    assert said.startswith("GPU 0 cannot be read (GPU is lost): reset the GPU or reboot")
    assert joules == "2.0"


def test_a_failing_sample_is_not_the_end_of_sampling(driver: FakeDriver) -> None:
    out = driver.run(
        """
meter = NvmlMeter(sample_every_s=0.01)
tell("power-0", "error 15")
time.sleep(0.1)
print("GPU is lost" in refusal(meter.read_j), threading.active_count())
""",
        power_0=1_000,
    )
    assert out.strip() == "True 2"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"init_0": "error 9"}, "NVML cannot be used (Driver Not Loaded): load the NVIDIA driver"),
        ({"init_0": "error 18"}, "reboot, or reload the NVIDIA driver"),
        ({"init_0": "error 999"}, "(Unknown Error): see whether nvidia-smi works"),
        ({"count_0": "error 4"}, "GPUs cannot be counted (Insufficient Permissions): let this"),
        ({"count_0": 0}, "the NVIDIA driver sees no GPU"),
        ({"energy_0": "error 4"}, "GPU 0 cannot be read (Insufficient Permissions): let this user"),
        ({"power_0": "error 15"}, "GPU 0 cannot be read (GPU is lost)"),
        ({}, "GPU 0 tells neither its energy nor its power, as parts of a GPU (MIG, vGPU) do not"),
    ],
)
def test_a_meter_that_cannot_be_opened_says_why_and_lets_go(
    answers: dict[str, object], message: str, driver: FakeDriver
) -> None:
    out = driver.run(
        """
print(refusal(NvmlMeter))
try:
    pynvml.nvmlDeviceGetCount()
except pynvml.NVMLError_Uninitialized:
    print("let go")
""",
        **answers,
    )
    said, let_go = out.splitlines()
    assert message in said
    assert let_go == "let go"


def test_a_machine_without_a_driver_is_told_what_to_install(
    driver: FakeDriver, tmp_path: Path
) -> None:
    driver.library = tmp_path
    out = driver.run(
        """
import ctypes
try:
    ctypes.CDLL("libnvidia-ml.so.1")
except OSError:
    print(refusal(NvmlMeter))
else:
    print("there is a driver")
"""
    )
    if out.strip() == "there is a driver":
        pytest.skip("this machine has an NVIDIA driver")
    assert "NVML Shared Library Not Found" in out
    assert "install the NVIDIA driver" in out


def test_without_the_package_the_message_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterUnavailableError, match=r'pip install "carbonedge\[nvml\]"'):
        NvmlMeter()


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([], "name at least one GPU"),
        ([1, 0, 1], "each once"),
        ([-1], "must be finite and 0 or above"),
    ],
)
def test_devices_that_are_none_are_refused(devices: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NvmlMeter(devices=devices)
    with pytest.raises(ValueError, match="sample_every_s is 0: it must be finite and above 0"):
        NvmlMeter(sample_every_s=0)
