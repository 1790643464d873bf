from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import hard_models
import models
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from carbonedge import load_model
from carbonedge.planning import split
from carbonedge.planning.manifest import Manifest
from carbonedge.planning.stage_files import split_to_folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(hard_models.heavy_everywhere().SerializeToString())
    return path


def test_a_file_is_the_stage_in_memory(path: Path, tmp_path: Path) -> None:
    split_to_folder(path, [1, 3], tmp_path / "stages")
    for number, stage in enumerate(split(load_model(path), [1, 3])):
        file = tmp_path / "stages" / f"stage-{number}.onnx"
        assert onnx.load(file) == stage.proto
        onnx.checker.check_model(str(file), full_check=True)


def test_the_manifest_holds_the_models_hash(path: Path, tmp_path: Path) -> None:
    manifest = split_to_folder(path, [2], tmp_path / "stages")
    assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest == Manifest.read(tmp_path / "stages")


def test_stages_of_an_earlier_split_go_and_other_files_stay(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stages"
    split_to_folder(path, [1, 2, 3], folder)
    (folder / "notes.txt").write_text("mine")
    split_to_folder(path, [2], folder)
    assert sorted(file.name for file in folder.iterdir()) == [
        "manifest.json",
        "notes.txt",
        "stage-0.onnx",
        "stage-1.onnx",
    ]


def test_a_model_is_not_overwritten_by_its_stages(tmp_path: Path) -> None:
    path = tmp_path / "stage-0.onnx"
    onnx.save(models.layers(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="would overwrite the model"):
        split_to_folder(path, [3], tmp_path)
    assert path.read_bytes() == before


def test_a_model_is_not_overwritten_through_a_link(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stages"
    split_to_folder(path, [2], folder)
    before = (folder / "stage-0.onnx").read_bytes()
    (tmp_path / "link.onnx").symlink_to(folder / "stage-0.onnx")
    with pytest.raises(ValueError, match="would overwrite the model"):
        split_to_folder(tmp_path / "link.onnx", [1], folder)
    assert (folder / "stage-0.onnx").read_bytes() == before


@pytest.mark.parametrize("name", ["stage-0.data", "stage-1.data"])
def test_a_models_weights_are_not_overwritten(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.onnx"
    heavy = models.layers()
    onnx.save(heavy, path, save_as_external_data=True, location=name, size_threshold=0)
    before = (tmp_path / name).read_bytes()
    assert before
    with pytest.raises(ValueError, match="give another folder"):
        split_to_folder(path, [3], tmp_path)
    assert (tmp_path / name).read_bytes() == before


def test_files_of_no_earlier_split_stay(path: Path, tmp_path: Path) -> None:
    mine = tmp_path / "stages" / "stage-1.onnx"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(ValueError, match="of no earlier split: remove it"):
        split_to_folder(path, [2], mine.parent)
    assert mine.read_text() == "mine"


def test_a_manifest_that_cannot_be_read_is_not_taken_for_an_earlier_split(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read: remove it"):
        split_to_folder(path, [2], tmp_path)


def test_where_there_is_no_cut_nothing_is_written(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cut"):
        split_to_folder(path, [99], tmp_path / "stages")
    assert not (tmp_path / "stages").exists()


def external_chain(folder: Path, width: int, depth: int) -> Path:
    """Matrix products whose weights are zeros in one sparse file, two of them shared."""
    size = width * width * 4
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(size * depth)
    model = ModelProto()
    nodes, tensor = [], "x"
    for k in range(depth):
        weight = model.graph.initializer.add(name=f"w{k}", data_type=TensorProto.FLOAT)
        weight.dims.extend((width, width))
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", k * size), ("length", size)):
            weight.external_data.add(key=key, value=str(value))
        nodes += [
            helper.make_node("MatMul", [tensor, f"w{k}"], [f"p{k}"]),
            helper.make_node("Add", [f"p{k}", "x"], [f"h{k}"]),
        ]
        tensor = f"h{k}"
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, width)) for n in ("x", tensor)]
    graph = helper.make_graph(nodes, "chain", info[:1], info[1:], model.graph.initializer)
    path = folder / "chain.onnx"
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(whole.SerializeToString())
    return path


def test_external_data_is_copied_to_the_stages_that_read_it(tmp_path: Path) -> None:
    path = external_chain(tmp_path, width=64, depth=3)
    random = np.random.default_rng(0).normal(size=3 * 64 * 64).astype(np.float32)
    (tmp_path / "weights.bin").write_bytes(random.tobytes())
    manifest = split_to_folder(path, [2], tmp_path / "stages")
    assert [stage.data_file for stage in manifest.stages] == ["stage-0.data", "stage-1.data"]
    assert [(tmp_path / "stages" / f"stage-{number}.data").stat().st_size for number in (0, 1)] == [
        64 * 64 * 4,
        2 * 64 * 64 * 4,
    ]
    first, second = (onnx.load(tmp_path / "stages" / f"stage-{k}.onnx") for k in (0, 1))
    read = [
        onnx.numpy_helper.to_array(value)
        for stage in (first, second)
        for value in stage.graph.initializer
    ]
    assert np.array_equal(np.concatenate([w.ravel() for w in read]), random)


def offsets(path: Path) -> dict[str, int]:
    """Where each weight of a model lies in its data file."""
    model = onnx.load(path, load_external_data=False)
    return {
        weight.name: int(entry.value)
        for weight in model.graph.initializer
        for entry in weight.external_data
        if entry.key == "offset"
    }


def test_data_can_be_mapped_and_what_is_shared_is_copied_once(tmp_path: Path) -> None:
    path = external_chain(tmp_path, width=50, depth=4)
    model = onnx.load(path, load_external_data=False)
    third, fourth = model.graph.initializer[2:]
    fourth.external_data[1].value = third.external_data[1].value
    path.write_bytes(model.SerializeToString())
    split_to_folder(path, [4], tmp_path / "stages")
    assert offsets(tmp_path / "stages" / "stage-0.onnx") == {"w0": 0, "w1": 12288}
    assert offsets(tmp_path / "stages" / "stage-1.onnx") == {"w2": 0, "w3": 0}
    assert (tmp_path / "stages" / "stage-1.data").stat().st_size == 50 * 50 * 4


def peak_mb(code: str, *arguments: str) -> float:
    """The most memory that a process of its own takes to run some code."""
    program = (
        "import resource, sys\n"
        f"{code}\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


LOAD = "from carbonedge import load_model\ngraph = load_model(sys.argv[1])\n"
SPLIT = "from carbonedge.planning import split\nstages = split(graph, [4, 8])\n"
BUILD = "built = [stage.proto for stage in stages]\n"


def test_a_split_takes_little_more_memory_than_the_model(tmp_path: Path) -> None:
    path = external_chain(tmp_path, width=1500, depth=6)
    whole = onnx.load(path)
    for value in whole.graph.initializer:
        assert value.raw_data
    path.write_bytes(whole.SerializeToString())
    size_mb = path.stat().st_size / 1e6
    base = peak_mb(LOAD, str(external_chain_of_nothing(tmp_path)))
    # Once as it is in the file, once as a model.
    assert peak_mb(LOAD, str(path)) - base <= 2.2 * size_mb
    assert peak_mb(LOAD + SPLIT + BUILD, str(path)) - base <= 2.2 * size_mb
    folder = (
        "from carbonedge.planning.stage_files import split_to_folder\n"
        "split_to_folder(sys.argv[1], [4, 8], sys.argv[2])"
    )
    assert peak_mb(folder, str(path), str(tmp_path / "stages")) - base <= 2.2 * size_mb


def external_chain_of_nothing(folder: Path) -> Path:
    path = folder / "nothing.onnx"
    onnx.save(models.layers(), path)
    return path


def test_beyond_two_gigabytes_nothing_is_read_that_is_only_copied(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 8e9:
        pytest.skip("needs 8 GB of disk")
    path = external_chain(tmp_path, width=8192, depth=9)
    assert (tmp_path / "weights.bin").stat().st_size > 2**31
    base = peak_mb(LOAD, str(external_chain_of_nothing(tmp_path)))
    assert peak_mb(LOAD + SPLIT + BUILD, str(path)) - base < 50
    try:
        code = (
            "from carbonedge.planning.stage_files import split_to_folder\n"
            "split_to_folder(sys.argv[1], [16], sys.argv[2])"
        )
        assert peak_mb(code, str(path), str(tmp_path / "stages")) - base < 50
        last = tmp_path / "stages" / "stage-1.onnx"
        onnx.checker.check_model(str(last), full_check=True)
        assert last.with_suffix(".data").stat().st_size == 8192 * 8192 * 4
    finally:
        shutil.rmtree(tmp_path / "stages", ignore_errors=True)
        (tmp_path / "weights.bin").unlink()
