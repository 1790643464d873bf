from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from photo_model import photo_model

from carbonedge import Cluster, InferenceSession, Link, load_model, pareto, partition
from carbonedge.experiments.paper import PaperModel, Photos
from carbonedge.experiments.paper.calibration import (
    as_measured,
    predicted,
    time_whole,
    timed,
)
from carbonedge.experiments.paper.plans import least_emissions_g, targets
from carbonedge.experiments.paper.splitting import (
    Splitting,
    as_slow,
    measure_splitting,
    with_stage_ms,
)
from carbonedge.experiments.paper_cluster import paper_cluster
from carbonedge.planning import OperatorCosts, operator_costs
from carbonedge.planning.whole import whole_plans

MODEL = PaperModel("tiny", load_model(photo_model()), "photo")
CLUSTER = paper_cluster()
WHOLE_MS = {"node-high": 20.0, "node-medium": 35.0, "node-green": 50.0}


@pytest.fixture(scope="module")
def costs() -> OperatorCosts:
    nodes = timed(CLUSTER.nodes, WHOLE_MS)
    made = operator_costs(MODEL.graph, nodes, "macs")
    return as_measured(made, nodes, WHOLE_MS)


def test_costs_sum_to_what_the_whole_model_took(costs: OperatorCosts) -> None:
    sums = costs.time_ms.sum(axis=0) + costs.overhead_ms
    assert np.allclose(sums, list(WHOLE_MS.values()))
    shares = costs.time_ms / costs.time_ms.sum(axis=0)
    assert np.allclose(shares, shares[:, :1])


def test_the_whole_model_is_predicted_to_take_what_it_took(costs: OperatorCosts) -> None:
    for plan in whole_plans(MODEL.graph, CLUSTER, costs=costs):
        (stage,) = plan.stages
        assert plan.latency_ms == pytest.approx(WHOLE_MS[stage.node])
        node = CLUSTER.nodes[CLUSTER.index(stage.node)]
        energy_j = node.power_w * WHOLE_MS[stage.node] / 1e3
        assert plan.emissions_g == pytest.approx(energy_j * node.known_intensity() / 3.6e6)


def test_a_plan_is_predicted_anew_as_it_was_made(costs: OperatorCosts) -> None:
    for plan in pareto(MODEL.graph, CLUSTER, costs=costs):
        again = predicted(MODEL, CLUSTER, plan, costs)
        assert again.stages == plan.stages
        assert again.latency_ms == pytest.approx(plan.latency_ms)
        assert again.emissions_g == pytest.approx(plan.emissions_g)


def test_a_node_twice_as_slow_makes_its_stages_twice_as_long(costs: OperatorCosts) -> None:
    slower = {**WHOLE_MS, "node-green": 100.0}
    later = as_measured(costs, CLUSTER.nodes, slower)
    plan = partition(MODEL.graph, CLUSTER, costs=costs)
    again = predicted(MODEL, CLUSTER, plan, later)
    for before, after in zip(plan.stages, again.stages, strict=True):
        factor = 2 if before.node == "node-green" else 1
        assert after.time_ms == pytest.approx(factor * before.time_ms)


def test_targets_lie_on_the_front(costs: OperatorCosts) -> None:
    front = pareto(MODEL.graph, CLUSTER, costs=costs)
    found = targets(MODEL, CLUSTER, costs, front, 5)
    assert [found[0].plan.identity, found[-1].plan.identity] == [
        front[0].identity,
        front[-1].identity,
    ]
    (only,) = targets(MODEL, CLUSTER, costs, front, 1)
    assert only.plan.identity == front[0].identity
    for target in found:
        assert target.plan.latency_ms <= target.slo_ms
        assert target.excess == pytest.approx(0, abs=1e-9)
        assert target.least_g == min(p.emissions_g for p in front if p.latency_ms <= target.slo_ms)


def test_below_the_fastest_plan_there_is_no_least(costs: OperatorCosts) -> None:
    front = pareto(MODEL.graph, CLUSTER, costs=costs)
    assert least_emissions_g(front, front[0].latency_ms * 0.99) is None
    assert least_emissions_g(front, 1e9) == front[-1].emissions_g


def test_the_whole_model_is_timed_on_each_node() -> None:
    photos = Photos((np.zeros((1, 3, 224, 224), np.float32),) * 3, "none")
    alone = Cluster([CLUSTER.nodes[2]])
    with InferenceSession(MODEL.graph, alone) as session:
        taken = time_whole(MODEL, {"node-green": session}, photos)
        assert taken["node-green"] == pytest.approx(session.footprint.latency_ms)
        assert session.footprint.inferences == 3


def test_a_hops_latency_and_bandwidth_come_out_of_two_sizes() -> None:
    own = Link("a", "b", bandwidth_mbps=1000, latency_ms=1)
    # 3 ms, and 10 ms for each MB: 800 Mbit/s.
    (slow, other) = as_slow(
        [own, Link("a", "c", bandwidth_mbps=500, latency_ms=5)], own, (0.1, 4.0), (2.1, 24.0)
    )
    assert (slow.latency_ms, slow.bandwidth_mbps) == pytest.approx((3, 800))
    assert other.latency_ms == pytest.approx(7)
    # 16 ms for each MB of its own, and 2 more.
    assert other.bandwidth_mbps == pytest.approx(8000 / 18)


def test_two_hops_of_one_size_tell_of_the_latency_alone() -> None:
    own = Link("a", "b", bandwidth_mbps=1000, latency_ms=1)
    (slow,) = as_slow([own], own, (1.0, 20.0), (1.0, 22.0))
    assert (slow.latency_ms, slow.bandwidth_mbps) == pytest.approx((12, 1000))


def test_no_link_gets_faster_than_its_figures() -> None:
    own = Link("a", "b", bandwidth_mbps=1000, latency_ms=1)
    assert as_slow([own], own, (1.0, 0.5), (2.0, 0.5)) == (own,)


def test_a_model_that_cannot_be_cut_leaves_the_links_as_they_are() -> None:
    graph = make_graph(
        [make_node("Conv", ["photo", "weight"], ["seen"])],
        "one",
        [make_tensor_value_info("photo", TensorProto.FLOAT, (1, 3, 224, 224))],
        [make_tensor_value_info("seen", TensorProto.FLOAT, (1, 1, 224, 224))],
        [numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "weight")],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)
    one = PaperModel("one", load_model(model), "photo")
    costs = operator_costs(one.graph, timed(CLUSTER.nodes, WHOLE_MS), "macs")
    photos = Photos((), "none")
    found = measure_splitting(one, CLUSTER, costs=costs, whole={}, photos=photos, address="nowhere")
    assert found == Splitting(CLUSTER.links, 0.0)


def test_each_stage_more_takes_its_part_of_a_core(costs: OperatorCosts) -> None:
    """So a plan of two stages takes that much longer, the whole model as long as it took."""
    dearer = as_measured(with_stage_ms(costs, CLUSTER.nodes, 0.5), CLUSTER.nodes, WHOLE_MS)
    assert np.allclose(dearer.time_ms.sum(axis=0) + dearer.overhead_ms, list(WHOLE_MS.values()))
    front = pareto(MODEL.graph, CLUSTER, costs=costs)
    plan = next(one for one in front if len(one.stages) == 2)
    cores = {node.name: min(1.0, node.cpu_cores) for node in CLUSTER.nodes}

    def core_ms(with_costs: OperatorCosts) -> float:
        again = predicted(MODEL, CLUSTER, plan, with_costs)
        return sum(stage.time_ms * cores[stage.node] for stage in again.stages)

    # 20 ms of a core whole on node-high, 21 on node-medium, 20 on node-green.
    assert core_ms(dearer) - core_ms(costs) == pytest.approx(0.5, rel=0.05)
