from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import assert_one_line, call
from photo_model import save_photo_model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To work in, with a model that takes a photo and one that does not."""
    monkeypatch.chdir(tmp_path)
    save_photo_model(tmp_path, "good")
    save_photo_model(tmp_path, "small", side=64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx"], "missing.onnx"),
        (["small.onnx"], "1x3x224x224"),
        (["good.onnx", "good.onnx"], "two models are good"),
        (["good.onnx", "--photos", "nowhere"], "cannot read the folder of photos"),
        (["good.onnx", "--photos", "."], "there are no photos in"),
        (["good.onnx", "-o", "good.onnx"], "cannot write into the folder"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_line(call(capsys, "paper", *arguments), message)


def test_without_models_and_torch_it_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert_one_line(call(capsys, "paper"), "torch is not installed")
