from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from command_line import assert_one_line, call

import carbonedge.cli.comparison

CLUSTER = """
[[node]]
name = "a"
cpu_cores = 1
memory_mb = 100
power_w = 10
intensity_g_per_kwh = 500
avg_time_ms = 1

[[node]]
name = "b"
cpu_cores = 1
memory_mb = 100
power_w = 4
intensity_g_per_kwh = 50
avg_time_ms = 2
speed = 0.5

[[link]]
source = "a"
target = "b"
bandwidth_mbps = 1000
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model, a cluster and an input."""
    monkeypatch.chdir(tmp_path)
    onnx.save(models.layers(), "model.onnx")
    Path("cluster.toml").write_text(CLUSTER)
    np.savez("input.npz", x=np.ones((1, models.WIDTH), np.float32))
    return tmp_path


@pytest.mark.usefixtures("files")
def test_run_prints_a_table_the_split_and_the_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(
        capsys,
        "run",
        "model.onnx",
        "--cluster",
        "cluster.toml",
        "--requests",
        "3",
        "--input",
        "input.npz",
    )
    assert (code, err) == (0, "")
    assert "routed" in out
    assert "split" in out
    assert "emulated" in out
    assert "modelled" in out
    assert "Largest difference between split and whole output: 0" in out


@pytest.mark.usefixtures("files")
def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(
        capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--requests", "2", "--json"
    )
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["rows"][0]["requests"] == 2
    assert document["plan"]["stages"][0]["start"] == 0
    assert document["interrupted"] is False


@pytest.mark.usefixtures("files")
def test_plan_prints_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("plan", "model.onnx", "--cluster", "cluster.toml", "--mode", "balanced")
    code, out, _ = call(capsys, *command, "--costs", "macs")
    assert code == 0
    assert "proven least emissions" in out
    assert "macs costs" in out
    code, out, _ = call(capsys, *command, "--costs", "macs", "--json")
    assert json.loads(out)["costs"] == "macs"


@pytest.mark.usefixtures("files")
def test_nodes_shows_the_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "nodes", "cluster.toml")
    assert code == 0
    assert "a <-> b" in out
    code, out, _ = call(capsys, "nodes", "cluster.toml", "--json")
    assert json.loads(out)["nodes"][1]["intensity_g_per_kwh"] == 50


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ["[b]x[/y]", "rack:a:1"])
def test_brackets_and_colons_in_names_are_printed_as_they_are(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cluster.toml").write_text(CLUSTER.replace('"a"', f'"{name}"'))
    code, out, _ = call(capsys, "nodes", "cluster.toml")
    assert code == 0
    assert name in out


def test_the_version_names_the_backend(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--version")
    assert code == 0
    assert out.startswith("carbonedge 0.")
    assert "backend" in out


def test_the_demo_runs_as_installed() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from carbonedge.cli import main; main()",
            "demo",
            "--requests",
            "2",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert [row["mode"] for row in document["rows"]] == [
        "performance",
        "balanced",
        "green",
        "balanced",
    ]
    assert document["largest_difference"] <= document["tolerance"]
    assert len(document["plan"]["stages"]) > 1


def _edited(old: str, new: str) -> str:
    assert old in CLUSTER
    return CLUSTER.replace(old, new, 1)


WRONG_CLUSTERS = {
    "no such file": (None, "No such file"),
    "broken TOML": ("[[node", "cluster.toml"),
    "unknown key": (_edited("power_w", "power_watts"), "did you mean 'power_w'?"),
    "unknown table": (CLUSTER + "\n[battery]\n", "unknown key 'battery'"),
    "a meter of no kind": (CLUSTER + "\n[meter]\n", "write [meter], and its kind below"),
    "an unknown meter": (CLUSTER + "\n[meter]\nkind = 'crystal'\n", "no meter 'crystal'"),
    "an unknown source": (CLUSTER + "\n[intensity]\nsource = 'sun'\n", "intensities 'sun'"),
    "duplicate name": (_edited('name = "b"', 'name = "a"'), "two nodes are named 'a'"),
    "link to nowhere": (_edited('target = "b"', 'target = "c"'), "'c', which is not a node"),
    "no nodes": ("", "no nodes"),
    "NaN capacity": (_edited("cpu_cores = 1", "cpu_cores = nan"), "cpu_cores of node 'a' is nan"),
    "infinite memory": (_edited("memory_mb = 100", "memory_mb = inf"), "is inf"),
    "zero power": (_edited("power_w = 10", "power_w = 0"), "power_w of node 'a' is 0"),
    "negative power": (_edited("power_w = 10", "power_w = -1"), "power_w of node 'a' is -1"),
    "negative intensity": (_edited("500", "-5"), "intensity_g_per_kwh of node 'a' is -5"),
    "NaN intensity": (_edited("500", "nan"), "intensity_g_per_kwh of node 'a' is nan"),
    "no intensity": (_edited("intensity_g_per_kwh = 500\n", ""), "has no carbon intensity"),
    "too little memory": (CLUSTER.replace("memory_mb = 100", "memory_mb = 1e-6"), "add memory"),
}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("text", "message"), WRONG_CLUSTERS.values(), ids=WRONG_CLUSTERS)
def test_a_wrong_cluster_is_one_line_and_exit_code_2(
    text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        Path("cluster.toml").unlink()
    else:
        Path("cluster.toml").write_text(text)
    assert_one_line(
        call(capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--requests", "1"), message
    )


WRONG_MODELS = {
    "no such file": (None, "No such file"),
    "not ONNX": (b"a poem", "not an ONNX model"),
    "empty": (b"", "not an ONNX model"),
    "truncated": (models.layers().SerializeToString()[:400], "cut short"),
    "unknown operator": (models.unknown_operator().SerializeToString(), "Frobnicate"),
}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("content", "message"), WRONG_MODELS.values(), ids=WRONG_MODELS)
def test_a_wrong_model_is_one_line_and_exit_code_2(
    content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        Path("model.onnx").unlink()
    else:
        Path("model.onnx").write_bytes(content)
    assert_one_line(
        call(capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--requests", "1"), message
    )


WRONG_INPUTS: dict[str, tuple[dict[str, Any] | bytes | None, str]] = {
    "no such file": (None, "No such file"),
    "no archive": (b"a poem", "cannot read inputs"),
    "wrong name": ({"z": np.ones((1, 8), np.float32)}, "'x' is missing"),
    "wrong type": ({"x": np.ones((1, 8))}, "'x' is float64"),
    "wrong shape": ({"x": np.ones((8, 1), np.float32)}, "'x' has shape (8, 1)"),
}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("content", "message"), WRONG_INPUTS.values(), ids=WRONG_INPUTS)
def test_a_wrong_input_is_one_line_and_exit_code_2(
    content: dict[str, Any] | bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("input.npz").unlink()
    if isinstance(content, bytes):
        Path("input.npz").write_bytes(content)
    elif content is not None:
        np.savez("input.npz", **content)
    assert_one_line(
        call(capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--input", "input.npz"),
        message,
    )


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "model.onnx", "--cluster", "cluster.toml", "--requests", "0"), "0 is not in"),
        (("run", "model.onnx", "--cluster", "cluster.toml", "--mode", "turbo"), "turbo"),
        (("run", "model.onnx", "--cluster", "cluster.toml", "--slo-ms", "-1"), "slo_ms is -1"),
        (("run", "model.onnx"), "--cluster"),
        (("demo", "--requests", "0"), "0 is not in"),
        (("plan", "model.onnx", "--cluster", "cluster.toml", "--slo-ms", "1e-9"), "fastest takes"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_line(call(capsys, *arguments), message)


@pytest.mark.usefixtures("files")
def test_ctrl_c_prints_what_was_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = carbonedge.cli.comparison.compare

    def interrupted(*args: Any, **more: Any) -> Any:
        count = iter(range(3))

        def advance() -> None:
            if next(count, None) is None:
                raise KeyboardInterrupt

        return compare(*args, **{**more, "advance": advance})

    monkeypatch.setattr(carbonedge.cli.comparison, "compare", interrupted)
    code, out, _ = call(
        capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--requests", "10", "--json"
    )
    assert code == 130
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["rows"][0]["requests"] == 4


@pytest.mark.usefixtures("files")
def test_an_unfaithful_split_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "carbonedge.runtime.session.InferenceSession.run_with_footprint",
        _adding_one(carbonedge.InferenceSession.run_with_footprint),
    )
    code, _, err = call(capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--requests", "1")
    assert code == 1
    assert "differ" in err


def _adding_one(run: Any) -> Any:
    def wrong(*args: Any) -> Any:
        outputs, footprint = run(*args)
        return [output + 1 for output in outputs], footprint

    return wrong


@pytest.mark.usefixtures("files")
def test_a_narrow_terminal_drops_no_column_of_a_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbonedge.cli.console.PLAIN_WIDTH", 40)
    code, out, _ = call(capsys, "run", "model.onnx", "--cluster", "cluster.toml", "--requests", "1")
    assert code == 0
    (row,) = [line.split() for line in out.splitlines() if " routed " in line]
    assert row[0] == "green"
