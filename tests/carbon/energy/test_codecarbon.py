from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonedge.carbon.energy import CodeCarbonMeter
from carbonedge.carbon.energy.codecarbon import SENSORS
from carbonedge.exceptions import MeterUnavailableError

MEMORY_W = 36.0

QUIET = """
import json, logging, pathlib, sys, threading, time

touched = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        touched.append(f"{event} {arguments}")
sys.addaudithook(watch)

records = []
class Kept(logging.Handler):
    def emit(self, record):
        records.append(record.getMessage())
logging.basicConfig(level=logging.INFO, handlers=[Kept()])
log = logging.getLogger("codecarbon")
own = logging.NullHandler()
log.addHandler(own)

from carbonedge.carbon.energy import CodeCarbonMeter
meter = CodeCarbonMeter(measure_every_s=0.05)
time.sleep(1.3)
joules = meter.read_j()
opened = [log.handlers == [own], log.level, log.propagate]
log.error("an error")
meter.close()
log.info("free again")
deadline = time.monotonic() + 10
while threading.active_count() > 1 and time.monotonic() < deadline:
    time.sleep(0.01)
print(json.dumps({
    "joules": joules,
    "touched": touched,
    "records": records,
    "opened": opened,
    "closed": [log.handlers == [own], log.level, log.propagate, len(log.filters)],
    "threads": [thread.name for thread in threading.enumerate()],
    "written": [str(path) for path in pathlib.Path.cwd().rglob("*") if path.is_file()],
}))
"""


@pytest.fixture(scope="module")
def meter() -> Iterator[CodeCarbonMeter]:
    """The machine it runs on, its memory taken to draw a known power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODECARBON_FORCE_RAM_POWER", str(MEMORY_W))
        meter = CodeCarbonMeter()
    yield meter
    meter.close()


def test_joules_are_those_of_codecarbons_kilowatt_hours(meter: CodeCarbonMeter) -> None:
    memory = [counter.component for counter in meter.counters].index("memory")
    time.sleep(0.06)
    before_s = time.perf_counter()
    before_j = meter.read_j()[memory]
    between_s = time.perf_counter()
    time.sleep(0.2)
    after_s = time.perf_counter()
    joules = meter.read_j()[memory] - before_j
    end_s = time.perf_counter()
    # A read may find a measurement of up to 50 ms before.
    assert MEMORY_W * (after_s - between_s - 0.05) <= joules
    assert joules <= MEMORY_W * (end_s - before_s + 0.05)


def test_joules_never_fall_whoever_reads(meter: CodeCarbonMeter) -> None:
    fell = []

    def read() -> None:
        last = meter.read_j()
        for _ in range(40):
            now = meter.read_j()
            if any(later < earlier for earlier, later in zip(last, now, strict=True)):
                fell.append((last, now))
            last = now
            time.sleep(0.005)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fell == []


def test_it_says_what_is_measured_and_what_is_modelled(meter: CodeCarbonMeter) -> None:
    assert meter.name == "codecarbon"
    assert {"cpu", "memory"} <= {counter.component for counter in meter.counters}
    assert "CPU(" in meter.detail
    # Its memory is taken to draw a known power, which no sensor said.
    assert "RAM() modelled" in meter.detail
    assert meter.method == "modelled"


def test_its_words_for_what_has_a_sensor_are_codecarbons_own(tmp_path: Path) -> None:
    from codecarbon.external import hardware
    from codecarbon.external.ram import RAM

    folder = str(tmp_path)

    def cpu(mode: str) -> hardware.CPU:
        return hardware.CPU(folder, mode, "a model", 10, rapl_dir=folder)

    assert cpu("intel_rapl").description().startswith(SENSORS)
    assert hardware.AppleSiliconChip.__name__ in SENSORS
    if hasattr(hardware, "Raspberry"):  # since 3.3.2
        for part in ("CPU", "RAM"):
            assert hardware.Raspberry(folder, "a Pi", part).description().startswith(SENSORS)
    for modelled in (cpu("cpu_load"), cpu("constant"), RAM()):
        assert not modelled.description().startswith(SENSORS)


def test_what_codecarbon_cannot_measure_is_said_and_it_goes_on_later(
    meter: CodeCarbonMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codecarbon.external.ram import RAM

    def fail(*_: object, **__: object) -> None:
        raise OSError("the memory is gone")

    before_j = meter.read_j()
    with monkeypatch.context() as broken:
        broken.setattr(RAM, "measure_power_and_energy", fail)
        time.sleep(0.06)
        with pytest.raises(MeterUnavailableError, match=r"cannot measure \(the memory is gone\)"):
            meter.read_j()
    time.sleep(0.06)
    assert sum(meter.read_j()) > sum(before_j)


def test_nothing_is_written_sent_logged_or_left_running_whatever_it_is_configured_to(
    tmp_path: Path,
) -> None:
    settings = {
        "OUTPUT_METHODS": "csv,api,logger,prometheus",
        "OUTPUT_DIR": str(tmp_path / "missing"),
        "EMISSIONS_ENDPOINT": "http://192.0.2.1/emissions",
        "ELECTRICITYMAPS_API_TOKEN": "secret",
        "COUNTRY_ISO_CODE": "FRA",
        "CLOUD_PROVIDER": "aws",
        "CLOUD_REGION": "us-east-1",
        "TRACKING_MODE": "process",
        "LOG_LEVEL": "debug",
        "ALLOW_MULTIPLE_RUNS": "false",
        "PUE": "1000",
        "FORCE_RAM_POWER": "1",
        "FORCE_CPU_POWER": "1",
    }
    environment = {f"CODECARBON_{name}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", QUIET],
        env={
            **os.environ,
            **environment,
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    found = json.loads(done.stdout)
    # 1 W of memory and 0.1 to 1 W of CPU for more than 1.3 s, neither a thousandfold nor the
    # share of a process that sleeps.
    assert min(found["joules"]) > 0.13
    assert sum(found["joules"]) < 100
    assert found["touched"] == []
    assert found["written"] == []
    assert found["records"] == ["an error", "free again"]
    assert found["opened"] == [True, logging.NOTSET, True]
    assert found["closed"] == [True, logging.NOTSET, True, 0]
    assert found["threads"] == ["MainThread"]


def test_a_closed_meter_is_not_read() -> None:
    meter = CodeCarbonMeter()
    meter.close()
    meter.close()
    with pytest.raises(MeterUnavailableError, match="closed: open another"):
        meter.read_j()


def test_without_the_package_the_message_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    filters = list(logging.getLogger("codecarbon").filters)
    with pytest.raises(MeterUnavailableError, match=r'pip install "carbonedge\[codecarbon\]"'):
        CodeCarbonMeter()
    assert logging.getLogger("codecarbon").filters == filters


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="measure_every_s is 0: it must be finite and above 0"):
        CodeCarbonMeter(measure_every_s=0)
