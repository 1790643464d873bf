from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from hard_models import HARD, hard_model
from onnx import ModelProto, numpy_helper, parser

from carbonedge import Cluster, ModelError, ModelGraph, load_model, partition
from carbonedge.experiments import light_model
from carbonedge.planning import measuring, operator_costs, profile
from carbonedge.planning.fingerprint import fingerprint
from carbonedge.planning.measuring import measure
from carbonedge.planning.profile import Conditions, Profile, read_profile
from carbonedge.planning.sized import sized


@pytest.fixture(scope="module")
def graph() -> ModelGraph:
    return load_model(models.layers())


@pytest.fixture(scope="module")
def measured(graph: ModelGraph) -> Profile:
    return measure(graph)


def changed(measured: Profile, **conditions: Any) -> Profile:
    return dataclasses.replace(
        measured, conditions=dataclasses.replace(measured.conditions, **conditions)
    )


def test_times_sum_to_the_whole_run_and_go_where_the_work_is() -> None:
    graph = load_model(light_model("squeezenet"))
    found = measure(graph)
    by_type: dict[str, float] = {}
    for operator, time_ms in zip(graph.operators, found.time_ms, strict=True):
        by_type[operator.op_type] = by_type.get(operator.op_type, 0.0) + time_ms
    assert sum(by_type.values()) + found.overhead_ms == pytest.approx(found.run_ms)
    assert 0 < found.overhead_ms <= found.run_ms / 2
    assert max(by_type, key=by_type.__getitem__) == "Conv"
    # A Relu within a convolution has no multiply-accumulate and so no time of its own.
    assert by_type["Relu"] == 0


@pytest.mark.parametrize("mode", ["ORT_SEQUENTIAL", "ORT_PARALLEL"])
def test_a_loops_body_is_not_counted_beside_the_loop(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "TIME_BUDGET_S", 0.0)
    outermost, seen = measuring._outermost, []

    def watched(events: Any) -> Any:
        seen.append((events, outermost(events)))
        return seen[-1][1]

    monkeypatch.setattr(measuring, "_outermost", watched)
    options = onnxruntime.SessionOptions()
    options.execution_mode = getattr(onnxruntime.ExecutionMode, mode)
    found = measure(load_model(loop_before_a_product()), sess_options=options)
    assert np.all(found.time_ms >= 0)
    [(events, kept)] = seen
    runs = measuring.WARM_UP_RUNS + measuring.LEAST_RUNS
    products = [e for e in events if e["name"] == "product_kernel_time"]
    assert len(products) == runs * (40 + 1)
    assert Counter(e["args"]["op_name"] for e in kept) == {
        "Loop": runs,
        "ReduceMean": runs,
        "MatMul": runs,
    }
    # That outside is of one row, and those of the body are of many.
    inputs = [e["args"]["input_type_shape"] for e in kept if e["args"]["op_name"] == "MatMul"]
    assert all(shapes[0] == {"float": [1, 128]} for shapes in inputs)
    assert [e["ts"] for e in kept] == sorted(e["ts"] for e in kept)


def test_a_kernel_is_a_loops_where_their_rounded_ends_overlap() -> None:
    """In whole microseconds the body seems to end after its loop, and the next to begin in it."""

    def event(name: str, op_type: str, ts: int, dur: int, tid: int = 1) -> dict[str, Any]:
        args = {"op_name": op_type}
        return {"cat": "Node", "name": name, "ts": ts, "dur": dur, "tid": tid, "args": args}

    before = event("before_kernel_time", "Neg", 0, 5)
    beside = event("beside_kernel_time", "Neg", 12, 9, tid=2)
    loop = event("loop_kernel_time", "Loop", 10, 9)
    after = event("after_kernel_time", "Neg", 19, 1)
    within = [
        event("before_kernel_time", "Neg", 11, 2),
        event("inner_kernel_time", "If", 13, 7),
        event("after_kernel_time", "Neg", 14, 6),
    ]
    noise = {"cat": "Session", "name": "loading", "ts": 0, "dur": 99, "tid": 1, "args": {}}
    events = [noise, before, within[0], beside, within[2], within[1], loop, after]
    assert measuring._outermost(events) == [before, beside, loop, after]


def loop_before_a_product() -> ModelProto:
    """A Loop of 40 trips, whose body has the same name as an operator outside."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[64,128] x, bool c) => (float[1,128] y) <int64 trips = {40}>
        { l = Loop (trips, c, x) <body = b (int64 i, bool again, float[64,128] s)
            => (bool k, float[64,128] t) { k = Identity(again) t = MatMul(s, w) }>
          r = ReduceMean <keepdims = 1> (l, rows) y = MatMul(r, w) }"""
    )
    rows = numpy_helper.from_array(np.array([0]), "rows")
    model.graph.initializer.append(rows)
    values = (np.eye(128) / 2).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(values, "w"))
    outer = next(node for node in model.graph.node if node.op_type == "MatMul")
    inner = model.graph.node[0].attribute[0].g.node[1]
    outer.name = inner.name = "product"
    assert isinstance(model, ModelProto)
    return model


@pytest.mark.parametrize("mode", ["ORT_SEQUENTIAL", "ORT_PARALLEL"])
@pytest.mark.parametrize("what", HARD)
def test_models_that_are_hard_to_cut_are_measured_whole(
    what: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "TIME_BUDGET_S", 0.0)
    options = onnxruntime.SessionOptions()
    options.execution_mode = getattr(onnxruntime.ExecutionMode, mode)
    options.inter_op_num_threads = 2
    graph = load_model(hard_model(what))
    found = measure(graph, feed=HARD[what][1], sess_options=options)
    assert found.time_ms.shape == (len(graph.operators),)
    assert np.all(found.time_ms >= 0)
    assert found.time_ms.sum() > 0


def test_a_sequence_among_the_inputs_has_no_shape() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (seq(float[n]) s) => (float[m] y)
        { c = ConcatFromSequence <axis = 0> (s) y = Neg(c) }"""
    )
    graph = load_model(model)
    parts = [np.ones(2, np.float32), np.ones(3, np.float32)]
    assert measure(graph, feed={"s": parts}).inputs == {}
    assert sized(graph, {"s": parts}) is graph


def test_sizes_left_open_are_those_of_the_feed() -> None:
    graph = load_model(models.layers(batch="N"))
    found = measure(graph, feed={"x": np.zeros((5, models.WIDTH), np.float32)})
    assert found.inputs == {"x": (5, models.WIDTH)}


def test_a_profile_survives_its_file(tmp_path: Path, measured: Profile) -> None:
    path = tmp_path / "profile.json"
    path.write_text(measured.to_json())
    found = read_profile(path)
    np.testing.assert_array_equal(found.time_ms, measured.time_ms)
    for name in ("conditions", "inputs", "operators", "overhead_ms", "positions"):
        assert getattr(found, name) == getattr(measured, name)
    assert json.loads(path.read_text())["version"] == 1


def test_a_profile_stands_in_for_measuring(
    graph: ModelGraph, measured: Profile, cluster: Cluster
) -> None:
    costs = operator_costs(graph, cluster.nodes, profile=measured)
    np.testing.assert_allclose(costs.time_ms[:, 0], measured.time_ms)
    np.testing.assert_allclose(costs.time_ms[:, 1], measured.time_ms / 0.5)
    np.testing.assert_allclose(costs.overhead_ms, measured.overhead_ms * np.array([1, 2]))


def test_what_was_measured_on_a_node_counts_unscaled_for_that_node(
    graph: ModelGraph, measured: Profile, cluster: Cluster
) -> None:
    there = dataclasses.replace(
        changed(measured, cpu="another", threads=4, onnxruntime="1.0"),
        time_ms=measured.time_ms * 3,
        positions=measured.positions - {2},
    )
    costs = operator_costs(graph, cluster.nodes, profile=measured, node_profiles={"clean": there})
    np.testing.assert_allclose(costs.time_ms[:, 0], measured.time_ms)
    np.testing.assert_allclose(costs.time_ms[:, 1], measured.time_ms * 3)
    # A cut has to leave whole what is fused on whichever node.
    assert costs.positions == measured.positions - {2}


def test_nothing_is_measured_here_when_each_node_has_its_own(
    graph: ModelGraph, measured: Profile, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    given = dict.fromkeys(("fast", "clean"), measured)
    costs = operator_costs(graph, cluster.nodes, node_profiles=given)
    np.testing.assert_allclose(costs.time_ms[:, 1], measured.time_ms)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"onnxruntime": "1.0"}, r"ONNX Runtime 1\.0 and this is 1\."),
        ({"threads": 7}, "number of threads 7 and this is 0"),
        ({"cpu": "abacus"}, "CPU abacus and this is"),
        ({"providers": ("Magic",)}, "execution providers Magic and this is .*CPU"),
        ({"model": "abc"}, "model abc and this is"),
        (
            {"options": ("ORT_DISABLE_ALL", "ORT_SEQUENTIAL")},
            "options ORT_DISABLE_ALL, ORT_SEQUENTIAL and this is ORT_ENABLE_ALL, ORT_SEQUENTIAL",
        ),
    ],
)
def test_a_stale_profile_says_what_differs(
    graph: ModelGraph,
    measured: Profile,
    cluster: Cluster,
    conditions: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ModelError, match=f"stale.*{message}.*`carbonedge profile`"):
        operator_costs(graph, cluster.nodes, profile=changed(measured, **conditions))


def test_another_models_profile_is_refused_for_a_node_too(
    graph: ModelGraph, measured: Profile, cluster: Cluster
) -> None:
    other = load_model(models.layers(3))
    with pytest.raises(ModelError, match=r"stale.*measured for model"):
        operator_costs(other, cluster.nodes, node_profiles={"fast": measured})
    fewer = dataclasses.replace(measured, operators=measured.operators[1:])
    with pytest.raises(ModelError, match="its 7 operators are not the model's 8"):
        operator_costs(graph, cluster.nodes, node_profiles={"fast": fewer})


def rows(count: int | None) -> dict[str, Any] | None:
    return None if count is None else {"x": np.zeros((count, models.WIDTH), np.float32)}


@pytest.fixture(scope="module")
def open_graph() -> ModelGraph:
    """Of a model that leaves the number of rows to the request."""
    return load_model(models.layers(batch="N"))


@pytest.fixture(scope="module")
def by_rows(open_graph: ModelGraph) -> dict[int | None, Profile]:
    """Measured with so many rows, ``None`` for made-up ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "TIME_BUDGET_S", 0.0)
        return {count: measure(open_graph, feed=rows(count)) for count in (None, 1, 5)}


@pytest.mark.parametrize("measured_rows", [None, 1, 5])
@pytest.mark.parametrize("planned_rows", [None, 1, 3, 5])
def test_a_profile_is_good_for_the_sizes_it_was_measured_with_only(
    measured_rows: int | None,
    planned_rows: int | None,
    open_graph: ModelGraph,
    by_rows: dict[int | None, Profile],
    cluster: Cluster,
) -> None:
    found, feed = by_rows[measured_rows], rows(planned_rows)
    then = measured_rows or 1
    # A plan for no sizes in particular is for those of the profile.
    now = planned_rows or then
    planned = open_graph if feed is None else sized(open_graph, feed)
    for graph in (open_graph, planned):
        for which, given in (
            ("the profile", {"profile": found}),
            ("the profile of node 'clean'", {"node_profiles": {"clean": found}}),
        ):
            if then == now:
                costs = operator_costs(graph, cluster.nodes, feed=feed, **given)
                assert costs.inputs == {"x": (now, models.WIDTH)}
                continue
            with pytest.raises(
                ModelError,
                match=f"{which} is stale.* input 'x' of shape {then}, 8 and this is {now}, 8; "
                r"give .* the same --input \(in Python: feed\), or neither",
            ):
                operator_costs(graph, cluster.nodes, feed=feed, **given)


def test_profiles_of_several_sizes_do_not_go_together(
    open_graph: ModelGraph, by_rows: dict[int | None, Profile], cluster: Cluster
) -> None:
    fits, stale = by_rows[5], by_rows[None]
    for given in (
        {"profile": fits, "node_profiles": {"fast": stale}},
        {"profile": stale, "node_profiles": {"fast": fits}},
        {"node_profiles": {"fast": fits, "clean": stale}},
        # The other node would be measured here.
        {"node_profiles": {"clean": stale}},
    ):
        with pytest.raises(ModelError, match=r"stale.*of shape 1, 8 and this is 5, 8"):
            operator_costs(open_graph, cluster.nodes, feed=rows(5), **given)  # type: ignore[arg-type]


def test_costs_for_some_sizes_are_refused_for_a_plan_of_others(
    open_graph: ModelGraph, by_rows: dict[int | None, Profile], cluster: Cluster
) -> None:
    feed = rows(5)
    assert feed is not None
    costs = operator_costs(open_graph, cluster.nodes, feed=feed, profile=by_rows[5])
    plan = partition(open_graph, cluster, costs=costs, feed=feed)
    assert partition(sized(open_graph, feed), cluster, costs=costs) == plan
    # A plan for no sizes in particular is for those of its costs.
    assert partition(open_graph, cluster, costs=costs) == plan
    three = rows(3)
    assert three is not None
    for graph, wrong in ((open_graph, three), (sized(open_graph, three), None)):
        with pytest.raises(ValueError, match=r"costs are for inputs of shapes .*5, 8.* same feed"):
            partition(graph, cluster, costs=costs, feed=wrong)
    shared = operator_costs(open_graph, cluster.nodes, "macs")
    with pytest.raises(ValueError, match=r"costs are for inputs of shapes .*1, 8"):
        partition(open_graph, cluster, costs=shared, feed=feed)


def test_costs_of_another_model_or_of_other_nodes_are_refused(
    graph: ModelGraph, measured: Profile, cluster: Cluster
) -> None:
    costs = operator_costs(graph, cluster.nodes, profile=measured)
    with pytest.raises(ValueError, match=r"costs are of 8 operators on 2 nodes .* 6 on 2"):
        partition(models.layers(3), cluster, costs=costs)
    with pytest.raises(ValueError, match="8 on 1: give those of this model and cluster"):
        partition(graph, Cluster(cluster.nodes[:1]), costs=costs)


def test_a_profile_without_a_shape_that_now_is_given_is_stale(cluster: Cluster) -> None:
    graph = load_model(models.layers(batch="N"))
    found = dataclasses.replace(measure(graph), inputs={})
    with pytest.raises(ModelError, match="of shape unknown and this is 1, 8"):
        operator_costs(graph, cluster.nodes, profile=found)


def test_a_profile_goes_with_measured_costs_and_known_nodes_only(
    graph: ModelGraph, measured: Profile, cluster: Cluster
) -> None:
    with pytest.raises(ValueError, match="holds measured costs, not 'macs'"):
        operator_costs(graph, cluster.nodes, "macs", profile=measured)
    with pytest.raises(ValueError, match="'moon', which is not there: choose from fast, clean"):
        operator_costs(graph, cluster.nodes, node_profiles={"moon": measured})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: "{", "is not JSON"),
        (lambda text: "[]", "version None"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "version 9"),
        (lambda text: '{"version": 1}', "cut short .*missing required field `conditions`"),
        (lambda text: text.replace('"cpu"', '"cpus"'), "changed .*missing required field `cpu`"),
        (lambda text: text.replace('"time_ms": [', '"time_ms": [1.0,'), "8 operators and times"),
        (lambda text: text.replace('"time_ms": [', '"time_ms": [-1.0,'), "operators and times"),
    ],
)
def test_what_is_no_profile_is_refused(measured: Profile, edit: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Profile.from_json(edit(measured.to_json()))


@pytest.mark.parametrize("positions", [[], [0, 3], [0, 8, 9], [-1, 0, 8]])
def test_a_profile_whose_cuts_are_none_of_the_model_is_refused(
    measured: Profile, positions: list[int]
) -> None:
    wrong = dataclasses.replace(measured, positions=frozenset(positions))
    with pytest.raises(ValueError, match="has cuts other than from 0 to 8, both among them"):
        Profile.from_json(wrong.to_json())


@pytest.mark.parametrize("overhead_ms", [-1.0, float("nan")])
def test_an_overhead_that_is_no_time_is_refused(measured: Profile, overhead_ms: float) -> None:
    wrong = dataclasses.replace(measured, overhead_ms=overhead_ms)
    with pytest.raises(ValueError, match="times that are none"):
        Profile.from_json(wrong.to_json())


def test_times_below_0_are_refused(measured: Profile) -> None:
    wrong = dataclasses.replace(measured, time_ms=-measured.time_ms)
    with pytest.raises(ValueError, match="times that are none"):
        Profile.from_json(wrong.to_json())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read profile '.*none\.json': No such file"):
        read_profile(tmp_path / "none.json")


def test_conditions_tell_threads_and_providers() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 3
    graph = load_model(models.layers())
    found = Conditions.here(graph, ["CPUExecutionProvider"], options)
    assert (found.threads, found.providers) == (3, ("CPUExecutionProvider",))
    assert found.onnxruntime == onnxruntime.__version__
    assert found.cpu.endswith(f", cores: {os.cpu_count()}")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    changed_options = Conditions.here(graph, None, options).options
    assert changed_options == ("ORT_ENABLE_BASIC", "ORT_PARALLEL")


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC\nmodel\t\t: 1\n", "AMD EPYC"),
        (
            "processor\t: 0\nCPU part\t: 0xd08\n\nHardware\t: BCM2711\nModel\t\t: Raspberry Pi 4\n",
            "Raspberry Pi 4",
        ),
        ("CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40\n", "0x41 0xd40"),
        ("", ""),
    ],
)
def test_processors_have_names_on_boards_too(cpuinfo: str, name: str) -> None:
    assert profile._named(cpuinfo) == name


def test_a_models_fingerprint_depends_on_its_weights_and_not_on_notes() -> None:
    model = models.layers()
    first = fingerprint(load_model(model))
    model.doc_string = "a note"
    model.graph.node[0].doc_string = "another"
    assert fingerprint(load_model(model)) == first
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[0, 0] += 1
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(weight, model.graph.initializer[0].name)
    )
    assert fingerprint(load_model(model)) != first


def test_weights_in_files_of_their_own_are_part_of_a_models_fingerprint(tmp_path: Path) -> None:
    model = models.layers()
    weight = np.random.default_rng(0).normal(size=(models.WIDTH, 2000)).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w0"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weight.T.copy(), "w1"))
    model.graph.node.pop(1)
    model.graph.node[1].input[0] = "p0"
    first = fingerprint(load_model(model))
    path, data = tmp_path / "model.onnx", tmp_path / "weights.bin"
    onnx.save(model, path, save_as_external_data=True, location=data.name)
    # What counts is what they are, and not where.
    assert fingerprint(load_model(path)) == first
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    assert fingerprint(load_model(path)) != first


def test_bodies_are_part_of_a_models_fingerprint() -> None:
    model = models.captured_by_if()
    first = fingerprint(load_model(model))
    branching = next(node for node in model.graph.node if node.op_type == "If")
    branching.attribute[0].g.node[0].op_type = "Mul"
    assert fingerprint(load_model(model)) != first
