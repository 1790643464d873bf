from __future__ import annotations

import json
from pathlib import Path

import models
import onnx
import pytest
from command_line import assert_one_line, call

from carbonedge import Plan
from carbonedge.experiments import light_model

CLUSTER = """
[[node]]
name = "high"
cpu_cores = 1
memory_mb = 1000
power_w = 40
intensity_g_per_kwh = 600
avg_time_ms = 10

[[node]]
name = "green"
cpu_cores = 0.5
memory_mb = 1000
power_w = 20
intensity_g_per_kwh = 100
avg_time_ms = 30

[[link]]
source = "high"
target = "green"
bandwidth_mbps = 1000
"""
PLAN = ("plan", "model.onnx", "--cluster", "cluster.toml", "--costs", "macs")


MEDIUM = """
[[node]]
name = "medium"
cpu_cores = 0.6
memory_mb = 1000
power_w = 30
intensity_g_per_kwh = 350
avg_time_ms = 17
"""
MORE_LINKS = """
[[link]]
source = "high"
target = "medium"
bandwidth_mbps = 1000

[[link]]
source = "medium"
target = "green"
bandwidth_mbps = 1000
"""


@pytest.fixture(autouse=True, scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "squeezenet.onnx"
    onnx.save(light_model("squeezenet"), path)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squeezenet: Path) -> None:
    """To work in, with a model and two nodes."""
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").symlink_to(squeezenet)
    Path("cluster.toml").write_text(CLUSTER)


def plan(capsys: pytest.CaptureFixture[str], *options: str) -> Plan:
    code, out, err = call(capsys, *PLAN, "--json", *options)
    assert (code, err) == (0, "")
    return Plan.from_json(out)


def test_the_stages_stand_with_what_they_cost_and_what_crosses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *PLAN, "--slo-ms", "20", "--source", "high")
    assert (code, err) == (0, "")
    found = plan(capsys, "--slo-ms", "20", "--source", "high")
    rows = [line.split() for line in out.splitlines()]
    assert rows[1] == ["stage", "node", "operators", "MB", "ms", "J", "gCO2eq", "then", "crosses"]
    stages = [row for row in rows if row and row[0].isdigit()]
    assert len(stages) == len(found.stages) == 2
    for row, stage in zip(stages, found.stages, strict=True):
        assert row[1:5] == [
            stage.node,
            f"{stage.start}..{stage.stop}",
            f"{stage.memory_mb:.2f}",
            f"{stage.time_ms:.2f}",
        ]
    assert f"{found.transfers[0].mb:.3f} MB in {found.transfers[0].time_ms:.2f} ms" in out
    assert f"One inference: {found.latency_ms:.2f} ms" in out
    assert "proven least emissions" in out
    # The one end that is not on the source is on its way there.
    ways = [way for way in (found.inputs, found.outputs) if way is not None]
    assert len(ways) == 1
    assert f"{ways[0].mb:.3f} MB in {ways[0].time_ms:.2f} ms" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--objective", "latency"), "proven least latency"),
        (("--objective", "energy"), "proven least energy"),
        (("--objective", "throughput"), "proven most throughput"),
        (("--weights", "latency=1,emissions=2e6"), "proven least 1 latency + 2e+06 emissions"),
        (("--strategy", "paper"), "by strategy paper, of which nothing is proven"),
        (("--strategy", "greedy", "--objective", "energy"), "by strategy greedy"),
        (("--mode", "performance"), "proven least latency"),
        ((), "proven least emissions"),
    ],
)
def test_what_the_plan_is_the_best_of_is_said(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *PLAN, *options)
    assert (code, err) == (0, "")
    assert said in out


def test_options_reach_the_planner(capsys: pytest.CaptureFixture[str]) -> None:
    assert [s.node for s in plan(capsys, "--objective", "latency").stages] == ["high"]
    assert [s.node for s in plan(capsys).stages] == ["green"]
    assert len(plan(capsys, "--objective", "throughput").stages) == 2
    assert len(plan(capsys, "--objective", "throughput", "--max-stages", "1").stages) == 1
    assert len(plan(capsys, "--mode", "balanced", "--max-stages", "1").stages) == 1
    assert plan(capsys, "--source", "high").source == "high"
    assert plan(capsys, "--mode", "green", "--source", "high").source == "high"
    weighted = plan(capsys, "--objective", "weighted", "--weights", "latency=1, energy=0.5")
    assert weighted.weights == {"latency": 1, "energy": 0.5}
    paper = plan(capsys, "--strategy", "paper")
    assert (paper.strategy, [s.node for s in paper.stages]) == ("paper", ["high", "green"])


def test_a_front_is_a_table_of_at_most_twenty_plans_and_json_has_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("cluster.toml").write_text(CLUSTER + MEDIUM + MORE_LINKS)
    code, out, err = call(capsys, *PLAN, "--pareto")
    assert (code, err) == (0, "")
    code, text, _ = call(capsys, *PLAN, "--pareto", "--json")
    document = json.loads(text)
    count = len(document["front"])
    assert count > 20
    table = out.split("\nfront ")[1].split("\n\n")[0]
    numbers = [line.split()[0] for line in table.splitlines() if line[:6].strip().isdigit()]
    assert len(numbers) == 20
    assert (numbers[0], numbers[-1]) == ("0", str(count - 1))
    assert f"{count} plans are bettered by none" in out
    assert "20 are shown; --json gives all." in out
    assert [b["name"] for b in document["baselines"]] == [
        *("paper", "greedy"),
        *("high", "green", "medium"),
    ]
    for name in ("paper", "greedy", "high, whole", "medium, whole", "green, whole"):
        assert name in out
    assert Plan.from_json(json.dumps(document["front"][0])).stages[0].node == "high"


def test_a_picture_goes_with_a_front_and_with_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *PLAN, "--pareto", "--plot", "front.png")
    assert (code, err) == (0, "")
    assert out.endswith("The plot is in front.png.\n")
    assert Path("front.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = call(capsys, *PLAN, "--json", "--plot", "plan.svg")
    assert (code, err) == (0, "")
    assert Plan.from_json(out).objective == "emissions"
    assert "<svg" in Path("plan.svg").read_text()
    assert "plan chosen" in Path("plan.svg").read_text()


WRONG = {
    "objective": (("--objective", "speed"), "'speed' is not one of 'latency', 'energy'"),
    "mode and objective": (("--mode", "green", "--objective", "latency"), "--mode stands for"),
    "mode and weights": (("--mode", "green", "--weights", "latency=1"), "--mode stands for"),
    "mode and strategy": (("--mode", "green", "--strategy", "paper"), "--strategy paper"),
    "weighted by nothing": (("--objective", "weighted"), "give both or neither"),
    "weights of another": (
        ("--objective", "energy", "--weights", "energy=1"),
        "give both or neither",
    ),
    "weights without number": (("--weights", "latency"), "'latency' is not a name, '=' and"),
    "weights no number": (("--weights", "latency=fast"), "'latency=fast' is not a name"),
    "weights twice": (("--weights", "latency=1,latency=2"), "'latency' is given twice"),
    "weights unknown": (("--weights", "speed=1"), "weights name 'speed'"),
    "weights negative": (("--weights", "latency=-1"), "the weight of latency is -1"),
    "weights NaN": (("--weights", "latency=nan"), "the weight of latency is nan"),
    "weights zero": (("--weights", "latency=0,energy=0"), "all weights are 0"),
    "slo zero": (("--slo-ms", "0"), "slo_ms is 0"),
    "slo NaN": (("--slo-ms", "nan"), "slo_ms is nan"),
    "slo too short": (("--slo-ms", "5"), "the fastest takes 10 ms, 5 ms more"),
    "no stages": (("--max-stages", "0"), "max_stages is 0"),
    "half a stage": (("--max-stages", "1.5"), "'1.5' is not a valid integer"),
    "source": (("--source", "phone"), "no node 'phone': the cluster has high, green"),
    "strategy": (("--strategy", "best"), "'best' is not one of 'exact', 'paper', 'greedy'"),
    "strategy too slow": (("--strategy", "paper", "--slo-ms", "11"), "strategy 'paper' finds no"),
    "no time": (("--time-limit", "0"), "time_limit_s is 0"),
    "negative time": (("--time-limit", "-1"), "time_limit_s is -1"),
    "front and objective": (("--pareto", "--objective", "energy"), "--pareto gives the plans"),
    "front and mode": (("--pareto", "--mode", "green"), "--pareto gives the plans"),
    "front and weights": (("--pareto", "--weights", "latency=1"), "--pareto gives the plans"),
    "front and strategy": (("--pareto", "--strategy", "paper"), "--pareto gives the plans"),
    "front too slow": (("--pareto", "--slo-ms", "5"), "the fastest takes 10 ms"),
    "plot of a kind": (("--plot", "front.pdf"), "name a file that ends in .png or .svg"),
    "plot nowhere": (("--plot", "no/front.png"), "cannot write the plot 'no/front.png'"),
    "costs": (("--costs", "guessed"), "'guessed' is not one of"),
    "no such option": (("--fastest",), "--fastest"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_one_line_and_exit_code_2(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_line(call(capsys, *PLAN, *options), message)


def _cluster(old: str, new: str) -> str:
    assert old in CLUSTER
    return CLUSTER.replace(old, new)


INFEASIBLE = {
    "one operator": (
        _cluster("memory_mb = 1000", "memory_mb = 3"),
        (),
        "operator 'n0' needs 3.161 MB",
    ),
    "the cluster": (_cluster("memory_mb = 1000", "memory_mb = 12"), (), "the model needs 33.13 MB"),
    "one node": (
        _cluster("memory_mb = 1000", "memory_mb = 17"),
        (),
        "node 'high' has 17 MB and the smallest stage that would help needs 17.253 MB",
    ),
    "stages": (
        _cluster("memory_mb = 1000", "memory_mb = 20"),
        ("--max-stages", "1"),
        "at least 2 stages, for it takes 33.134 MB and the largest node has 20 MB",
    ),
    "links": (
        CLUSTER.replace("memory_mb = 1000", "memory_mb = 20").split("[[link]]")[0],
        (),
        "there is no link from 'high' to 'green'",
    ),
    "source": (
        CLUSTER.replace("memory_mb = 1000", "memory_mb = 20", 1).split("[[link]]")[0],
        ("--source", "high"),
        "there is no link from 'high' to 'green' and no link from 'green' to 'high'; add",
    ),
}


@pytest.mark.parametrize(("text", "options", "message"), INFEASIBLE.values(), ids=INFEASIBLE)
def test_an_infeasible_plan_says_what_is_lacking(
    text: str, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cluster.toml").write_text(text)
    assert_one_line(call(capsys, *PLAN, *options), message)


def test_no_plot_library_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert_one_line(call(capsys, *PLAN, "--plot", "front.png"), 'pip install "carbonedge[plot]"')


def test_a_small_model_has_a_small_front(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(models.layers(), "small.onnx")
    code, out, err = call(capsys, "plan", "small.onnx", *PLAN[2:], "--pareto", "--max-stages", "1")
    assert (code, err) == (0, "")
    assert "2 plans are bettered by none in latency and emissions, proven.\n" in out
