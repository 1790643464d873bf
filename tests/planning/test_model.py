from __future__ import annotations

from pathlib import Path

import models
import onnx
import pytest
from onnx import TensorProto, helper

from carbonedge import ModelError, load_model
from carbonedge.experiments import light_model


def test_operators_that_depend_on_no_input_or_serve_no_output_are_left_out() -> None:
    graph = load_model(models.prepared_constants())
    assert [operator.op_type for operator in graph.operators] == ["MatMul", "Tanh", "MatMul"]
    assert [node.op_type for node in graph.constants] == ["Constant", "Mul"]


def test_a_random_operator_is_no_constant() -> None:
    nodes = [
        helper.make_node("RandomNormal", [], ["noise"], shape=[1, 2]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 2)) for n in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "g", infos[:1], infos[1:]))
    assert [op.op_type for op in load_model(model).operators] == ["RandomNormal", "Add"]


def test_boundary_tensors_are_what_later_operators_read() -> None:
    graph = load_model(models.skip_connection())
    crossing = [{tensor.name for tensor in cut.tensors} for cut in graph.cuts]
    assert crossing == [
        {"x"},
        {"x", "early"},
        {"x", "early", "a"},
        {"x", "early", "b"},
        {"early", "c"},
        {"early", "y"},
    ]
    assert graph.cuts[1].mb == pytest.approx(2 * models.WIDTH * 4 / 1e6)


def test_values_that_nested_graphs_capture_are_read() -> None:
    graph = load_model(models.captured_by_if())
    position = [operator.op_type for operator in graph.operators].index("If")
    assert {"flag", "a", "w"} <= set(graph.operators[position].inputs)
    assert "a" in {tensor.name for tensor in graph.cuts[position].tensors}


def test_dynamic_dimensions_keep_their_names_and_count_as_one() -> None:
    graph = load_model(models.layers(batch="N"))
    assert graph.inputs[0].shape == ("N", models.WIDTH)
    assert graph.inputs[0].mb == models.WIDTH * 4 / 1e6


def test_a_negative_dimension_is_a_dynamic_one() -> None:
    model = models.layers()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert load_model(model).inputs[0].shape == (None, models.WIDTH)


def test_weights_within_branches_take_memory() -> None:
    [branch] = load_model(models.weights_within_branches()).operators
    assert branch.parameter_mb == pytest.approx(2 * models.WIDTH**2 * 4 / 1e6)


def test_known_sizes_of_squeezenet() -> None:
    # 349 million multiply-accumulates and 1.24 million parameters, as published by the
    # authors of SqueezeNet 1.1's predecessor (arXiv 1602.07360) for 227 x 227; this
    # export takes 224 x 224 and 3 x 3 filters in its first layer.
    graph = load_model(light_model("squeezenet"))
    assert len(graph.operators) == 66
    assert sum(op.macs for op in graph.operators) == 349_151_936
    assert graph.parameter_mb == pytest.approx(4.94, abs=0.01)


def test_costs_of_one_convolution_by_hand() -> None:
    conv = load_model(light_model("squeezenet")).operators[0]
    assert conv.op_type == "Conv"
    assert conv.paper_cost == 3 * 3 * 3 * 64
    assert conv.macs == 111 * 111 * 64 * 3 * 3 * 3
    assert conv.parameter_mb == (64 * 3 * 3 * 3 + 64) * 4 / 1e6
    assert conv.activation_mb == 64 * 111 * 111 * 4 / 1e6


def test_a_graph_is_returned_as_it_is_and_a_model_is_not_changed() -> None:
    model = models.layers()
    before = model.SerializeToString()
    graph = load_model(model)
    assert load_model(graph) is graph
    assert model.SerializeToString() == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.onnx.*No such file"):
        load_model(tmp_path / "missing.onnx")


def test_what_is_not_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("this is a poem about electricity\n" * 3)
    with pytest.raises(ModelError, match="not an ONNX model"):
        load_model(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_truncated_model_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.onnx"
    content = models.layers().SerializeToString()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"cut short|not a valid"):
        load_model(path)


def test_a_model_that_breaks_the_rules_is_refused() -> None:
    model = models.layers()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        load_model(model)


def test_what_is_no_model_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="give a path"):
        load_model(42)  # type: ignore[arg-type]


def test_the_summary_says_what_matters() -> None:
    summary = load_model(light_model("resnet50")).summary()
    assert "176 operators" in summary
    assert "102.4 MB" in summary


def test_saved_models_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(models.layers(), path)
    assert len(load_model(path).operators) == len(load_model(str(path)).operators) == 8
