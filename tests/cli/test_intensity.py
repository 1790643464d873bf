from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import assert_one_line, call

from carbonedge.carbon.intensity import Intensity
from carbonedge.cli.intensity_tables import print_intensity

START_S = datetime(2022, 6, 1, tzinfo=UTC).timestamp()

# Every quarter of an hour; the second hour has a gap and the lowest mean.
QUARTERS = "timestamp,g_per_kwh\n" + "".join(
    f"2022-06-01T{quarter // 4:02}:{15 * (quarter % 4):02}Z,{value}\n"
    for quarter, value in enumerate([300, 300, 300, 700, 100, "", 100, 100, 200, 200, 200, 200])
)
CLUSTER = """
[intensity]
source = "trace"
path = "DE.csv"
accounting = "marginal"

[[node]]
name = "a"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To work in, with a trace."""
    monkeypatch.chdir(tmp_path)
    Path("DE.csv").write_text(QUARTERS)


def test_a_value_stands_with_all_that_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("intensity", "DE", "--from", "trace:DE.csv", "--at", "2022-06-01T00:20Z")
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["zone", "DE"],
        ["intensity", "300 gCO2eq/kWh"],
        ["source", "trace DE.csv"],
        ["kind", "actual"],
        ["accounting", "average"],
        ["factors", "lifecycle"],
        ["valid", "2022-06-01T00:15Z to 2022-06-01T00:30Z"],
    ]


def test_an_old_value_says_how_old(capsys: pytest.CaptureFixture[str]) -> None:
    value = Intensity(
        1, "DE", "live", "actual", valid_from_s=START_S, valid_until_s=START_S + 61, age_s=90.4
    )
    print_intensity(value)
    *_, valid, age = capsys.readouterr().out.splitlines()
    assert valid == "valid       2022-06-01T00:00Z to 2022-06-01T00:01:01Z"
    assert age == "age         90 s past that"


def test_json_holds_the_same_and_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "intensity", "DE", "--from", "static:380", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "g_per_kwh": 380,
        "zone": "DE",
        "source": "given",
        "kind": "static",
        "accounting": "average",
        "factors": "lifecycle",
        "valid_from_s": None,
        "valid_until_s": None,
        "age_s": 0,
    }


def test_a_forecast_is_the_mean_of_each_hour_and_its_lowest_is_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("--from", "trace:DE.csv", "--at", "2022-06-01T00:30Z")
    code, out, err = call(capsys, "intensity", "DE", "--forecast", "2", *arguments)
    assert (code, err) == (0, "")
    header, *rows, source = (line.split() for line in out.splitlines())
    assert header == ["hour", "from", "gCO2eq/kWh", "kind"]
    assert rows == [
        ["2022-06-01T00:00Z", "500.0", "actual"],
        ["2022-06-01T01:00Z", "100.0", "actual,", "estimated", "lowest"],
        ["2022-06-01T02:00Z", "200.0", "actual"],
    ]
    assert " ".join(source) == "DE: trace DE.csv; average, lifecycle."


def test_where_all_hours_are_alike_none_is_the_lowest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "intensity", "DE", "--from", "static:3", "--forecast")
    assert code == 0
    assert "lowest" not in out
    assert out.count("3.0  static") in (24, 25)


def test_the_forecast_as_json_is_what_the_source_says(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--from", "trace:DE.csv", "--at", "2022-06-01T00:30Z", "--json")
    code, out, _ = call(capsys, "intensity", "DE", "--forecast", "1", *arguments)
    assert code == 0
    document = json.loads(out)
    assert document["zone"] == "DE"
    assert [value["g_per_kwh"] for value in document["forecast"]] == [300, 700, 100, 100]
    assert document["forecast"][0]["valid_from_s"] == START_S + 1800


def test_a_cluster_file_may_name_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text(CLUSTER)
    arguments = ("--cluster", "cluster.toml", "--at", "2022-06-01T00:00Z", "--json")
    code, out, _ = call(capsys, "intensity", "DE", *arguments)
    assert code == 0
    assert json.loads(out)["accounting"] == "marginal"


def test_without_a_source_averages_of_countries_are_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("codecarbon", reason="the extra [codecarbon] is not installed")
    code, out, _ = call(capsys, "intensity", "FR", "--json")
    assert code == 0
    assert json.loads(out)["source"].startswith("codecarbon, average of France in 20")


def test_without_a_source_and_without_averages_the_sources_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    result = call(capsys, "intensity", "FR")
    assert_one_line(result, "no source is given: name one by --from, any of static:G_PER_KWH, tr")
    assert 'pip install "carbonedge[codecarbon]"' in result[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'ZONE'"),
        (("DE", "--from", "nonsense"), "no source of intensities 'nonsense'"),
        (("DE", "--from", "trace:none.csv"), "none.csv"),
        (("DE", "--from", "trace:DE.csv"), "knows 'DE' from 2022-06-01T00:00Z"),
        (("FR", "--from", "trace:DE.csv"), "'FR' is not in trace DE.csv, which knows DE"),
        (("DE", "--from", "static:1", "--at", "noon"), "the time 'noon' cannot be read: write it"),
        (("DE", "--from", "static:1", "--at", "2022-06-01"), "has no time zone"),
        (("DE", "--from", "static:1", "--forecast", "0"), "--forecast"),
        (("--from", "static:1", "--forecast", "DE"), "(ZONE goes before --forecast)"),
        (("DE", "--from", "static:1", "--cluster", "c.toml"), "give one of them"),
        (("DE", "--cluster", "none.toml"), "none.toml"),
        (("DE", "--cluster", "bare.toml"), "bare.toml has no table [intensity]"),
        (("DE", "--cluster", "wrong.toml"), "wrong.toml: an intensity is 3"),
    ],
)
def test_wrong_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    Path("bare.toml").write_text("[[node]]\nname = 'a'\n")
    Path("wrong.toml").write_text("intensity = 3\n")
    assert_one_line(call(capsys, "intensity", *arguments), message)
