from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hard_models
import models
import numpy as np
import onnx
import pytest
from hard_models import HARD

from carbonedge import Cluster, InferenceSession, Link, ModelError, Node, Plan, Stage, load_model
from carbonedge.planning.difference import largest_difference
from carbonedge.planning.manifest import Manifest
from carbonedge.planning.session import open_session
from carbonedge.planning.stage_files import split_to_folder
from carbonedge.runtime.verification import verify

CLUSTER = Cluster(
    [
        Node(name, cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=100)
        for name in ("a", "b")
    ],
    [Link("a", "b", bandwidth_mbps=100)],
)


def halves(path: Path) -> Plan:
    count = len(load_model(path).operators)
    stages = (("a", 0, count // 2), ("b", count // 2, count))
    made = tuple(Stage(node, start, stop, 0.0, 0.0, 0.0) for node, start, stop in stages)
    return Plan(made, (), 0.0, 0.0, 0.0, 0.0, True, 0.0, "latency", "macs")


@pytest.mark.parametrize("what", HARD)
def test_hard_models_survive_the_disk_and_the_session(what: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(hard_models.hard_model(what).SerializeToString())
    feed = HARD[what][1]
    plan = halves(path)
    split_to_folder(path, plan.cuts, tmp_path / "stages")
    assert verify(path, tmp_path / "stages", feed).largest_difference <= 1e-6

    whole = open_session(path).run([tensor.name for tensor in load_model(path).outputs], feed)
    with InferenceSession(path, CLUSTER, plan=plan) as session:
        assert largest_difference(whole, session.run(None, feed)) <= 1e-6
        assert session.footprint.transfers.time_ms > 0


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    """A model, and its stages."""
    path = tmp_path / "model.onnx"
    onnx.save(models.layers(), path)
    split_to_folder(path, [3, 5], tmp_path / "stages")
    return path, tmp_path / "stages"


def test_a_true_split_is_faithful(saved: tuple[Path, Path]) -> None:
    found = verify(*saved)
    assert found.faithful
    assert found.stages == 3
    assert [output.name for output in found.outputs] == ["y"]
    assert found.to_dict()["tolerance"] == 1e-5


def change(folder: Path, number: int, by: float) -> None:
    """Another weight in one stage."""
    path = folder / f"stage-{number}.onnx"
    stage = onnx.load(path)
    [weight, *_] = stage.graph.initializer
    values = onnx.numpy_helper.to_array(weight) + np.float32(by)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(stage, path)


@pytest.mark.parametrize(("by", "faithful"), [(1e-7, True), (1e-2, False), (math.nan, False)])
def test_a_changed_weight_is_seen(saved: tuple[Path, Path], by: float, faithful: bool) -> None:
    change(saved[1], 1, by)
    found = verify(*saved)
    assert found.faithful is faithful
    assert not found.equal
    assert (found.to_dict()["largest_difference"] is None) is math.isnan(by)


def test_float16_is_allowed_its_rounding(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
            g (float[1,64] x) => (float16[1,64] y) {
                h = Cast <to = 10> (x)
                a = Mul(h, h)
                b = Softmax(a)
                y = Exp(b)
            }"""),
        path,
    )
    # All outputs lie within 19 units of one another.
    for cuts, tolerance in (([1], 4 / 19), ([1, 2, 3], 0.25)):
        split_to_folder(path, cuts, tmp_path / "stages")
        found = verify(path, tmp_path / "stages")
        assert found.faithful
        assert not found.equal
        assert found.tolerance == pytest.approx(tolerance, rel=0.1)


def test_a_product_with_quantised_weights_is_not_rounded_to_8_bits_at_a_cut(
    tmp_path: Path,
) -> None:
    path, random = tmp_path / "model.onnx", np.random.default_rng(0)
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,64] x) => (float[1,64] y) <float s = {0.01}, uint8 z = {0}, int8 wz = {0}> {
            q = QuantizeLinear(x, s, z)
            a = DequantizeLinear(q, s, z)
            k = DequantizeLinear(w, s, wz)
            b = MatMul(a, k)
            y = Tanh(b)
        }""")
    weights = random.integers(-99, 99, (64, 64)).astype(np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, path)
    split_to_folder(path, [2], tmp_path / "stages")
    found = verify(path, tmp_path / "stages")
    assert found.faithful
    assert found.tolerance == 1e-5


def test_stages_of_another_model_are_refused(saved: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    onnx.save(models.layers(3), other)
    with pytest.raises(ValueError, match="stages of another model"):
        verify(other, saved[1])


def test_a_model_that_no_made_up_request_fits_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.parser.parse_model(
            """<ir_version: 8, opset_import: ["" : 17]>
            g (float[N] a, float[M] b) => (float[K] y) { c = Reshape(a, s) y = Add(c, b) }
            """.replace("=> (float[K] y)", "=> (float[K] y) <int64[1] s = {7}>")
        ),
        path,
    )
    split_to_folder(path, [1], tmp_path / "stages")
    with pytest.raises(ModelError, match="give one by --input"):
        verify(path, tmp_path / "stages")
    feed: dict[str, Any] = {"a": np.ones(7, np.float32), "b": np.ones(7, np.float32)}
    assert verify(path, tmp_path / "stages", feed).equal


def test_a_manifest_reads_back_as_it_was_written(saved: tuple[Path, Path]) -> None:
    manifest = Manifest.read(saved[1])
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.cuts == (3, 5)
    assert [stage.file for stage in manifest.stages] == [f"stage-{k}.onnx" for k in range(3)]
    assert manifest.stages[1].inputs[0].dtype == "tensor(float)"
    assert manifest.stages[1].inputs[0].shape == (1, models.WIDTH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a poem", "not JSON"),
        ("[]", "version None"),
        ('{"version": 2}', "version 2"),
        ('{"version": true}', "version True"),
        ("[" * 100_000, "not JSON"),
        ('{"version": 1}', "cut short .*missing required field `model`"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Manifest.from_json(text)


def _rename_an_input(manifest: dict[str, Any]) -> None:
    manifest["stages"][1]["inputs"][0]["name"] = "zzz"


def _rename_the_request(manifest: dict[str, Any]) -> None:
    manifest["inputs"][0]["name"] = manifest["stages"][0]["inputs"][0]["name"] = "zzz"


def _turn_round(manifest: dict[str, Any]) -> None:
    manifest["stages"].reverse()


def _lose_a_file(manifest: dict[str, Any]) -> None:
    manifest["stages"][1]["file"] = None


def _lose_the_hash(manifest: dict[str, Any]) -> None:
    manifest["sha256"] = None


def _cut_elsewhere(manifest: dict[str, Any]) -> None:
    manifest["cuts"] = [1, 2, 3]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_rename_an_input, "takes 'zzz', which nothing before it gives"),
        (_rename_the_request, "names other inputs"),
        (_turn_round, "not those of its cuts"),
        (_lose_a_file, r"Expected `str`, got `null` - at `\$.stages\[1\].file`"),
        (_lose_the_hash, r"Expected `str`, got `null` - at `\$.sha256`"),
        (_cut_elsewhere, "not those of its cuts"),
    ],
)
def test_an_edited_manifest_is_refused(
    saved: tuple[Path, Path], edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = saved[1] / "manifest.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises((ValueError, ModelError), match=message):
        verify(saved[0], saved[1])


def test_a_folder_without_a_manifest_is_named(saved: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read manifest .* `carbonedge split`"):
        verify(saved[0], tmp_path / "nowhere")


def test_no_rounding_of_the_whole_excuses_another_answer(tmp_path: Path) -> None:
    path, stages = tmp_path / "model.onnx", tmp_path / "stages"
    onnx.save(models.lost_in_rounding(), path)
    split_to_folder(path, [2], stages)
    assert verify(path, stages).faithful
    last = onnx.load(stages / "stage-1.onnx")
    last.graph.node[-1].CopyFrom(onnx.helper.make_node("Sub", ["b", "b"], ["y"]))
    onnx.save(last, stages / "stage-1.onnx")
    found = verify(path, stages)
    assert found.outputs[0].largest_difference > found.outputs[0].tolerance == 0.25
    assert not found.faithful


def noisy_at(size: int) -> onnx.ModelProto:
    """What is lost in rounding, beside what drowns it out at other sizes."""
    model = models.lost_in_rounding()
    for info in (*model.graph.input, *model.graph.output):
        info.CopyFrom(
            onnx.helper.make_tensor_value_info(info.name, onnx.TensorProto.FLOAT, (1, 2, "H", "W"))
        )
    model.graph.node[-1].output[0] = "c"
    more = onnx.parser.parse_graph(f"""g (float[1,2,H,W] x, float[1,2,H,W] c) => (float[1,2,H,W] y)
        <float most = {{{size}}}, int64 height = {{2}}, float thousand = {{1000}}> {{
            shape = Shape(x)
            picked = Gather(shape, height)
            found = Cast <to = 1> (picked)
            missing = Sub(most, found)
            scale = Mul(missing, thousand)
            scaled = Mul(x, scale)
            y = Add(c, scaled)
        }}""")
    model.graph.node.extend(more.node)
    model.graph.initializer.extend(more.initializer)
    return model


def test_an_answer_that_is_noise_is_no_test_where_another_size_tells_more(tmp_path: Path) -> None:
    path, stages = tmp_path / "model.onnx", tmp_path / "stages"
    onnx.save(noisy_at(64), path)
    kinds = [operator.op_type for operator in load_model(path).operators]
    split_to_folder(path, [kinds.index("Conv") + 1], stages)
    assert verify(path, stages).tolerance == 1e-5
    feed = {"x": np.random.default_rng(0).random((1, 2, 64, 64), np.float32)}
    assert verify(path, stages, feed).tolerance == 0.25
