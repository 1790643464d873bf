from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path

import made_up_grids
import numpy as np
import pytest
from command_line import assert_one_line, call

from carbonedge.cli import console
from carbonedge.experiments.replay import POLICIES

CLUSTER = """
[[node]]
name = "sunny"
zone = "SUN"
cpu_cores = 4
memory_mb = 8000
power_w = 30
avg_time_ms = 100
network_latency_ms = 5

[[node]]
name = "sooty"
zone = "COAL"
cpu_cores = 4
memory_mb = 8000
power_w = 30
avg_time_ms = 100
network_latency_ms = 5

[[zone_latency]]
zones = ["COAL", "SUN"]
round_trip_ms = 30

[[zone]]
name = "SUN"
utc_offset_h = -8
"""
REPLAY = ("replay", "--trace", "traces", "--cluster", "cluster.toml")
FEW = (*REPLAY, "--requests-per-hour", "1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To work in, with ten days of two grids and a node in each."""
    monkeypatch.chdir(tmp_path)
    Path("cluster.toml").write_text(CLUSTER)
    values = made_up_grids.intensities(240)
    values["SUN"][50:53] = np.nan
    made_up_grids.write_traces(Path("traces"), values)


def test_tables_of_policies_zones_and_the_worth_of_moving(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *FEW, "--copies", "5", "--seed", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(
        r"\d+ requests from 2022-01-01T00:00Z to 2022-01-11T00:00Z, on 10 nodes in 2 zones.",
        lines[0],
    )
    assert [line.split()[0] for line in lines[2:9]] == [*POLICIES, "oracle"]
    words = re.sub(r"\s+", " ", out)
    assert "Moving work between these grids is worth 0.00 % at 0 ms, 0.00 % at 10 ms, " in words
    assert "3 values of the traces are missing: policies saw the last one known" in words
    assert "Capacity was ample: no request waited" in words
    assert "The oracle knows every intensity to come and the work of each request, " in words
    assert re.search(r"6 policies and the oracle, \d+ requests each, in \d+\.\d s\.", words)
    assert re.search(r"SUN 5 \d+ 155 \S+ 3 -8\b", words)
    assert re.search(r"COAL 5 \d+ 155 \S+ 0 \+0\b", words)


def test_a_policy_beats_the_oracle_by_missing_alone(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, *FEW, "--slo-ms", "110", "--json")
    document = json.loads(out)
    for policy in document["policies"]:
        assert policy["misses"] > 0 or policy["regret_g"] >= -1e-12
    names = [policy["name"] for policy in document["policies"] if policy["misses"]]
    assert {"green", "always-cleanest"} <= set(names)
    assert "constrained" not in names


@pytest.mark.parametrize(("by", "rows"), [("month", 1), ("hour", 24)])
def test_emissions_by_month_and_by_hour(
    by: str, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = call(capsys, *FEW, "--by", by)
    start = out.index(f"gCO2eq by {by}")
    table = out[start : out.index("\n\n", start)].splitlines()
    assert len(table) == 1 + rows
    first = "2022-01" if by == "month" else "00:00 UTC"
    assert table[1].startswith(first)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_number_is_cut_short(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PLAIN_WIDTH", width)
    _, out, _ = call(capsys, *FEW, "--by", "month")
    assert "…" not in out
    assert "always-nearest" in out or "always" in out


def test_the_same_seed_gives_the_same_to_the_last_digit_in_another_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ("--pattern", "daily", "--work-spread", "0.1", "--json")
    _, out, _ = call(capsys, *FEW, *more)
    code = "import sys; from carbonedge.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *FEW, *more], capture_output=True, text=True, check=True
    )
    assert done.stdout == out
    _, other, _ = call(capsys, *FEW, *more, "--seed", "1")
    assert other != out


class Page(html.parser.HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_is_saved_as_json_and_as_a_page_that_stands_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *FEW, "-o", "some/report")
    assert (code, err) == (0, "")
    assert out.endswith("The report is in some/report/replay.html.\n")
    document = json.loads(Path("some/report/replay.json").read_text())
    _, printed, _ = call(capsys, *FEW, "--json")
    assert document == json.loads(printed)
    assert document["settings"]["requests_per_hour"] == 1
    assert document["settings"]["trace"] == "traces"
    page = Page(Path("some/report/replay.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("svg") == 4
    assert not {"script", "link", "img"} & set(tags)
    said = "".join(page.words)
    for part in (*POLICIES, "Moving work between these grids", "2022-01", "13:00 UTC", "SUN"):
        assert part in said


def test_names_in_the_report_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "<b>$x$"
    for old in ("SUN-2022.csv",):
        text = Path("traces", old).read_text()
        Path("traces", old).unlink()
        Path("traces", "evil.csv").write_text(
            "".join(
                f"{line},{evil if number else 'zone'}\n"
                for number, line in enumerate(text.splitlines())
            )
        )
    Path("cluster.toml").write_text(CLUSTER.replace('"SUN"', f'"{evil}"'))
    code, out, _ = call(capsys, *FEW, "-o", ".")
    assert code == 0
    assert evil in out
    page = Page(Path("replay.html").read_text())
    assert "b" not in [tag for tag, attributes in page.elements if attributes]
    assert "".join(page.words).count(evil) > 4


def test_recorded_requests_and_a_window(capsys: pytest.CaptureFixture[str]) -> None:
    Path("arrivals.csv").write_text(
        "timestamp,zone,count\n2022-01-02T00:00Z,SUN,40\n2022-01-03T00:00Z,SUN,50\n"
        "2022-01-04T00:00Z,SUN,60\n2022-01-03T00:00Z,COAL,7\n2022-01-03T01:00Z,COAL,0\n"
    )
    window = ("--from", "2022-01-03", "--until", "2022-01-03T20:00-04:00")
    _, out, _ = call(capsys, *REPLAY, "--arrivals", "arrivals.csv", *window, "--json")
    document = json.loads(out)
    assert (document["start"], document["stop"]) == ("2022-01-03T00:00Z", "2022-01-04T00:00Z")
    assert [zone["requests"] for zone in document["zones"]] == [50, 7]


def test_policies_are_replayed_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--policy", "always-nearest", "--policy", "green")
    _, out, _ = call(capsys, *FEW, *asked, "--json")
    names = [policy["name"] for policy in json.loads(out)["policies"]]
    assert names == ["green", "always-nearest"]


def test_a_time_at_speed_1_serves_nodes_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text(CLUSTER.replace("avg_time_ms = 100", "speed = 0.5"))
    _, out, _ = call(capsys, *FEW, "--time-ms", "60", "--json", "--policy", "always-nearest")
    assert json.loads(out)["policies"][0]["latency_median_ms"] == pytest.approx(125)


def test_one_request_on_one_node_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text(CLUSTER.split("[[node]]")[1].join(["[[node]]", ""]))
    Path("arrivals.csv").write_text("timestamp,zone\n2022-01-03T12:00Z,SUN\n")
    _, out, _ = call(capsys, *REPLAY, "--arrivals", "arrivals.csv", "-o", "report")
    assert out.startswith("1 request from 2022-01-01T00:00Z to 2022-01-11T00:00Z, on 1 node in 1 ")
    assert "There is one zone: no work moves." in out
    assert Path("report/replay.html").exists()


def test_capacity_that_is_short_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    window = ("--until", "2022-01-01T00:01")
    _, out, _ = call(capsys, *REPLAY, "--requests-per-hour", "100000", *window)
    assert "Requests waited for a slot or for room, the longest and the least: under " in out
    assert "Capacity was ample" not in out


def test_other_commands_read_a_cluster_file_that_tells_of_zones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "nodes", "cluster.toml")
    assert code == 0
    assert "sunny" in out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('zone = "SUN"\n', "", "node 'sunny' has no zone"),
        ('zone = "SUN"\n', 'zone = "MOON"\n', "there is no trace of zone 'MOON', but of COAL"),
        ("avg_time_ms = 100\n", "", "avg_time_ms of 'sunny' is 0"),
        ("round_trip_ms = 30", "round_trip_ms = -3", "round_trip_ms between COAL and SUN is -3"),
        ("utc_offset_h = -8", "utc_offset_h = -80", "it must lie between -14 and 14"),
        ('["COAL", "SUN"]', '["COAL", "MARS"]', "there is no node in zone 'MARS'"),
        ("[[zone]]", "[[zones]]", "unknown key 'zones'"),
    ],
)
def test_a_wrong_cluster_is_one_line_and_exit_code_2(
    old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CLUSTER.replace(old, new, 1)
    if "no zone" in message:
        text = text.split("[[zone_latency]]", maxsplit=1)[0]
    if "MOON" in message:
        text = text.replace('"SUN"', '"MOON"')
    Path("cluster.toml").write_text(text)
    assert_one_line(call(capsys, *FEW), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (FEW[:-2], "give one of --requests-per-hour and --arrivals"),
        ((*FEW, "--arrivals", "arrivals.csv"), "give one of --requests-per-hour and --arrivals"),
        ((*REPLAY, "--requests-per-hour", "-5"), "requests_per_hour is -5: it must be finite and"),
        ((*REPLAY, "--requests-per-hour", "nan"), "requests_per_hour is nan"),
        ((*REPLAY, "--requests-per-hour", "1e12"), "are more than 20,000,000: take fewer"),
        ((*FEW, "--slo-ms", "20"), "slo_ms is 20, which no node meets for any zone: the fastest"),
        ((*FEW, "--slo-ms", "0"), "slo_ms is 0"),
        ((*FEW, "--time-ms", "-1"), "time_ms is -1"),
        ((*FEW, "--zone-latency-ms", "-1"), "zone_latency_ms is -1"),
        ((*FEW, "--work-spread", "-1"), "work_spread is -1"),
        (
            (*FEW, "--cpu-cores", "5"),
            "node 'sunny' can take no request, though nothing runs (it has",
        ),
        ((*FEW, "--cpu-cores", "-5"), "cpu_cores of the task is -5"),
        ((*FEW, "--copies", "0"), "0 is not in"),
        ((*FEW, "--copies", "60000"), "are more than 100,000: take fewer copies"),
        ((*FEW, "--policy", "best"), "'best' is not one of"),
        ((*FEW, "--pattern", "weekly"), "'weekly' is not one of"),
        ((*FEW, "--seed", "-1"), "-1 is not in"),
        ((*FEW, "--from", "then"), "'then' is no time: give one such as 2022-06-01"),
        ((*FEW, "--from", "2021-01-01"), "requests from 2021-01-01T00:00Z until 2022-01-11"),
        ((*FEW, "--until", "2023-01-01"), "the traces last from 2022-01-01T00:00Z to 2022-01-11"),
        ((*FEW, "--from", "2022-01-03", "--until", "2022-01-03"), "give a time within that"),
        ((*FEW, "-o", "cluster.toml"), "cannot write into the folder 'cluster.toml': File exists"),
        ((*REPLAY, "--arrivals", "none.csv"), "cannot open 'none.csv': No such file"),
        (
            ("replay", "--trace", "nowhere", "--cluster", "cluster.toml", *FEW[-2:]),
            "cannot open 'nowhere': No such file or directory",
        ),
        (
            ("replay", "--trace", "traces", "--cluster", "none.toml", *FEW[-2:]),
            "cannot read cluster file 'none.toml'",
        ),
        (
            ("replay", "--trace", "empty", "--cluster", "cluster.toml", *FEW[-2:]),
            "empty: there is no .csv file: name a folder with a trace of each zone",
        ),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert_one_line(call(capsys, *arguments), message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2023-01-01T00:00Z,SUN", "line 2: 2023-01-01T00:00Z is outside of the trace, 2022-01-01"),
        ("2022-01-01T00:00Z,MARS", "line 2: zone 'MARS' has no node: there are SUN, COAL"),
        ("2022-01-01 00:00,SUN", "has no time zone"),
    ],
)
def test_wrong_arrivals_are_one_line_and_exit_code_2(
    row: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("arrivals.csv").write_text(f"timestamp,zone\n{row}\n")
    assert_one_line(call(capsys, *REPLAY, "--arrivals", "arrivals.csv"), message)


def test_a_missing_matplotlib_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert_one_line(call(capsys, *FEW, "-o", "report"), 'pip install "carbonedge[plot]"')


def test_matplotlib_is_loaded_for_a_page_only() -> None:
    code = (
        "import sys; from carbonedge.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, *FEW], capture_output=True, check=True)
