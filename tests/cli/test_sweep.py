from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import assert_one_line, call

from carbonedge.cli import console

TIMED = """
[[node]]
name = "node-high"
cpu_cores = 1.0
memory_mb = 1024
power_w = 3.55
intensity_g_per_kwh = 620
avg_time_ms = 254.85

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
SWEEP = ("sweep", "--cluster", "cluster.toml")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To work in, with the paper's two extreme nodes."""
    monkeypatch.chdir(tmp_path)
    Path("cluster.toml").write_text(TIMED)


def test_a_table_of_both_scorings_and_where_they_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, *SWEEP)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["w_C", "paper", "ms", "gCO2eq", "normalized", "ms", "gCO2eq"]
    assert rows[1] == ["0.00", *("node-high", "254.85", "1.558e-04") * 2]
    assert rows[21] == ["1.00", *("node-green", "585.00", "8.768e-05") * 2]
    assert "paper: node-high from 0.00, node-green from 0.40\n" in out
    assert "normalized: node-high from 0.00, node-green from" in out
    assert "task of 0.1 CPU cores and 64 MB" in out
    assert "proportions of balanced" in out
    assert "assumed" not in out


@pytest.mark.parametrize("width", [40, 80, 120])
def test_long_names_fold_and_leave_the_numbers(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PLAIN_WIDTH", width)
    Path("cluster.toml").write_text(TIMED.replace("node-high", "node-" * 20))
    _, out, _ = call(capsys, *SWEEP)
    first = next(line for line in out.splitlines() if line.startswith("0.00"))
    assert first.count("254.85") == first.count("1.558e-04") == 2


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    needs = ("--cpu-cores", "0.3", "--memory-mb", "100")
    code, out, err = call(
        capsys, *SWEEP, *needs, "--mode", "green", "--steps", "3", "--json", "--plot", "plot.svg"
    )
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["mode"] == "green"
    assert document["task"]["cpu_cores"] == 0.3
    assert document["task"]["memory_mb"] == 100
    assert [step["weights"]["carbon"] for step in document["steps"]] == [0, 0.5, 1]
    last = document["steps"][-1]["choices"]["normalized"]
    assert last["node"] == "node-green"
    assert last["emissions_g"] == pytest.approx(1.42 * 0.585 * 380 / 3.6e6)
    assert Path("plot.svg").exists()


@pytest.mark.parametrize("steps", [2, 4, 8, 9, 21, 41, 101, 202])
def test_weights_of_carbon_are_told_apart(steps: int, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, *SWEEP, "--steps", str(steps))
    printed = [line.split()[0] for line in out.splitlines()[1 : steps + 1]]
    assert len(set(printed)) == steps


def test_a_time_at_speed_1_serves_nodes_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text(UNTIMED)
    code, out, _ = call(capsys, *SWEEP, "--time-ms", "100")
    assert code == 0
    assert "Times assumed from speeds: node-high 100.00 ms, node-green 250.00 ms." in out


def test_a_plot_is_saved_beside_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *SWEEP, "--plot", "plot.png")
    assert (code, err) == (0, "")
    assert out.endswith("The plot is in plot.png.\n")
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")


def test_matplotlib_is_loaded_for_a_plot_only() -> None:
    code = (
        "import sys; from carbonedge.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, *SWEEP], capture_output=True, check=True)


WRONG_CLUSTERS = {
    "no such file": (None, "No such file"),
    "unknown key": (TIMED.replace("power_w", "power_watts", 1), "did you mean 'power_w'?"),
    "no intensity": (
        TIMED.replace("intensity_g_per_kwh = 380\n", ""),
        "'node-green' has no carbon intensity",
    ),
    "no times": (UNTIMED, "avg_time_ms of 'node-high', 'node-green' is 0"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_CLUSTERS.values(), ids=WRONG_CLUSTERS)
def test_a_wrong_cluster_is_one_line_and_exit_code_2(
    text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        Path("cluster.toml").unlink()
    else:
        Path("cluster.toml").write_text(text)
    assert_one_line(call(capsys, *SWEEP), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "1"), "1 is not in"),
        (("--mode", "turbo"), "turbo"),
        (("--cpu-cores", "2"), "no node can take the task"),
        (("--cpu-cores", "nan"), "cpu_cores of the task is nan"),
        (("--memory-mb", "-1"), "memory_mb of the task is -1"),
        (("--memory-mb", "2000"), "the task needs 2000"),
        (("--time-ms", "0"), "time_ms is 0"),
        (("--time-ms", "inf"), "time_ms is inf"),
        (("--plot", "plot.pdf"), "name a file that ends in .png or .svg"),
        (("--plot", "nowhere/plot.png"), "cannot write the plot 'nowhere/plot.png': No such file"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_line(call(capsys, *SWEEP, *arguments), message)


def test_a_missing_matplotlib_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert_one_line(call(capsys, *SWEEP, "--plot", "plot.png"), 'pip install "carbonedge[plot]"')
