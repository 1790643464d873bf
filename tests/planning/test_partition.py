from __future__ import annotations

import dataclasses

import models
import pytest

from carbonedge import Cluster, InfeasibleError, IntensityUnavailableError, partition
from carbonedge.experiments import light_model
from carbonedge.planning import load_model, operator_costs, partition_for_mode


def test_a_plan_covers_the_model_in_order(cluster: Cluster) -> None:
    plan = partition(light_model("squeezenet"), cluster, slo_ms=20, costs="macs")
    assert plan.stages[0].start == 0
    assert plan.stages[-1].stop == 66
    assert [stage.stop for stage in plan.stages[:-1]] == list(plan.cuts)
    assert {stage.node for stage in plan.stages} == {"fast", "clean"}
    assert plan.optimal


def test_parts_of_a_plan_sum_to_its_whole(cluster: Cluster) -> None:
    plan = partition(light_model("squeezenet"), cluster, slo_ms=20, costs="macs")
    parts = (*plan.stages, *plan.transfers)
    assert sum(part.time_ms for part in parts) == pytest.approx(plan.latency_ms)
    assert sum(part.energy_j for part in parts) == pytest.approx(plan.energy_j)
    assert sum(part.emissions_g for part in parts) == pytest.approx(plan.emissions_g)
    assert plan.latency_ms <= 20


def test_modes_go_from_fast_to_clean(cluster: Cluster) -> None:
    graph = load_model(light_model("squeezenet"))
    costs = operator_costs(graph, cluster.nodes, "macs")
    fast, between, clean = (
        partition_for_mode(graph, cluster, mode, costs=costs)
        for mode in ("performance", "balanced", "green")
    )
    assert fast.latency_ms < between.latency_ms < clean.latency_ms
    assert fast.emissions_g > between.emissions_g > clean.emissions_g
    assert len(between.stages) == 2


def test_without_links_nothing_is_split(cluster: Cluster) -> None:
    apart = Cluster(cluster.nodes)
    plan = partition(light_model("squeezenet"), apart, slo_ms=20, costs="macs")
    assert [stage.node for stage in plan.stages] == ["fast"]


def test_a_model_that_fits_no_node_is_infeasible(cluster: Cluster) -> None:
    small = [dataclasses.replace(node, memory_mb=1) for node in cluster.nodes]
    with pytest.raises(InfeasibleError, match="largest node has 1 MB"):
        partition(light_model("squeezenet"), Cluster(small, cluster.links), costs="macs")


def test_an_unknown_mode_names_those_there_are(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="performance, balanced, green"):
        partition_for_mode(load_model(models.layers()), cluster, "fast", costs="macs")


def test_planning_needs_every_intensity(cluster: Cluster) -> None:
    unknown = dataclasses.replace(cluster.nodes[0], intensity_g_per_kwh=None)
    with pytest.raises(IntensityUnavailableError, match="'fast' has no carbon intensity"):
        partition(models.layers(), Cluster([unknown]), costs="macs")
