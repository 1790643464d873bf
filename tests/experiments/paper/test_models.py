from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto
from onnx.helper import make_node
from photo_model import photo_model, save_photo_model

from carbonedge import ModelError
from carbonedge.experiments.paper import read_models


def test_the_papers_models_come_first_and_in_its_order(tmp_path: Path) -> None:
    names = ("other", "efficientnet_b0", "mobilenetv4_conv_small", "mobilenetv2_100")
    models = read_models([save_photo_model(tmp_path, name) for name in names])
    assert [model.label for model in models] == [
        *("MobileNetV2", "MobileNetV4", "EfficientNet-B0"),
        "other",
    ]
    assert {model.input for model in models} == {"photo"}


def test_a_model_that_takes_no_photo_is_refused(tmp_path: Path) -> None:
    path = save_photo_model(tmp_path, side=64)
    with pytest.raises(ModelError, match=r"\(1, 3, 64, 64\).*1x3x224x224"):
        read_models([path])


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [save_photo_model(tmp_path, name) for name in ("mobilenetv2_a", "mobilenetv2_b")]
    with pytest.raises(ModelError, match="two models are MobileNetV2"):
        read_models(paths)


def test_a_model_that_takes_other_numbers_is_refused(tmp_path: Path) -> None:
    model = photo_model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.input[0].name = "half"
    cast = make_node("Cast", ["half"], ["photo"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
    onnx.save(model, tmp_path / "half.onnx")
    with pytest.raises(ModelError, match=r"takes tensor\(float16\) .*float32"):
        read_models([tmp_path / "half.onnx"])
