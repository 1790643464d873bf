from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_nvml import FakeDriver

from carbonedge.carbon.energy import ReplayMeter, choice, open_meter
from carbonedge.exceptions import MeterUnavailableError


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.csv"
    path.write_text("time_s,cpu\n0,0\n60,120\n")
    return path


def test_a_meter_is_opened_by_its_name_and_settings(recording: Path) -> None:
    for path in (recording, str(recording)):
        meter = open_meter("replay", path=path)
        assert isinstance(meter, ReplayMeter)
        assert [counter.name for counter in meter.counters] == ["cpu"]
        meter.close()


@pytest.mark.parametrize("kind", choice.METERS)
def test_every_meter_is_found_under_its_name(kind: str) -> None:
    make = choice.maker(kind)
    owner = getattr(make, "__self__", make)
    assert f"{kind}meter" == owner.__name__.lower()
    with pytest.raises(ValueError, match=rf"meter '{kind}' has no setting 'colour': "):
        open_meter(kind, colour="green")


def test_auto_is_rapl_or_else_the_model() -> None:
    meter = open_meter("auto")
    try:
        assert meter.name.split("+")[0] in ("rapl", "model")
        assert any(counter.component == "cpu" for counter in meter.counters)
        assert len(meter.read_j()) == len(meter.counters)
    finally:
        meter.close()


def test_auto_takes_the_gpu_too(driver: FakeDriver) -> None:
    out = driver.run(
        """
from carbonedge.carbon.energy import open_meter
meter = open_meter("auto")
print(meter.name, meter.counters[-1].name)
meter.close()
refusal(meter.read_j)
""",
        energy_0=1,
    )
    assert out.strip() in ("rapl+nvml nvml/gpu-0", "model+nvml nvml/gpu-0")


def test_auto_takes_the_first_of_each_group_that_is_there(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def maker(kind: str) -> Callable[[], ReplayMeter]:
        made.append(kind)
        return lambda: ReplayMeter.from_csv(recording)

    monkeypatch.setattr(choice, "AUTOMATIC", (("best", "second"),))
    monkeypatch.setattr(choice, "METERS", {"best": "", "second": ""})
    monkeypatch.setattr(choice, "maker", maker)
    assert open_meter("auto").name == "replay"
    assert made == ["best"]


def test_auto_with_nothing_there_says_why_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "AUTOMATIC", (("broken",), ("lost",)))
    monkeypatch.setattr(choice, "maker", lambda kind: lambda: refuse(kind))
    monkeypatch.setattr(choice, "METERS", {"broken": "", "lost": ""})

    def refuse(kind: str) -> None:
        raise MeterUnavailableError(f"mend the {kind} one")

    with pytest.raises(MeterUnavailableError) as refused:
        open_meter("auto")
    assert str(refused.value) == (
        "no meter is there. broken: mend the broken one; lost: mend the lost one"
    )


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("rapid", {}, "no meter 'rapid': known are auto, codecarbon, model, nvml, rapl, replay"),
        ("auto", {"dram": True}, "meter 'auto' has no setting 'dram': it has none"),
        ("replay", {}, "meter 'replay' needs the setting 'path': known are path"),
        ("replay", {"path": 3}, "path of meter 'replay' is 3: give text"),
        ("rapl", {"dram": 1}, "dram of meter 'rapl' is 1: give true or false"),
        ("nvml", {"devices": [0, "1"]}, "is [0, '1']: give a list, each of it a whole number"),
        ("codecarbon", {"measure_every_s": True}, "is True: give a number"),
        ("codecarbon", {"measure_every_s": -1}, "it must be finite and above 0"),
        ("nvml", {"every": 1}, "has no setting 'every': known are devices, sample_every_s"),
    ],
)
def test_names_and_settings_that_are_unknown_are_refused_with_those_known(
    kind: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is below
        open_meter(kind, **settings)
    assert message in str(refused.value)
