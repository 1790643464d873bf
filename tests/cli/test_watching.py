from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import models
import onnx
import pytest
from command_line import assert_one_line, call

from carbonedge.carbon.report import report

NODES = """
[[node]]
name = "a"
cpu_cores = 1
memory_mb = 100
power_w = 10
zone = "PL"
avg_time_ms = 1

[[node]]
name = "b"
cpu_cores = 1
memory_mb = 100
power_w = 4
zone = "FR"
intensity_g_per_kwh = 50
avg_time_ms = 2
speed = 0.5

[[link]]
source = "a"
target = "b"
bandwidth_mbps = 1000
"""
RUN = ("run", "model.onnx", "--cluster", "cluster.toml", "--requests", "3")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model, and a cluster of which one intensity is not known."""
    monkeypatch.chdir(tmp_path)
    onnx.save(models.layers(), "model.onnx")
    Path("cluster.toml").write_text(NODES)
    return tmp_path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = call(capsys, *RUN, "--json", *arguments)
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def write_trace(path: Path, g_per_kwh: float) -> None:
    """A day of hours around now."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = (now + timedelta(hours=hour) for hour in range(-12, 12))
    rows = "".join(f"{hour:%Y-%m-%dT%H:%MZ},{g_per_kwh}\n" for hour in hours)
    path.write_text("timestamp,g_per_kwh\n" + rows)


@pytest.mark.usefixtures("folder")
def test_a_run_takes_its_intensity_from_the_source_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = run_json(capsys, "--intensity", "static:380")
    assert document["intensity_source"] == "given (static, average, lifecycle)"
    routed = document["rows"][0]
    assert routed["emissions_g"] == pytest.approx(routed["energy_j"] * 380 / 3.6e6)
    assert routed["method"] == "emulated"


@pytest.mark.usefixtures("folder")
def test_a_run_takes_its_energy_from_the_meter_given(capsys: pytest.CaptureFixture[str]) -> None:
    document = run_json(capsys, "--intensity", "static:380", "--meter", "model")
    assert document["energy_source"] == "model (cpu, memory), shared by cpu time"
    assert all(row["energy_j"] > 0 for row in document["rows"])


def test_a_cluster_file_says_what_meters_and_where_intensities_come_from(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its paths start from its own folder."""
    (folder / "there").mkdir()
    write_trace(folder / "there" / "PL.csv", 700.0)
    write_trace(folder / "there" / "FR.csv", 70.0)
    series = "time_s,socket:machine\n0,0\n1000,5000\n"
    (folder / "there" / "plug.csv").write_text(series)
    tables = """
[meter]
kind = "replay"
path = "plug.csv"
share_by = "quota"

[intensity]
chain = [{ source = "trace", path = "FR.csv" }, { source = "trace", path = "PL.csv" }]
"""
    (folder / "there" / "cluster.toml").write_text(NODES + tables)
    code, out, err = call(capsys, *RUN[:3], "there/cluster.toml", "--requests", "3", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["energy_source"] == "replay (socket), shared by quota"
    assert document["intensity_source"] == "trace FR.csv (actual, average, lifecycle)"
    row = document["rows"][0]
    assert row["node_use"] == {"b": 100.0}
    assert row["emissions_g"] == pytest.approx(row["energy_j"] * 70 / 3.6e6)

    elsewhere = ("--intensity", "static:1", "--meter", "none")
    code, out, _ = call(capsys, *RUN[:3], "there/cluster.toml", "--json", *elsewhere)
    assert code == 0
    assert "node power x time" in json.loads(out)["energy_source"]
    assert json.loads(out)["intensity_source"].startswith("given (static")


def test_a_run_is_written_down_for_reports(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = run_json(capsys, "--intensity", "static:380", "--ledger", "ledger.db")
    written = report(folder / "ledger.db")
    assert written.total.inferences == 6  # routed, then split
    each_g = [row["emissions_g"] for row in document["rows"]]
    assert written.total.emissions_g == pytest.approx(3 * sum(each_g))
    code, out, _ = call(capsys, "report", "ledger.db", "--by", "node")
    assert code == 0
    assert "emulated" in out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "model.onnx", "--cluster", "cluster.toml"),
        ("schedule", "--cluster", "cluster.toml"),
        ("sweep", "--cluster", "cluster.toml"),
        ("nodes", "cluster.toml"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_other_commands_take_an_intensity_too(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *arguments, "--intensity", "static:123")
    assert (code, err) == (0, "")
    assert out
    Path("cluster.toml").write_text(NODES + "\n[intensity]\nsource = 'static'\ng_per_kwh = 123\n")
    code, again, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    # What plan prints was measured, and differs each time.
    assert again == out or (arguments[0] == "plan" and "gCO2eq" in again)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments",
    [
        (*RUN, "--intensity", "static:380"),
        ("plan", "model.onnx", "--cluster", "cluster.toml", "--intensity", "static:380"),
        ("plan", "model.onnx", "--cluster", "cluster.toml", "--pareto", "--intensity", "static:1"),
        ("schedule", "--cluster", "cluster.toml", "--intensity", "static:380"),
        ("sweep", "--cluster", "cluster.toml", "--intensity", "static:380"),
    ],
    ids=lambda arguments: " ".join(arguments[:1]) + str(len(arguments)),
)
@pytest.mark.parametrize("as_json", [False, True])
def test_all_printed_grams_say_how_they_came_about(
    arguments: tuple[str, ...], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, *arguments, *(["--json"] if as_json else []))
    assert code == 0
    assert "emissions_g" in out if as_json else "gCO2eq" in out
    assert re.search("measured|modelled|emulated", out.replace("measured costs", ""))


@pytest.mark.usefixtures("folder")
def test_an_intensity_that_nothing_tells_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(
        call(capsys, *RUN),
        "node 'a' has no carbon intensity: set intensity_g_per_kwh, or its zone and where "
        "intensities come from",
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--meter", "crystal"), "there is no meter 'crystal': known are auto, codecarbon"),
        (("--meter", "replay:nowhere.csv"), "cannot open 'nowhere.csv': No such file or directory"),
        (("--meter", "none:crystal"), "there is no meter 'none'"),
        (("--meter", "model:file"), "meter 'model' has no setting 'path'"),
        (("--intensity", "sun"), "no source of intensities 'sun': give any of static:G_PER_KWH"),
        (("--intensity", "static:-1"), "-1"),
        (
            ("--intensity", "trace:nowhere.csv"),
            "nowhere.csv': No such file or directory; check the",
        ),
        (("--intensity", "static:1", "--ledger", "nowhere/ledger.db"), "nowhere"),
        (("--intensity", "static:1", "--ledger", "model.onnx"), "model.onnx"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_sources_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_line(call(capsys, *RUN, *arguments), message)


@pytest.mark.usefixtures("folder")
def test_a_wrong_way_of_sharing_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("cluster.toml").write_text(NODES + "\n[meter]\nkind = 'model'\nshare_by = 'luck'\n")
    assert_one_line(call(capsys, *RUN, "--intensity", "static:1"), "cannot be shared by 'luck'")


def test_a_meter_that_is_not_there_says_what_helps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f"\n[meter]\nkind = 'rapl'\nroot = '{folder}'\n"
    Path("cluster.toml").write_text(NODES + table)
    assert_one_line(call(capsys, *RUN, "--intensity", "static:1"), "holds no RAPL zones")
