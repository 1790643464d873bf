from __future__ import annotations

import threading

import pytest
from fake_nvml import FakeDriver

from carbonedge.carbon.energy import COMPONENTS, ReplayMeter, status, survey
from carbonedge.exceptions import MeterUnavailableError

SERIES = ([0, 3600], [0, 3600])


def test_every_meter_is_there_or_says_why_not() -> None:
    found = {each.name: each for each in survey()}
    assert list(found) == ["rapl", "nvml", "codecarbon", "model", "replay"]
    for each in found.values():
        if each.available:
            assert each.reason == ""
            assert each.read_us is not None
            assert each.read_us > 0
            assert each.method in ("measured", "modelled")
            assert set(each.covers) <= set(COMPONENTS)
            assert all(each.covers.values())
        else:
            assert each.reason
            assert (each.method, each.read_us, each.covers) == (None, None, {})
    assert found["codecarbon"].available
    assert {"cpu", "memory"} <= set(found["codecarbon"].covers)
    assert found["replay"].reason == (
        "it needs the setting 'path': give it in [meter] of a cluster file, or a path as "
        "--meter replay:FILE"
    )


def test_counters_are_listed_by_component_and_all_is_let_go(driver: FakeDriver) -> None:
    out = driver.run(
        """
from carbonedge.carbon.energy import status
status.METERS = ["nvml"]
found, = status.survey()
print(found.name, found.available, found.method, found.covers, threading.active_count())
""",
        count_0=2,
        energy_0=1,
        power_1=1,
    )
    assert out.strip() == "nvml True measured {'gpu': ('gpu-0', 'gpu-1')} 1"


def test_a_meter_that_opens_but_cannot_be_read_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = []

    class Broken(ReplayMeter):
        def read_j(self) -> tuple[float, ...]:
            raise MeterUnavailableError("the sensor is gone: plug it in")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(status, "METERS", ["model"])
    monkeypatch.setattr(status, "open_meter", lambda _: Broken(*SERIES))
    (found,) = survey()
    assert (found.available, found.reason) == (False, "the sensor is gone: plug it in")
    assert closed == [True]


def test_a_meter_that_opens_too_late_is_given_up_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late, closed = threading.Event(), threading.Event()

    class Late(ReplayMeter):
        def close(self) -> None:
            closed.set()

    def open_late(_: str) -> ReplayMeter:
        assert late.wait(10)
        return Late(*SERIES)

    monkeypatch.setattr(status, "METERS", ["model"])
    monkeypatch.setattr(status, "LONGEST_OPENING_S", 0.05)
    monkeypatch.setattr(status, "open_meter", open_late)
    (found,) = survey()
    assert not found.available
    assert found.reason.startswith("it did not open within 0.05 s: open it by itself")
    assert not closed.is_set()
    late.set()
    assert closed.wait(10)


def test_errors_that_are_no_absence_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> ReplayMeter:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(status, "METERS", ["model"])
    monkeypatch.setattr(status, "open_meter", fail)
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        survey()
