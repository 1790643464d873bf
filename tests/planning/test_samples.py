from __future__ import annotations

import models
import numpy as np
import onnx
import pytest

from carbonedge import Cluster, ModelError, Node, load_model
from carbonedge.planning import Tensor
from carbonedge.planning.formulation import formulate
from carbonedge.planning.samples import SIZES, made_up_request, made_up_requests


def floats(name: str, *shape: int | str | None) -> Tensor:
    return Tensor(name, "tensor(float)", shape, 0.0)


def test_fixed_sizes_are_kept_and_asked_for_once() -> None:
    [request] = made_up_requests([floats("x", 2, 5)])
    assert request["x"].shape == (2, 5)
    assert request["x"].dtype == np.float32


def test_dynamic_sizes_are_a_batch_of_one_three_channels_and_then_various() -> None:
    shapes = [r["x"].shape for r in made_up_requests([floats("x", None, None, "H", "W")])]
    assert shapes == [(1, 3, size, size) for size in SIZES]
    [first, *_] = made_up_requests([floats("state", 2, None, 128), floats("rows", "N")])
    assert first["state"].shape == (2, 1, 128)
    assert first["rows"].shape == (SIZES[0],)


def test_dimensions_of_one_name_have_one_size() -> None:
    inputs = [floats("mask", "batch", "length"), floats("kept", "batch"), floats("y", 1, "length")]
    for size, request in zip(SIZES, made_up_requests(inputs), strict=True):
        assert request["mask"].shape == request["y"].shape == (1, size)
        assert request["kept"].shape == (1,)


def test_the_first_request_that_a_model_runs_on_is_taken() -> None:
    assert made_up_request(load_model(models.valid_convolution()))["x"].shape == (1, 1, 64, 64)
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N] x) => (float[1,320] y) <int64[2] s = {1, 320}> { y = Reshape(x, s) }""")
    assert made_up_request(load_model(model))["x"].shape == (320,)


def test_where_no_size_is_open_nothing_is_run() -> None:
    def run(*_: object) -> None:
        raise AssertionError

    assert made_up_request(load_model(models.layers()), run=run)["x"].shape == (1, models.WIDTH)


def test_whole_numbers_are_0_where_a_model_runs_on_nothing_else() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x, int64[N,5] rows) => (float[N,5,4] y) { y = Gather(x, rows) }""")
    assert made_up_request(load_model(model))["rows"].tolist() == [[0] * 5]


def test_a_model_that_runs_on_nothing_made_up_wants_a_request() -> None:
    with pytest.raises(ModelError, match=r"give one by --input: .* cannot run .* x \(64,\)"):
        made_up_request(load_model(models.of_seven()))


def test_costs_and_cuts_are_of_the_request_that_is_made_up() -> None:
    cluster = Cluster([Node("a", cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=100)])
    formulation = formulate(models.valid_convolution(), cluster)
    assert formulation.cuts[0].mb == 64 * 64 * 4 / 1e6
    assert formulation.model.operators[0].macs == 62 * 62 * 9


def test_every_type_that_onnx_runtime_takes_is_made_up() -> None:
    kinds = {
        "words": "tensor(string)",
        "flags": "tensor(bool)",
        "half": "tensor(float16)",
        "parts": "seq(tensor(int64))",
        "maybe": "optional(tensor(double))",
        "counts": "map(string,tensor(float))",
        "numbers": "map(int64,tensor(float))",
    }
    inputs = [
        Tensor(name, kind, (2,) if kind.startswith("tensor") else None, 0.0)
        for name, kind in kinds.items()
    ]
    [request] = made_up_requests(inputs)
    assert request["words"].tolist() == ["", ""]
    assert request["flags"].dtype == np.bool_
    assert request["half"].dtype == np.float16
    assert [part.dtype for part in request["parts"]] == [np.int64, np.int64]
    assert request["maybe"].dtype == np.float64
    assert list(request["counts"]) == [""]
    assert list(request["numbers"]) == [0]


def test_the_same_seed_makes_up_the_same() -> None:
    one, same, other = (
        next(made_up_requests([floats("x", 2)], seed=seed))["x"] for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_type_that_cannot_be_made_up_is_named() -> None:
    with pytest.raises(ModelError, match=r"'x' of type tensor\(bfloat16\)"):
        list(made_up_requests([Tensor("x", "tensor(bfloat16)", (1,), 0.0)]))
