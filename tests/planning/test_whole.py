from __future__ import annotations

import dataclasses

import models
import pytest

from carbonedge import Cluster, InfeasibleError, partition
from carbonedge.planning import load_model, operator_costs
from carbonedge.planning.whole import whole_plans

MODEL = load_model(models.layers())


def with_memory(cluster: Cluster, **memory_mb: float) -> Cluster:
    nodes = [
        dataclasses.replace(node, memory_mb=memory_mb.get(node.name, node.memory_mb))
        for node in cluster.nodes
    ]
    return Cluster(nodes, cluster.links)


def test_each_node_gets_the_whole_model_and_costs_what_a_plan_with_it_alone_does(
    cluster: Cluster,
) -> None:
    costs = operator_costs(MODEL, cluster.nodes, "macs")
    plans = whole_plans(MODEL, cluster, costs=costs)
    assert [[(s.node, s.start, s.stop) for s in plan.stages] for plan in plans] == [
        [("fast", 0, 8)],
        [("clean", 0, 8)],
    ]
    for plan, node in zip(plans, cluster.nodes, strict=True):
        alone = partition(MODEL, Cluster([node]), costs="macs")
        assert (plan.latency_ms, plan.energy_j) == (alone.latency_ms, alone.energy_j)
        assert plan.emissions_g == pytest.approx(alone.emissions_g)
        assert plan.stages[0].memory_mb == pytest.approx(MODEL.memory_mb)


def test_nodes_that_it_does_not_fit_are_left_out(cluster: Cluster) -> None:
    small = with_memory(cluster, fast=MODEL.memory_mb / 2)
    [plan] = whole_plans(MODEL, small, costs="macs")
    assert plan.stages[0].node == "clean"


def test_where_it_fits_none_each_says_what_it_lacks(cluster: Cluster) -> None:
    half = MODEL.memory_mb / 2
    small = with_memory(cluster, fast=half, clean=half * 1.1)
    with pytest.raises(InfeasibleError, match=r"whole model \(fast: .*needs.*; clean: .*needs"):
        whole_plans(MODEL, small, costs="macs")
