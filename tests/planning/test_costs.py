from __future__ import annotations

import models
import numpy as np
import pytest
from onnx import ModelProto, parser

from carbonedge import Cluster, ModelError, Node, load_model
from carbonedge.experiments import light_model
from carbonedge.planning import operator_costs
from carbonedge.planning.costs import SOURCES, given_costs
from carbonedge.planning.fusion import fusion


@pytest.mark.parametrize("source", ["macs", "paper"])
def test_shared_out_costs_sum_to_each_nodes_own_time(source: str, cluster: Cluster) -> None:
    graph = load_model(light_model("squeezenet"))
    costs = operator_costs(graph, cluster.nodes, source)
    np.testing.assert_allclose(costs.time_ms.sum(axis=0), [10, 30])


@pytest.mark.parametrize("source", SOURCES)
def test_cuts_within_what_is_fused_are_left_out_unless_asked_for(
    source: str, cluster: Cluster
) -> None:
    graph = load_model(light_model("squeezenet"))
    costs = operator_costs(graph, cluster.nodes, source)
    assert costs.positions == fusion(graph).positions
    everywhere = operator_costs(graph, cluster.nodes, source, all_cuts=True)
    assert everywhere.positions == frozenset(range(len(graph.operators) + 1))
    assert costs.positions < everywhere.positions
    assert costs.parting == frozenset()
    known = everywhere.positions - costs.positions if source == "measured" else None
    assert everywhere.parting == known


def test_a_model_that_onnx_runtime_cannot_load_is_planned_with_all_cuts(cluster: Cluster) -> None:
    graph = load_model(unknown_operator_behind_a_product())
    with pytest.raises(ModelError, match=r"ONNX Runtime .* cannot load.*Frobnicate"):
        operator_costs(graph, cluster.nodes, "macs")
    costs = operator_costs(graph, cluster.nodes, "macs", all_cuts=True)
    assert costs.positions == {0, 1, 2}


def test_measured_costs_scale_with_speed_and_never_part_a_fused_kernel(cluster: Cluster) -> None:
    graph = load_model(light_model("squeezenet"))
    costs = operator_costs(graph, cluster.nodes)
    assert np.all(costs.time_ms >= 0)
    np.testing.assert_allclose(costs.time_ms[:, 1], 2 * costs.time_ms[:, 0])
    np.testing.assert_allclose(costs.overhead_ms[1], 2 * costs.overhead_ms[0])
    # Every convolution of SqueezeNet is fused with the Relu behind it.
    for position, operator in enumerate(graph.operators):
        if operator.op_type == "Conv":
            assert graph.operators[position + 1].op_type == "Relu"
            assert position + 1 not in costs.positions
    assert {0, len(graph.operators)} < costs.positions


def test_an_unknown_source_names_those_there_are(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="measured, macs, paper"):
        operator_costs(load_model(models.layers()), cluster.nodes, "guessed")


def test_sharing_out_needs_something_to_share() -> None:
    node = Node("new", cpu_cores=1, memory_mb=1, power_w=1, intensity_g_per_kwh=1)
    with pytest.raises(ValueError, match="avg_time_ms, which node 'new' lacks"):
        operator_costs(load_model(models.layers()), [node], "macs")


def test_an_operator_that_onnx_runtime_lacks_is_named(cluster: Cluster) -> None:
    with pytest.raises(ModelError, match=r"ONNX Runtime .* cannot load.*Frobnicate"):
        operator_costs(load_model(models.unknown_operator()), cluster.nodes)


def test_one_tiny_operator_is_measured(cluster: Cluster) -> None:
    costs = operator_costs(load_model(models.layers(1)), cluster.nodes)
    assert costs.time_ms.sum() > 0
    assert np.all(np.isfinite(costs.time_ms))


def test_a_feed_replaces_made_up_inputs(cluster: Cluster) -> None:
    graph = load_model(models.of_seven())
    with pytest.raises(ModelError, match=r"cannot run the model on x \(64,\)"):
        operator_costs(graph, cluster.nodes)
    feed = {"x": np.ones(7, np.float32)}
    assert operator_costs(graph, cluster.nodes, feed=feed).time_ms.sum() > 0


def test_what_is_worked_out_ahead_parts_no_cut(cluster: Cluster) -> None:
    costs = operator_costs(load_model(models.folded_shape()), cluster.nodes)
    assert len(costs.positions) > 4


def test_a_model_of_constants_only_has_nothing_to_plan(cluster: Cluster) -> None:
    with pytest.raises(ModelError, match="nothing in the model depends on its inputs"):
        operator_costs(load_model(models.constants_only()), cluster.nodes)


def unknown_operator_behind_a_product() -> ModelProto:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17, "example.org": 1]>
        g (float[1,2] x, float[2,2] w) => (float[1,2] y)
        { p = MatMul(x, w) y = example.org.Frobnicate(p) }"""
    )
    assert isinstance(model, ModelProto)
    return model


def test_a_request_of_size_1_decides_what_follows_from_it(cluster: Cluster) -> None:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        g (float[N,64] x) => (float[M,64] y) {
            a = Concat <axis = 0> (x, x) b = Concat <axis = 0> (a, a) y = Neg(b) }""")
    graph = load_model(model)
    feed = {"x": np.ones((1, 64), np.float32)}
    costs = operator_costs(graph, cluster.nodes)
    assert costs.inputs == {"x": (1, 64)}
    for given in ({}, {"feed": feed}):
        for source in ("measured", costs):
            planned, _ = given_costs(source, graph, cluster.nodes, **given)
            sizes = [cut.mb * 1e6 for cut in planned.cuts]
            assert sizes == pytest.approx([256, 512, 1024, 1024])
