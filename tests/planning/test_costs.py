from __future__ import annotations

import models
import numpy as np
import pytest

from carbonedge import Cluster, ModelError, Node, load_model
from carbonedge.experiments import light_model
from carbonedge.planning import operator_costs


@pytest.mark.parametrize("source", ["macs", "paper"])
def test_shared_out_costs_sum_to_each_nodes_own_time(source: str, cluster: Cluster) -> None:
    graph = load_model(light_model("squeezenet"))
    costs = operator_costs(graph, cluster.nodes, source)
    np.testing.assert_allclose(costs.time_ms.sum(axis=0), [10, 30])
    assert costs.positions == frozenset(range(len(graph.operators) + 1))


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
    graph = load_model(models.valid_convolution())
    with pytest.raises(ModelError, match=r"cannot run the model on x \(1, 1, 1, 1\)"):
        operator_costs(graph, cluster.nodes)
    feed = {"x": np.ones((1, 1, 9, 9), np.float32)}
    assert operator_costs(graph, cluster.nodes, feed=feed).time_ms.sum() > 0


def test_what_is_worked_out_ahead_parts_no_cut(cluster: Cluster) -> None:
    costs = operator_costs(load_model(models.folded_shape()), cluster.nodes)
    assert len(costs.positions) > 4


def test_a_model_of_constants_only_has_nothing_to_plan(cluster: Cluster) -> None:
    with pytest.raises(ModelError, match="nothing in the model depends on its inputs"):
        operator_costs(load_model(models.constants_only()), cluster.nodes)
