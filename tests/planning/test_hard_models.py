"""Every cut of every model that is hard to cut."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hard_models
import numpy as np
import onnx
import onnxruntime
import pytest
from hard_models import HARD, X, hard_model
from onnx import ModelProto, TensorProto, helper, numpy_helper

from carbonedge import ModelError, ModelGraph, load_model
from carbonedge.planning import StageModel, split
from carbonedge.planning.assembly import assemble, is_heavy
from carbonedge.planning.difference import largest_difference
from carbonedge.planning.nested import node_tensors
from carbonedge.planning.session import open_session
from carbonedge.planning.stage_files import split_to_folder
from carbonedge.runtime.verification import verify

CLOSE = 1e-6


def run_whole(model: ModelProto, feed: Mapping[str, Any]) -> list[Any]:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)


def run_stages(
    graph: ModelGraph, stages: Sequence[StageModel], feed: Mapping[str, Any]
) -> list[Any]:
    tensors = dict(feed)
    for stage in stages:
        inputs = {name: tensors[name] for name in stage.inputs}
        results = open_session(stage).run(list(stage.outputs), inputs)
        tensors.update(zip(stage.outputs, results, strict=True))
    return [tensors[output.name] for output in graph.outputs]


def assert_survives_every_cut(
    model: ModelProto, feed: Mapping[str, Any], *, full_check: bool = True
) -> ModelGraph:
    whole = run_whole(model, feed)
    graph = load_model(model)
    positions = [cut.position for cut in graph.cuts[1:-1]]
    for chosen in ([], *([p] for p in positions), *itertools.combinations(positions, 2)):
        stages = split(graph, chosen)
        for stage in stages:
            onnx.checker.check_model(stage.proto, full_check=full_check)
        assert largest_difference(whole, run_stages(graph, stages, feed)) <= CLOSE
    return graph


@pytest.mark.parametrize("what", HARD)
def test_it_survives_every_cut(what: str) -> None:
    graph = assert_survives_every_cut(hard_model(what), HARD[what][1])
    assert len(graph.cuts) == len(graph.operators) + 1


def test_old_models_whose_weights_stand_among_the_inputs_survive() -> None:
    graph = assert_survives_every_cut(hard_models.old_style(), {"x": X})
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert [value.name for value in graph.proto.graph.initializer] == ["w"]


def test_sparse_weights_survive() -> None:
    # onnx's own inference, which the full check runs, cannot read them.
    assert_survives_every_cut(hard_models.sparse_weight(), {"x": X}, full_check=False)


def test_large_tensors_survive_wherever_they_stand() -> None:
    model = hard_models.heavy_everywhere()
    feed = {"x": np.ones((1, 48), np.float32), "flag": np.array(True)}
    graph = assert_survives_every_cut(model, feed)
    assert [operator.op_type for operator in graph.operators] == ["MatMul", "If", "MatMul", "Tanh"]


def test_a_captured_weight_goes_to_the_stage_that_captures_it() -> None:
    graph = load_model(hard_model("captured two levels deep, by a loop within a branch"))
    position = [operator.op_type for operator in graph.operators].index("If")
    before, after = split(graph, [position])
    assert "w" not in {value.name for value in before.proto.graph.initializer}
    assert {"w", "trips"} == {value.name for value in after.proto.graph.initializer}
    assert "outer" in after.inputs


def test_a_shared_weight_is_stored_once_in_each_stage_that_reads_it() -> None:
    graph = load_model(hard_models.old_style())
    for stage in split(graph, [1]):
        assert [value.name for value in stage.proto.graph.initializer] == ["w"]


def test_what_no_inference_knows_onnx_runtime_tells() -> None:
    graph = load_model(hard_model("operators whose types only ONNX Runtime knows"))
    assert graph.tensors["a"].dtype == "tensor(float)"
    assert graph.tensors["a"].shape == ("N", 4)


def test_where_a_type_is_known_to_nobody_is_no_cut() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17, "nowhere" : 1]>
        g (float[1,4] x) => (float[1,4] y) {
            a = Tanh(x)
            b = nowhere.Frobnicate(a)
            y = nowhere.Frobnicate(b)
        }""")
    graph = load_model(model)
    assert [cut.position for cut in graph.cuts] == [0, 1, 3]
    with pytest.raises(ValueError, match="cannot be cut at 2: tensor 'b' of unknown type"):
        split(graph, [2])


def test_what_onnx_runtime_does_not_hand_over_is_no_cut() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,4] y) {
            a = Tanh(x)
            b = Cast <to = 16> (a)
            y = Cast <to = 1> (b)
        }""")
    with pytest.raises(ValueError, match=r"'b' crosses there, and .* no tensor\(bfloat16\)"):
        split(load_model(model), [2])


def test_a_tensor_of_unknown_rank_crosses_in_a_sequence() -> None:
    graph = load_model(hard_model("a rank that is known to nobody"))
    first, second = split(graph, [2])
    assert first.outputs == second.inputs == ("b/boxed",)


@pytest.mark.parametrize("what", HARD)
def test_its_stages_can_be_split_again(what: str) -> None:
    feed = HARD[what][1]
    whole = run_whole(hard_model(what), feed)
    graph = load_model(hard_model(what))
    for cut in graph.cuts[1:-1]:
        tensors = dict(feed)
        for stage in split(graph, [cut.position]):
            again = load_model(stage.proto)
            parts = split(again, [inner.position for inner in again.cuts[1:-1]])
            for part in parts:
                onnx.checker.check_model(part.proto, full_check=True)
            given = {name: tensors[name] for name in stage.inputs}
            tensors.update(zip(stage.outputs, run_stages(again, parts, given), strict=True))
        results = [tensors[output.name] for output in graph.outputs]
        assert largest_difference(whole, results) <= CLOSE


def test_a_box_takes_no_name_that_a_model_has_given() -> None:
    graph = hard_model("a rank that is known to nobody").graph
    nodes = {node.output[0]: node for node in graph.node}
    nodes["a"].output[0] = nodes["b"].input[0] = "b/boxed"
    nodes["c"].output[0] = nodes["y"].input[0] = "carbonedge/first"
    model = hard_model("a rank that is known to nobody")
    model.graph.CopyFrom(graph)
    feed = HARD["a rank that is known to nobody"][1]
    assert_survives_every_cut(model, feed)
    assert split(load_model(model), [2])[0].outputs == ("b/boxed_",)


def test_what_is_left_out_of_a_skeleton_takes_no_name_of_the_models() -> None:
    model = hard_models.heavy_everywhere()
    model.graph.node[0].output[0] = "carbonedge/0"
    for node in model.graph.node:
        for graph in (attribute.g for attribute in node.attribute):
            for inner in graph.node:
                inner.input[:] = ["carbonedge/0" if name == "a" else name for name in inner.input]
    feed = {"x": np.ones((1, 48), np.float32), "flag": np.array(True)}
    assert_survives_every_cut(model, feed)


def test_a_local_function_goes_to_the_stages_that_call_it() -> None:
    graph = load_model(hard_model("local functions, one of them of an operator's name"))
    called = [[f.name for f in stage.proto.functions] for stage in split(graph, [1, 2])]
    assert called == [["Tanh"], ["Tanh", "Twice"], []]


def test_what_onnx_runtime_optimised_is_split_although_onnx_knows_not_all_of_it() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,4] x, bool flag) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}> {
            a = LayerNormalization(x, w)
            b = SimplifiedLayerNormalization(a, w)
            c = If (flag) <
                then_branch = then () => (float[N,4] t) { t = LayerNormalization(b, w) },
                else_branch = other () => (float[N,4] e) { e = Identity(b) }>
            y = Tanh(c)
        }""")
    feed = {"x": np.repeat(X, 3, axis=0), "flag": np.array(True)}
    graph = load_model(model)
    assert graph.tensors["b"].shape == ("N", 4)
    stages = split(graph, [1, 2, 3])
    assert [stage.proto.graph.node[0].op_type for stage in stages[:2]] == [
        "LayerNormalization",
        "SimplifiedLayerNormalization",
    ]
    assert largest_difference(run_whole(model, feed), run_stages(graph, stages, feed)) <= CLOSE


def test_an_output_without_a_shape_is_given_one() -> None:
    model = hard_model("operators whose types only ONNX Runtime knows")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    graph = assert_survives_every_cut(model, {"x": np.repeat(X, 3, axis=0)})
    assert graph.outputs[0].shape == ("N", 4)


def test_random_numbers_are_drawn_in_one_stage_only() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[1,4] x) => (float[1,4] y, float[1,4] z) {
            noise = own.Noise()
            y = Add(x, noise)
            z = Sub(x, noise)
        }
        <domain: "own", opset_import: ["" : 17]>
        Noise () => (r) { r = RandomNormal <shape = [1, 4]> () }""")
    graph = load_model(model)
    assert "Noise" in [operator.op_type for operator in graph.operators]
    y, z = run_stages(graph, split(graph, [2]), {"x": X})
    np.testing.assert_allclose(y + z, 2 * X, rtol=1e-5)


def test_what_is_said_of_a_model_is_said_of_its_stages() -> None:
    model = hard_model("labels and maps, as of scikit-learn")
    model.producer_name, model.model_version, model.doc_string = "somebody", 7, "about it"
    helper.set_model_props(model, {"author": "somebody"})
    model.graph.metadata_props.add(key="layer", value="all")
    model.graph.node[0].metadata_props.add(key="line", value="12")
    annotation = model.graph.quantization_annotation.add()
    annotation.tensor_name = "scaled"
    for stage in split(load_model(model), [1]):
        proto = stage.proto
        assert (proto.producer_name, proto.model_version, proto.doc_string) == (
            "somebody",
            7,
            "about it",
        )
        assert [(p.key, p.value) for p in proto.metadata_props] == [("author", "somebody")]
        assert [p.value for p in proto.graph.metadata_props] == ["all"]
        assert proto.opset_import == model.opset_import
        assert [note.tensor_name for note in proto.graph.quantization_annotation] == ["scaled"]
        if stage.start == 0:
            assert [p.value for p in proto.graph.node[0].metadata_props] == ["12"]


def test_stale_shapes_of_inner_tensors_do_not_bind_a_boundary() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,4] x) => (float[N,4] y) { a = Tanh(x) y = Neg(a) }""")
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, (1, 4)))
    graph = load_model(model)
    assert graph.tensors["a"].shape == ("N", 4)
    many = {"x": np.repeat(X, 3, axis=0)}
    assert run_stages(graph, split(graph, [1]), many)[0].shape == (3, 4)


def make_external(tensor: TensorProto, folder: Path, location: str) -> None:
    """Put a tensor's bytes into a file, after those of another."""
    (folder / location).parent.mkdir(exist_ok=True)
    (folder / location).write_bytes(b"\0" * 64 + tensor.raw_data)
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "64"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def external_model(folder: Path) -> Path:
    """The heavy model, with its top-level weight in a file of its own."""
    model = hard_models.heavy_everywhere()
    make_external(model.graph.initializer[0], folder, "data/weights.bin")
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_stages_in_memory_read_external_data_where_it_is(tmp_path: Path) -> None:
    feed = {"x": np.ones((1, 48), np.float32), "flag": np.array(False)}
    expected = run_whole(hard_models.heavy_everywhere(), feed)
    graph = load_model(external_model(tmp_path))
    assert graph.folder == tmp_path
    for position in (1, 2, 3):
        stages = split(graph, [position])
        assert largest_difference(expected, run_stages(graph, stages, feed)) <= CLOSE
        assert stages[0].proto.graph.initializer[0].data_location == TensorProto.EXTERNAL


def test_one_sess_options_serves_all_stages_without_a_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = onnxruntime.SessionOptions()
    for stage in split(load_model(external_model(tmp_path)), [1, 2]):
        open_session(stage, sess_options=options)
    assert capfd.readouterr().err == ""


def test_weights_within_branches_may_be_external_too(tmp_path: Path) -> None:
    feed = {"x": np.ones((1, 48), np.float32), "flag": np.array(True)}
    model = hard_models.heavy_everywhere()
    expected = run_whole(model, feed)
    branch = next(node for node in model.graph.node if node.op_type == "If")
    for number, attribute in enumerate(branch.attribute):
        make_external(attribute.g.initializer[0], tmp_path, f"data/branch{number}.bin")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load_model(path)
    assert largest_difference(expected, run_stages(graph, split(graph, [1, 2]), feed)) <= CLOSE


def calls(*, within_branch: bool, as_argument: bool) -> ModelProto:
    """A large tensor in a local function: in its body, a branch in there, or its argument."""
    model = hard_models.heavy_everywhere()
    nodes = {node.output[0]: node for node in model.graph.node}
    function = onnx.FunctionProto(domain="own", name="Times", input=["a"], output=["b"])
    function.opset_import.add(domain="", version=17)
    call = helper.make_node("Times", ["a"], ["b"], domain="own")
    if within_branch:
        flag = numpy_helper.from_array(np.array(True))
        function.node.add().CopyFrom(helper.make_node("Constant", [], ["flag"], value=flag))
        function.node.add().CopyFrom(nodes["b"])
    else:
        function.node.add().CopyFrom(nodes["c"])
        function.node.add().CopyFrom(helper.make_node("MatMul", ["a", "c"], ["b"]))
    if as_argument:
        call.attribute.add().CopyFrom(nodes["c"].attribute[0])
        function.attribute.append("value")
        argument = function.node[0].attribute[0]
        argument.ClearField("t")
        argument.ref_attr_name = "value"
    nodes["b"].CopyFrom(call)
    model.opset_import.add(domain="own", version=1)
    model.functions.append(function)
    return model


@pytest.mark.parametrize(
    ("within_branch", "as_argument"), [(False, False), (True, False), (False, True)]
)
def test_weights_of_local_functions_may_be_external_too(
    tmp_path: Path, within_branch: bool, as_argument: bool
) -> None:
    feed = {"x": np.ones((1, 48), np.float32), "flag": np.array(True)}
    model = calls(within_branch=within_branch, as_argument=as_argument)
    expected = run_whole(model, feed)
    holders = [*model.graph.node, *model.functions[0].node]
    tensors = [t for node in holders for t in node_tensors(node) if t.raw_data and is_heavy(t)]
    for number, tensor in enumerate(tensors):
        make_external(tensor, tmp_path, f"data/{number}.bin")
    assert model.ByteSize() < 48 * 48 * 4 + 3000  # but for the initializer
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load_model(path)
    assert graph.tensors["b"].shape == (1, 48)
    assert largest_difference(expected, run_stages(graph, split(graph, [1, 2]), feed)) <= CLOSE
    split_to_folder(path, [1, 2], tmp_path / "stages")
    assert verify(path, tmp_path / "stages", feed).largest_difference <= CLOSE


def test_no_large_tensor_is_in_what_is_checked() -> None:
    model = calls(within_branch=True, as_argument=False)
    graph = model.graph
    assembly = assemble(model, graph.node, graph.initializer, (), graph.input, graph.output)
    assert model.ByteSize() > 6 * 48 * 48 * 4
    assert assembly.skeleton().ByteSize() < 3000
    assert assembly.build().ByteSize() == model.ByteSize()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("length", "9999999", "cut short"),
        ("location", "../weights.bin", "below the model's folder"),
        ("location", "missing.bin", "No such file"),
        ("offset", "far", "has no place"),
    ],
)
def test_external_data_that_is_not_there_is_named(
    tmp_path: Path, key: str, value: str, message: str
) -> None:
    path = external_model(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_external_data_needs_a_folder(tmp_path: Path) -> None:
    model = onnx.load(external_model(tmp_path), load_external_data=False)
    with pytest.raises(ModelError, match="give the model's path"):
        load_model(model)


def test_small_external_data_is_read_at_once(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([2, 2]), "shape")
    (tmp_path / "shape.bin").write_bytes(shape.raw_data)
    shape.ClearField("raw_data")
    shape.data_location = TensorProto.EXTERNAL
    shape.external_data.add(key="location", value="shape.bin")
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[2,2] y) { a = Reshape(x, shape) y = Tanh(a) }""")
    model.graph.initializer.append(shape)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    graph = load_model(tmp_path / "model.onnx")
    assert graph.folder is None
    assert graph.tensors["a"].shape == (2, 2)


def test_an_old_model_is_not_cut_where_a_rank_is_unknown() -> None:
    model = onnx.parser.parse_model("""<ir_version: 4, opset_import: ["" : 9]>
        g (float[1,4] x, int64[R] shape) => (float y) {
            a = Reshape(x, shape)
            b = Tanh(a)
            y = ReduceSum <keepdims = 0> (b)
        }""")
    with pytest.raises(ValueError, match="'a' of unknown rank crosses there, which takes opset 11"):
        split(load_model(model), [1])
