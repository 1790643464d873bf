from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto

from carbonedge import ModelGraph, load_model
from carbonedge.experiments import light_model
from carbonedge.planning import split
from carbonedge.planning.samples import made_up_request


def run_whole(model: ModelProto, feed: dict[str, Any]) -> list[Any]:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)


def run_stages(graph: ModelGraph, positions: list[int], feed: dict[str, Any]) -> list[Any]:
    tensors = dict(feed)
    for stage in split(graph, positions):
        onnx.checker.check_model(stage.proto, full_check=True)
        session = onnxruntime.InferenceSession(stage.proto.SerializeToString())
        results = session.run(list(stage.outputs), {name: tensors[name] for name in stage.inputs})
        tensors.update(zip(stage.outputs, results, strict=True))
    return [tensors[output.name] for output in graph.outputs]


@pytest.mark.parametrize("build", models.ALL.values(), ids=models.ALL)
def test_stages_chained_give_the_whole_models_outputs(build: Callable[[], ModelProto]) -> None:
    model = build()
    graph = load_model(model)
    feed = made_up_request(graph, seed=1)
    whole = run_whole(model, feed)
    inner = range(1, len(graph.operators))
    for count in (0, 1, 2):
        for positions in itertools.combinations(inner, count):
            for expected, actual in zip(
                whole, run_stages(graph, list(positions), feed), strict=True
            ):
                np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_real_models_survive_being_cut(name: str) -> None:
    model = light_model(name)
    graph = load_model(model)
    feed = made_up_request(graph, seed=0)
    [whole] = run_whole(model, feed)
    assert np.ptp(whole) > 0
    count = len(graph.operators)
    for positions in ([1], [count // 2], [count // 3, 2 * count // 3], [count - 1]):
        [result] = run_stages(graph, positions, feed)
        assert np.max(np.abs(result - whole)) <= 1e-5 * np.ptp(whole)


def test_a_weight_goes_only_where_it_is_read() -> None:
    first, second = split(load_model(models.layers(2)), [2])
    assert [value.name for value in first.proto.graph.initializer] == ["w0"]
    assert [value.name for value in second.proto.graph.initializer] == ["w1"]
    assert (first.inputs, first.outputs) == (("x",), ("h0",))
    assert (second.inputs, second.outputs) == (("h0",), ("y",))


def test_an_input_that_later_stages_need_does_not_pass_through_earlier_ones() -> None:
    first, second = split(load_model(models.skip_connection()), [3])
    assert first.inputs == ("x",)
    assert set(second.inputs) == {"x", "early", "b"}
    assert set(first.outputs) == {"early", "b"}


def test_boundaries_keep_type_and_symbolic_shape() -> None:
    _, second = split(load_model(models.layers(2, batch="N")), [2])
    boundary = second.proto.graph.input[0].type.tensor_type
    assert boundary.elem_type == onnx.TensorProto.FLOAT
    assert boundary.shape.dim[0].dim_param == "N"


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([0], "cut at 0 has no operators on both sides"),
        ([8], "between 1 and 7"),
        ([9], "cut at 9 "),
        ([-1], "cut at -1 "),
        ([3, 3], "cut 3 is given twice"),
        ([4, 2], "cut 2 follows 4"),
    ],
)
def test_positions_must_rise_within_the_model(positions: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(load_model(models.layers()), positions)


def test_what_has_no_two_operators_cannot_be_cut() -> None:
    for build, count in ((models.constants_only, 0), (models.sum_of_two, 1)):
        graph = load_model(build())
        assert len(split(graph, [])) == 1
        with pytest.raises(ValueError, match=f"{count} operators .* nowhere to cut"):
            split(graph, [1])
