from __future__ import annotations

import json
import re
from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from command_line import assert_one_line, call

from carbonedge import load_model
from carbonedge.planning import read_profile

CLUSTER = """
[[node]]
name = "a"
cpu_cores = 1
memory_mb = 100
power_w = 10
intensity_g_per_kwh = 500

[[node]]
name = "b"
cpu_cores = 1
memory_mb = 100
power_w = 4
intensity_g_per_kwh = 50
speed = 0.5

[[link]]
source = "a"
target = "b"
bandwidth_mbps = 1000
"""
PLAN = ("plan", "model.onnx", "--cluster", "cluster.toml")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, with a model, a cluster, an input and a profile."""
    monkeypatch.chdir(tmp_path)
    onnx.save(models.layers(batch="N"), "model.onnx")
    Path("cluster.toml").write_text(CLUSTER)
    np.savez("input.npz", x=np.ones((3, models.WIDTH), np.float32))


def test_it_prints_types_and_slowest_operators_and_keeps_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, "profile", "model.onnx", "-o", "p.json", "--threads", "2")
    assert (code, err) == (0, "")
    assert re.search(r"MatMul +4 +0\.0 ", out)
    assert re.search(r"MatMul_\d +MatMul +\d ", out)
    assert "threads: 2" in out
    measured = read_profile("p.json")
    assert measured.conditions.threads == 2
    assert len(measured.operators) == 8


def test_a_profile_that_cannot_be_kept_is_not_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    result = call(capsys, "profile", "model.onnx", "-o", "no/p.json")
    assert_one_line(result, "cannot write the profile 'no/p.json': its folder is not there")


def test_json_is_one_object_with_every_operator(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "profile", "model.onnx", "--input", "input.npz", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["inputs"] == {"x": [3, models.WIDTH]}
    first = document["operators"][0]
    assert (first["op_type"], first["macs"]) == ("MatMul", 3 * models.WIDTH**2)
    total_ms = sum(row["time_ms"] for row in document["operators"])
    assert total_ms + document["overhead_ms"] == pytest.approx(document["run_ms"])


def test_plan_and_run_use_a_profile_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "profile", "model.onnx", "-o", "p.json")
    text = json.loads(Path("p.json").read_text())
    text["time_ms"] = [1000.0] * 8
    text["overhead_ms"] = 0.0
    Path("p.json").write_text(json.dumps(text))
    code, out, _ = call(capsys, *PLAN, "--mode", "performance", "--profile", "p.json", "--json")
    assert code == 0
    assert json.loads(out)["latency_ms"] == pytest.approx(8000, rel=1e-3)
    code, out, _ = call(
        capsys, "run", *PLAN[1:], "--requests", "1", "--profile", "p.json", "--json"
    )
    assert code == 0
    assert json.loads(out)["plan"]["latency_ms"] == pytest.approx(16000, rel=1e-3)


def test_a_nodes_own_profile_is_used_for_that_node(capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "profile", "model.onnx", "-o", "p=1.json")
    text = json.loads(Path("p=1.json").read_text())
    text["time_ms"] = [1000.0] * 8
    text["conditions"]["cpu"] = "abacus"
    Path("b.json").write_text(json.dumps(text))
    code, out, err = call(
        capsys, *PLAN, "--mode", "green", "--profile", "p=1.json", "--profile", "b=b.json", "--json"
    )
    assert (code, err) == (0, "")
    # Node b emits 1/25 of node a in the same time, and takes very much longer.
    assert [stage["node"] for stage in json.loads(out)["stages"]] == ["a"]


@pytest.mark.parametrize("command", [PLAN, ("run", *PLAN[1:], "--requests", "1")])
def test_a_stale_profile_is_one_line(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "profile", "model.onnx", "-o", "p.json", "--threads", "2")
    result = call(capsys, *command, "--profile", "p.json")
    assert_one_line(result, "number of threads 2 and this is 1; measure again")
    call(capsys, "profile", "model.onnx", "-o", "p.json")
    onnx.save(models.layers(3), "model.onnx")
    assert_one_line(call(capsys, *command, "--profile", "p.json"), "measured for model")
    result = call(capsys, *command, "--profile", "b=p.json")
    assert_one_line(result, "the profile of node 'b' is stale")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "none.json"], "cannot read profile 'none.json'"),
        (["--profile", "c=p.json"], "'c', which is not there: choose from a, b"),
        (["--profile", "p.json", "--profile", "p.json"], "second for this machine"),
        (["--profile", "a=p.json", "--profile", "a=p.json"], "second for node 'a'"),
        (["--profile", "p.json", "--costs", "macs"], "not 'macs'"),
        (["--input", "none.npz"], "cannot read inputs from 'none.npz'"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "profile", "model.onnx", "-o", "p.json")
    assert_one_line(call(capsys, *PLAN, *arguments), message)


def test_a_plan_is_for_the_sizes_of_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text(CLUSTER.replace("memory_mb = 100", "memory_mb = 0.0012"))
    code, out, _ = call(capsys, *PLAN, "--input", "input.npz", "--mode", "performance", "--json")
    assert code == 0
    [transfer] = json.loads(out)["transfers"]
    assert transfer["mb"] == pytest.approx(3 * models.WIDTH * 4 / 1e6)


@pytest.mark.parametrize("command", [PLAN, ("run", *PLAN[1:], "--requests", "1")])
def test_a_profile_goes_with_the_input_it_was_measured_with(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    request = ("--input", "input.npz")
    for options in ((), request):
        call(capsys, "profile", "model.onnx", "-o", "p.json", *options)
        for same in ((), options):
            code, _, err = call(capsys, *command, "--profile", "p.json", *same)
            assert (code, err) == (0, "")
    call(capsys, "profile", "model.onnx", "-o", "p.json")
    result = call(capsys, *command, "--profile", "p.json", *request)
    assert_one_line(result, "give `carbonedge profile` and the plan the same --input")


def test_all_cuts_may_part_what_is_fused(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(fused_product(), "model.onnx")
    cluster = CLUSTER.replace("memory_mb = 100", "memory_mb = 0.00033")
    Path("cluster.toml").write_text(cluster)
    assert len(load_model("model.onnx").operators) == 3
    command = (*PLAN, "--mode", "performance")
    assert_one_line(call(capsys, *command), "memory")
    code, out, _ = call(capsys, *command, "--all-cuts", "--json")
    assert code == 0
    document = json.loads(out)
    [cut] = [stage["start"] for stage in document["stages"][1:]]
    assert document["parting"] == [cut]
    code, out, _ = call(capsys, *command, "--all-cuts")
    assert f"cut at {cut}, what ONNX Runtime fuses is parted: the stages beside it take" in out
    Path("cluster.toml").write_text(CLUSTER)
    for options in (("--max-stages", "1"), ("--objective", "latency")):
        code, out, _ = call(capsys, *PLAN, "--all-cuts", *options)
        assert code == 0
        assert "is parted" not in out


def test_that_nobody_looked_at_what_is_parted_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(fused_product(), "model.onnx")
    timed = CLUSTER.replace("power_w", "avg_time_ms = 1\npower_w")
    Path("cluster.toml").write_text(timed.replace("memory_mb = 100", "memory_mb = 0.00033"))
    code, out, _ = call(capsys, *PLAN, "--costs", "macs", "--all-cuts", "--pareto")
    assert code == 0
    assert "parts what ONNX Runtime fuses, which nobody looked at" in out
    _, out, _ = call(capsys, *PLAN, "--costs", "macs", "--all-cuts", "--json")
    assert json.loads(out)["parting"] is None


def fused_product() -> onnx.ModelProto:
    """A product, its bias and its activation, which run as one."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[1,8] x) => (float[1,8] y)
        { m = MatMul(x, w) a = Add(m, b) y = Relu(a) }"""
    )
    for name, shape in (("w", (8, 8)), ("b", (8,))):
        values = np.ones(shape, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    assert isinstance(model, onnx.ModelProto)
    return model


def test_all_commands_make_up_the_same_request(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(models.valid_convolution(), "model.onnx")
    _, out, _ = call(capsys, "profile", "model.onnx", "-o", "p.json")
    assert "made up: x 1x1x64x64; --input brings others." in out
    assert read_profile("p.json").inputs == {"x": (1, 1, 64, 64)}
    code, out, err = call(capsys, *PLAN)
    assert (code, err) == (0, "")
    assert "made up: x 1x1x64x64; --input brings others." in out
    run = ("run", *PLAN[1:], "--profile", "p.json", "--requests", "2")
    assert call(capsys, *run)[0] == 0
    np.savez("input.npz", x=np.ones((1, 1, 9, 9), np.float32))
    assert "made up" not in call(capsys, *PLAN, "--input", "input.npz")[1]


def test_a_plan_is_for_the_sizes_of_its_profile(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(models.valid_convolution(), "model.onnx")
    np.savez("input.npz", x=np.ones((1, 1, 1002, 1002), np.float32))
    call(capsys, "profile", "model.onnx", "--input", "input.npz", "-o", "p.json")
    code, out, _ = call(capsys, *PLAN, "--profile", "p.json", "--json")
    assert code == 0
    assert sum(stage["memory_mb"] for stage in json.loads(out)["stages"]) == pytest.approx(4, 0.01)
