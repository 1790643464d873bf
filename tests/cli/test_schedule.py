from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import assert_one_line, call

from carbonedge import MODES, Cluster, Scheduler, Task
from carbonedge.cli import console
from carbonedge.scheduling import SCORINGS

TIMED = """
[[node]]
name = "node-high"
cpu_cores = 1.0
memory_mb = 1024
power_w = 3.55
intensity_g_per_kwh = 620
avg_time_ms = 254.85

[[node]]
name = "node-medium"
cpu_cores = 0.6
memory_mb = 512
power_w = 2.13
intensity_g_per_kwh = 530
avg_time_ms = 424.75

[[node]]
name = "node-green"
cpu_cores = 0.4
memory_mb = 512
power_w = 1.42
intensity_g_per_kwh = 380
speed = 0.4
avg_time_ms = 585.0
"""
UNTIMED = "".join(line for line in TIMED.splitlines(keepends=True) if "avg_time_ms" not in line)
SCHEDULE = ("schedule", "--cluster", "cluster.toml")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To work in, with the paper's nodes."""
    monkeypatch.chdir(tmp_path)
    Path("cluster.toml").write_text(TIMED)


def json_of(result: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = result
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


def test_candidates_stand_best_first_and_the_chosen_is_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *SCHEDULE)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == [
        *("node", "score", "resource", "load", "performance", "balance", "carbon", "ms", "gCO2eq")
    ]
    assert rows[1][:3] == [">", "node-green", "0.5000"]
    assert rows[1][-3:] == ["1.000", "585.00", "8.768e-05"]
    assert [rows[2][0], rows[3][0]] == ["node-medium", "node-high"]
    assert "> node-green is chosen: highest score.\n" in out
    assert "score = 0.15 resource + 0.15 load + 0.1 performance + 0.1 balance + 0.5 carbon" in out
    assert "task of 0.1 CPU cores and 64 MB, by normalized scoring" in out
    assert "passed over" not in out
    assert "assumed" not in out


def test_nodes_passed_over_stand_below_with_why(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, *SCHEDULE, "--cpu-cores", "0.5", "--mode", "performance")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].startswith("> node-high")
    assert lines[2].startswith("  node-medium")
    assert lines[4].split() == ["passed", "over", "ms", "gCO2eq", "why"]
    assert lines[5].startswith("node-green   585.00  8.768e-05  it has 0.4 of 0.4 CPU cores free")


def test_limits_pass_nodes_over(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = TIMED.replace("speed = 0.4", "load = 0.5").replace("254.85", "1\nnetwork_latency_ms=9")
    Path("cluster.toml").write_text(loaded)
    limits = ("--max-load", "0.4", "--max-network-latency-ms", "8")
    document = json_of(call(capsys, *SCHEDULE, *limits, "--json"))
    assert document["chosen"] == "node-medium"
    assert [node["refusal"] for node in document["nodes"]] == [
        None,
        "its network latency 9 ms is above max_network_latency_ms 8",
        "its load 0.5 is above max_load 0.4",
    ]


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    needs = ("--cpu-cores", "0.5", "--memory-mb", "100", "--slo-ms", "900")
    document = json_of(call(capsys, *SCHEDULE, *needs, "--scoring", "paper", "--json"))
    assert document["task"] == {"cpu_cores": 0.5, "memory_mb": 100, "slo_ms": 900}
    assert (document["mode"], document["scoring"]) == ("green", "paper")
    assert document["chosen"] == "node-high"
    first, second, last = document["nodes"]
    assert first["score"] > second["score"]
    assert first["score"] == pytest.approx(
        sum(w * c for w, c in zip(MODES["green"], first["components"].values(), strict=True))
    )
    assert list(first["components"]) == ["resource", "load", "performance", "balance", "carbon"]
    assert first["latency_ms"] == 254.85
    assert first["energy_j"] == pytest.approx(3.55 * 0.25485)
    assert first["emissions_g"] == pytest.approx(3.55 * 0.25485 * 620 / 3.6e6)
    assert first["refusal"] is None
    assert (last["node"], last["score"], last["components"]) == ("node-green", None, None)
    assert last["refusal"] == "it has 0.4 of 0.4 CPU cores free and the task needs 0.5"


def test_an_infinite_target_is_none_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = json_of(call(capsys, *SCHEDULE, "--slo-ms", "inf", "--json"))
    assert document["task"]["slo_ms"] is None


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("mode", MODES)
def test_the_chosen_node_is_what_the_scheduler_chooses(
    mode: str, scoring: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler = Scheduler(Cluster.from_toml("cluster.toml"), mode=mode, scoring=scoring)
    decision = scheduler.schedule(Task(cpu_cores=0.3, slo_ms=500))
    needs = ("--cpu-cores", "0.3", "--slo-ms", "500")
    document = json_of(
        call(capsys, *SCHEDULE, *needs, "--mode", mode, "--scoring", scoring, "--json")
    )
    first = document["nodes"][0]
    assert document["chosen"] == first["node"] == decision.node
    assert (first["score"], first["latency_ms"], first["emissions_g"]) == (
        decision.score,
        decision.latency_ms,
        decision.emissions_g,
    )


def test_constrained_shows_no_score_for_no_weight_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    constrained = (*SCHEDULE, "--scoring", "constrained", "--slo-ms", "500")
    code, out, _ = call(capsys, *constrained)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["node", "ms", "gCO2eq"]
    assert lines[1].split() == [">", "node-medium", "424.75", "1.332e-04"]
    assert lines[2].split() == ["node-high", "254.85", "1.558e-04"]
    assert "its predicted latency 585 ms is above slo_ms 500" in lines[5]
    assert "the weights of a mode count for nothing" in out
    assert "64 MB within 500 ms, by constrained scoring" in out
    document = json_of(call(capsys, *constrained, "--json"))
    assert (document["mode"], document["nodes"][0]["components"]) == (None, None)


def test_other_scorings_say_that_they_do_not_heed_a_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = call(capsys, *SCHEDULE, "--slo-ms", "300")
    assert "> node-green is chosen" in out
    assert "Only constrained scoring heeds slo_ms 300." in out


def test_a_time_at_speed_1_serves_nodes_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text(UNTIMED)
    code, out, _ = call(capsys, *SCHEDULE, "--time-ms", "100")
    assert code == 0
    assert "Times assumed from speeds: node-high 100.00 ms, " in out
    assert "node-green 250.00 ms." in out


def test_times_assumed_of_many_nodes_stay_short(capsys: pytest.CaptureFixture[str]) -> None:
    node = UNTIMED.split("[[node]]")[1]
    many = (node.replace("node-high", f"n{number}") for number in range(100))
    Path("cluster.toml").write_text("[[node]]" + "[[node]]".join(many))
    _, out, _ = call(capsys, *SCHEDULE, "--time-ms", "100")
    assert "n7 100.00 ms, 92 more.\n" in out


@pytest.mark.parametrize("width", [20, 80, 120])
def test_long_names_fold_and_leave_the_numbers(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PLAIN_WIDTH", width)
    long = TIMED.replace("node-green", "green-" * 20).replace("254.85", "1e12")
    Path("cluster.toml").write_text(long.replace("node-medium", "medium-" * 20))
    _, out, _ = call(capsys, *SCHEDULE, "--max-load", "0", "--cpu-cores", "0.4")
    chosen = next(line for line in out.splitlines() if line.startswith("> "))
    assert chosen.startswith("> medium-m")
    assert len(chosen.split()) == 10
    assert chosen.endswith(" 1.000    424.75 1.332e-04")
    assert "1.000e+12" in out
    assert all(len(line) <= max(width, 80) for line in out.split("\n\n")[0].splitlines())
    _, out, _ = call(capsys, *SCHEDULE, "--cpu-cores", "0.5")
    assert "  585.00  8.768e-05  it has 0.4" in out


def test_when_no_node_can_take_the_task_the_table_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *SCHEDULE, "--cpu-cores", "2")
    assert code == 2
    assert out.startswith("passed over")
    assert "node-green   585.00  8.768e-05  it has 0.4 of 0.4 CPU cores free" in out
    assert "chosen" not in out
    assert err.count("\n") == 1
    assert err.startswith("carbonedge: no node can take the task (node-high: it has 1 of 1")


def test_when_no_node_can_take_the_task_json_is_still_one_object(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *SCHEDULE, "--memory-mb", "2048", "--json")
    assert code == 2
    document = json.loads(out)
    assert document["chosen"] is None
    assert [node["node"] for node in document["nodes"]] == [
        "node-high",
        "node-medium",
        "node-green",
    ]
    assert all(node["refusal"] and node["score"] is None for node in document["nodes"])
    assert err.count("\n") == 1
    assert err.startswith("carbonedge: no node can take the task")


def test_the_command_runs_as_installed() -> None:
    code = "from carbonedge.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *SCHEDULE, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (json.loads(done.stdout)["chosen"], done.stderr) == ("node-green", "")


WRONG_CLUSTERS = {
    "no such file": (None, "No such file"),
    "broken TOML": ("[[node", "cluster.toml"),
    "no nodes": ("", "no nodes"),
    "unknown key": (TIMED.replace("power_w", "power_watts", 1), "did you mean 'power_w'?"),
    "no intensity": (
        TIMED.replace("intensity_g_per_kwh = 380\n", ""),
        "'node-green' has no carbon intensity",
    ),
    "no times": (UNTIMED, "avg_time_ms of 'node-high', 'node-medium', 'node-green' is 0"),
}


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize(("text", "message"), WRONG_CLUSTERS.values(), ids=WRONG_CLUSTERS)
def test_a_wrong_cluster_is_one_line_and_exit_code_2(
    text: str | None, message: str, form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        Path("cluster.toml").unlink()
    else:
        Path("cluster.toml").write_text(text)
    assert_one_line(call(capsys, *SCHEDULE, *form), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "turbo"), "turbo"),
        (("--scoring", "fair"), "fair"),
        (("--cpu-cores", "-1"), "cpu_cores of the task is -1"),
        (("--cpu-cores", "many"), "many"),
        (("--memory-mb", "nan"), "memory_mb of the task is nan"),
        (("--slo-ms", "0"), "slo_ms of the task is 0"),
        (("--slo-ms", "nan"), "slo_ms of the task is nan"),
        (("--max-load", "1.5"), "max_load is 1.5"),
        (("--max-network-latency-ms", "-1"), "max_network_latency_ms is -1"),
        (("--time-ms", "0"), "time_ms is 0"),
        (("--time-ms", "inf"), "time_ms is inf"),
        (("green",), "green"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_line(call(capsys, *SCHEDULE, *arguments), message)


def test_a_cluster_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(call(capsys, "schedule"), "--cluster")
