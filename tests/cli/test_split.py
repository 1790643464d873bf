from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hard_models
import models
import numpy as np
import onnx
import pytest
from command_line import assert_one_line, call


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model of eight operators and a request."""
    monkeypatch.chdir(tmp_path)
    onnx.save(models.layers(batch="N"), "model.onnx")
    np.savez("input.npz", x=np.ones((5, models.WIDTH), np.float32))
    return tmp_path


def split(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return call(capsys, "split", "model.onnx", *arguments)


def verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return call(capsys, "verify", "model.onnx", *arguments)


def break_stage() -> None:
    stage = onnx.load("stages/stage-1.onnx")
    next(node for node in stage.graph.node if node.op_type == "Tanh").op_type = "Sigmoid"
    onnx.save(stage, "stages/stage-1.onnx")


def test_split_writes_stages_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = split(capsys, "--at", "3,5", "-o", "stages")
    assert (code, err) == (0, "")
    assert "stage-0.onnx" in out
    assert "3..5" in out
    assert sorted(path.name for path in Path("stages").iterdir()) == [
        "manifest.json",
        *(f"stage-{number}.onnx" for number in range(3)),
    ]
    onnx.checker.check_model("stages/stage-1.onnx", full_check=True)


def test_split_prints_the_manifest_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = split(capsys, "--at", "4", "-o", "stages", "--json")
    assert code == 0
    assert out == Path("stages/manifest.json").read_text()
    manifest = json.loads(out)
    assert manifest["version"] == 1
    assert manifest["model"] == "model.onnx"
    assert manifest["cuts"] == [4]
    assert manifest["inputs"] == [
        {"name": "x", "dtype": "tensor(float)", "shape": ["N", models.WIDTH]}
    ]
    assert [(stage["start"], stage["stop"]) for stage in manifest["stages"]] == [(0, 4), (4, 8)]
    assert manifest["stages"][1]["inputs"] == [
        {"name": "h1", "dtype": "tensor(float)", "shape": ["N", models.WIDTH]}
    ]


@pytest.mark.parametrize("arguments", [(), ("--input", "input.npz")], ids=["made up", "given"])
def test_verify_finds_a_true_split_equal(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    split(capsys, "--at", "2,6", "-o", "stages")
    code, out, err = verify(capsys, "stages", *arguments)
    assert (code, err) == (0, "")
    assert "3 stages of model.onnx" in out
    assert "bit for bit" in out or "at most 1e-05 allowed" in out


def test_verify_gives_a_wrong_split_away(capsys: pytest.CaptureFixture[str]) -> None:
    split(capsys, "--at", "2,6", "-o", "stages")
    break_stage()
    code, out, _ = verify(capsys, "stages")
    assert code == 1
    assert "largest difference" in out
    assert "at most 1e-05 allowed" in out
    code, out, _ = verify(capsys, "stages", "--json")
    assert code == 1
    answer: dict[str, Any] = json.loads(out)
    assert answer["largest_difference"] > answer["tolerance"] == 1e-5
    assert (answer["equal"], answer["faithful"], answer["stages"]) == (False, False, 3)
    assert answer["outputs"][0]["name"] == "y"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("0", "a cut at 0 has no operators on both sides"),
        ("8", "the model has 8, so give positions between 1 and 7"),
        ("9", "a cut at 9 has no operators on both sides"),
        ("-1", "a cut at -1 has no operators on both sides"),
        ("5,3", "cut 3 follows 5: give each position once, in rising order"),
        ("3,3", "cut 3 is given twice: give each position once"),
        ("3;5", "not whole numbers with commas"),
        ("", "not whole numbers with commas"),
        ("1.5", "not whole numbers with commas"),
    ],
)
def test_a_wrong_position_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], at: str, message: str
) -> None:
    assert_one_line(split(capsys, f"--at={at}", "-o", "stages"), message)
    assert not Path("stages").exists()


def test_a_position_that_is_no_cut_is_said_why(capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,4] y) { a = Cast <to = 16> (x) y = Cast <to = 1> (a) }""")
    onnx.save(model, "model.onnx")
    assert_one_line(split(capsys, "--at", "1", "-o", "stages"), "no tensor(bfloat16)")


def test_what_cannot_be_read_or_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(call(capsys, "split", "gone.onnx", "--at", "1", "-o", "s"), "gone.onnx")
    assert_one_line(split(capsys, "-o", "stages"), "--at")
    assert_one_line(split(capsys, "--at", "3"), "--output")
    Path("file").write_text("in the way")
    assert_one_line(
        split(capsys, "--at", "3", "-o", "file"), "cannot write stages to 'file': File exists"
    )
    assert_one_line(verify(capsys, "nowhere"), "manifest.json")
    Path("model.onnx").write_bytes(b"a poem")
    assert_one_line(split(capsys, "--at", "3", "-o", "stages"), "not an ONNX model")


def test_verify_wants_the_model_the_stages_and_a_request_that_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    split(capsys, "--at", "3", "-o", "stages")
    np.savez("wrong.npz", x=np.ones((5, 2), np.float32))
    assert_one_line(verify(capsys, "stages", "--input", "wrong.npz"), "has shape (5, 2)")
    assert_one_line(verify(capsys, "stages", "--input", "gone.npz"), "gone.npz")
    Path("stages/stage-1.onnx").unlink()
    assert_one_line(verify(capsys, "stages"), "stage-1.onnx")
    onnx.save(models.layers(2), "model.onnx")
    assert_one_line(verify(capsys, "stages"), "stages of another model")


@pytest.mark.parametrize("what", hard_models.HARD)
def test_hard_models_pass_through_both_commands(
    capsys: pytest.CaptureFixture[str], what: str
) -> None:
    Path("model.onnx").write_bytes(hard_models.hard_model(what).SerializeToString())
    assert split(capsys, "--at", "1,2", "-o", "stages")[0] == 0
    feed = hard_models.HARD[what][1]
    np.savez("input.npz", **{n: v.astype(str) if v.dtype == object else v for n, v in feed.items()})
    code, _, err = verify(capsys, "stages", "--input", "input.npz")
    assert (code, err) == (0, "")
