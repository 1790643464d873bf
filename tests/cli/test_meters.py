from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from command_line import call

from carbonedge.carbon.energy import MeterStatus
from carbonedge.cli import console
from carbonedge.exceptions import MeterUnavailableError

# Its command hides the module's name.
COMMAND = sys.modules["carbonedge.cli.meters"]

FOUND = [
    MeterStatus("rapl", False, "energy_uj of [package-0] cannot be read: join the group power"),
    MeterStatus("nvml", True, "", "measured", 12.34, {"gpu": ("gpu-0", "gpu-1")}),
    MeterStatus("codecarbon", False, "it did not open within 10 s: open it by itself"),
    MeterStatus("model", True, "", "modelled", 5.0, {"cpu": ("cpu",), "memory": ("memory",)}),
]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COMMAND, "survey", lambda: FOUND)


def lines_of(text: str) -> list[str]:
    """Lines without the spaces that make columns."""
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.usefixtures("found")
def test_what_is_there_and_why_the_rest_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "meters")
    assert (code, err) == (0, "")
    lines = lines_of(out)
    assert "meter available joules are us/read covers" in lines
    assert "rapl no - - -" in lines
    assert "nvml yes measured 12.3 gpu (gpu-0, gpu-1)" in lines
    assert "model yes modelled 5.0 cpu, memory" in lines
    assert f"rapl {FOUND[0].reason}" in lines
    assert f"codecarbon {FOUND[2].reason}" in lines
    assert 'The meter "auto" takes model and nvml.' in out


@pytest.mark.usefixtures("found")
def test_a_narrow_terminal_folds_reasons_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PLAIN_WIDTH", 44)
    _, out, _ = call(capsys, "meters")
    *tables, _ = out.rstrip().splitlines()
    assert max(map(len, tables)) <= 44
    assert "codecarbon yes" not in out
    assert " ".join(FOUND[0].reason.split()) in " ".join(
        line[len("codecarbon") :].strip() for line in tables
    )
    assert "12.3" in out


@pytest.mark.usefixtures("found")
def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "meters", "--json")
    assert (code, err) == (0, "")
    rapl, nvml, *_ = json.loads(out)["meters"]
    assert rapl == {
        "name": "rapl",
        "available": False,
        "reason": FOUND[0].reason,
        "method": None,
        "read_us": None,
        "covers": {},
    }
    assert nvml["covers"] == {"gpu": ["gpu-0", "gpu-1"]}


def test_a_survey_leaves_the_screen_to_the_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from carbonedge.cli import main; main(['meters', '--json'])"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    names = [meter["name"] for meter in json.loads(done.stdout)["meters"]]
    assert names == ["rapl", "nvml", "codecarbon", "model", "replay"]


def test_a_meter_that_is_not_there_is_one_line_to_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[MeterStatus]:
        raise MeterUnavailableError("the sensor is gone: plug it in")

    monkeypatch.setattr(COMMAND, "survey", fail)
    assert call(capsys, "meters") == (2, "", "carbonedge: the sensor is gone: plug it in\n")
