from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper, parser

from carbonedge import Cluster, InfeasibleError, load_model, partition, replan
from carbonedge.planning import operator_costs

WEIGHTS = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
MB = WEIGHTS.nbytes / 1e6
RESULT_MB = 64 * 4 / 1e6


def product(*makers: NodeProto, functions: str = "", **initializers: np.ndarray) -> ModelProto:
    """A row times ``w``, which is an initializer or what the makers prepare."""
    operator = "own.times(x)" if functions else "MatMul(x, w)"
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 18, "own": 1]>
        g (float[1,64] x) => (float[1,64] y) {{ y = {operator} }} {functions}"""
    )
    for number, node in enumerate(makers):
        model.graph.node.insert(number, node)
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in initializers.items())
    assert isinstance(model, ModelProto)
    return model


def constant(values: np.ndarray = WEIGHTS) -> NodeProto:
    return helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(values))


def sparse() -> ModelProto:
    model = product()
    values = numpy_helper.from_array(np.ones(10, np.float32), "w")
    indices = numpy_helper.from_array(np.arange(10), "at")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [64, 64]))
    return model


def function() -> ModelProto:
    model = product(functions='<domain: "own", opset_import: ["": 18]> times (a) => (c) {}')
    model.functions[0].node.extend([constant(), helper.make_node("MatMul", ["a", "w"], ["c"])])
    return model


def branches(*, heavy_constants: bool) -> ModelProto:
    """An If whose branches bring the weights, each its own."""
    graphs = {}
    for name in ("then_branch", "else_branch"):
        nodes = [helper.make_node("MatMul", ["x", "w"], [name])]
        weights = [numpy_helper.from_array(WEIGHTS, "w")]
        if heavy_constants:
            nodes, weights = [constant(), *nodes], []
        out = helper.make_tensor_value_info(name, 1, (1, 64))
        graphs[name] = helper.make_graph(nodes, name, [], [out], weights)
    model = product()
    model.graph.input.append(helper.make_tensor_value_info("c", 9, ()))
    model.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["y"], **graphs))
    return model


# Held in memory, stored in a file.
SIZES = {
    "an initializer": (product(w=WEIGHTS), MB, MB),
    "a Constant": (product(constant()), MB, MB),
    "a small Constant and a large one of it": (
        product(
            helper.make_node("Constant", [], ["s"], value_ints=[64, 64]),
            helper.make_node("ConstantOfShape", ["s"], ["w"]),
        ),
        MB,
        0.0,
    ),
    "turned by an operator": (
        product(helper.make_node("Transpose", ["v"], ["w"]), v=WEIGHTS),
        MB,
        MB,
    ),
    "made of one thing twice": (
        product(helper.make_node("Add", ["v", "v"], ["w"]), v=WEIGHTS),
        MB,
        MB,
    ),
    "quantised": (
        product(
            helper.make_node("DequantizeLinear", ["q", "s"], ["w"]),
            q=WEIGHTS.astype(np.int8),
            s=np.float32(1),
        ),
        MB + MB / 4 + 4e-6,
        MB / 4 + 4e-6,
    ),
    "sparse": (sparse(), MB, 10 * (4 + 8) / 1e6),
    "within a function": (function(), MB, MB),
    "initializers of branches": (branches(heavy_constants=False), 2 * MB, 2 * MB),
    "Constants of branches": (branches(heavy_constants=True), 2 * MB, 2 * MB),
}


@pytest.mark.parametrize(("model", "held_mb", "stored_mb"), SIZES.values(), ids=SIZES)
def test_constants_take_memory_however_they_come_about(
    model: ModelProto, held_mb: float, stored_mb: float
) -> None:
    [operator] = load_model(model).operators
    assert operator.parameter_mb == pytest.approx(held_mb)
    assert operator.stored_mb == pytest.approx(stored_mb, abs=2e-5)
    # Bodies put out one more result within.
    assert operator.activation_mb in (RESULT_MB, 2 * RESULT_MB)


def test_a_forest_takes_what_its_lists_do() -> None:
    trees = {"nodes_values": [0.5] * 1000, "nodes_nodeids": list(range(1000))}
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **trees)
    model = product()
    model.graph.node[0].CopyFrom(node)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    [operator] = load_model(model).operators
    assert operator.parameter_mb == pytest.approx(1000 * (4 + 8) / 1e6)


def test_the_papers_cost_sees_weights_in_a_constant() -> None:
    [operator] = load_model(product(constant())).operators
    assert operator.paper_cost == 64 * 64


def test_weights_in_a_constant_leave_no_plan_as_initializers_do(cluster: Cluster) -> None:
    small = Cluster(
        [dataclasses.replace(node, memory_mb=MB) for node in cluster.nodes], cluster.links
    )
    said = []
    for model in (product(w=WEIGHTS), product(constant())):
        with pytest.raises(InfeasibleError, match=r"needs 0\.01664 MB and the largest") as error:
            partition(model, small, costs="macs")
        said.append(str(error.value).replace("MatMul_1", "MatMul_0"))
    assert said[0] == said[1]


def test_what_a_node_makes_itself_is_not_moved(cluster: Cluster) -> None:
    dear = dataclasses.replace(cluster.links[0], energy_j_per_mb=1e6)
    cluster = Cluster(cluster.nodes, [dear])
    expected = {"a Constant": MB, "an initializer": MB, "quantised": MB / 4 + 4e-6}
    for what, mb in expected.items():
        graph = load_model(SIZES[what][0])
        costs = operator_costs(graph, cluster.nodes, "macs")
        fast = partition(graph, cluster, objective="latency", costs=costs)
        found = replan(
            fast,
            graph,
            cluster,
            horizon_s=1,
            requests_per_s=0,
            session_start_ms=0,
            objective="emissions",
            costs=costs,
        )
        mean_g_per_kwh = (600 + 100) / 2
        assert found.switching_cost == pytest.approx(1e6 * mb * mean_g_per_kwh / 3.6e6)
