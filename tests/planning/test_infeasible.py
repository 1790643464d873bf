from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import models
import numpy as np
import oracle
import pytest

from carbonedge import Cluster, ClusterError, InfeasibleError, PartitionProblem, partition

MB_MORE = re.compile(r"node '(\w+)' has .* needs ([\d.e+-]+) MB; give it ([\d.e+-]+) MB more")


def chain(**changes: Any) -> PartitionProblem:
    """Four operators of 10 MB, 1 ms on whichever of three linked nodes."""
    values: dict[str, Any] = {
        "time_ms": np.ones((4, 3)),
        "energy_j": np.ones((4, 3)),
        "memory_mb": [10, 10, 10, 10],
        "cut_mb": np.zeros(5),
        "node_memory_mb": [100, 100, 100],
        "intensity_g_per_kwh": [100, 100, 100],
        "link_latency_ms": np.full((3, 3), 0.5),
        "link_mbps": np.full((3, 3), np.inf),
        "link_j_per_mb": np.zeros((3, 3)),
        "stage_overhead_ms": np.zeros(3),
        "node_names": ("a", "b", "c"),
        "operator_names": ("one", "two", "three", "four"),
    }
    return PartitionProblem(**(values | changes))


def links(*pairs: str) -> np.ndarray:
    """Latencies of these links, and endless ones of the others."""
    latency_ms = np.full((3, 3), math.inf)
    for source, target in pairs:
        latency_ms["abc".index(source), "abc".index(target)] = 0.5
    return latency_ms


def why(problem: PartitionProblem, **limits: Any) -> str:
    with pytest.raises(InfeasibleError) as error:
        problem.solve("latency", **limits)
    return str(error.value)


def test_an_operator_that_fits_no_node_is_named() -> None:
    assert why(chain(memory_mb=[10, 10, 130, 10])) == (
        "operator 'three' needs 130 MB and the largest node, 'a', has 100 MB: give a node "
        "30 MB more memory"
    )


def test_a_cluster_that_is_too_small_as_a_whole_lacks_so_much() -> None:
    assert why(chain(node_memory_mb=[12, 11, 10])) == (
        "the model needs 40 MB and the nodes have 33 MB together: add 7 MB of memory, or nodes"
    )


def test_a_target_that_is_missed_is_missed_by_so_much() -> None:
    assert why(chain(), slo_ms=3.5) == (
        "no plan meets slo_ms=3.5: the fastest takes 4 ms, 0.5 ms more"
    )


def test_a_target_that_more_stages_would_meet_says_so() -> None:
    fast_ends = np.array([[1, 9, 9], [1, 9, 9], [9, 1, 9], [9, 1, 9]])
    assert why(chain(time_ms=fast_ends), slo_ms=5, max_stages=1) == (
        "no plan meets slo_ms=5: the fastest takes 20 ms, 15 ms more; with 2 stages instead of "
        "max_stages=1 it would take 4.5 ms"
    )


def test_too_few_stages_are_counted() -> None:
    assert why(chain(node_memory_mb=[20, 10, 10]), max_stages=1) == (
        "no plan has max_stages=1 or fewer: the model needs at least 3 stages, for it takes "
        "40 MB and the 2 largest nodes have 30 MB"
    )


def test_too_few_stages_are_not_blamed_on_memory_that_is_there() -> None:
    behind = chain(node_memory_mb=[20, 40, 20], link_latency_ms=links("ab", "bc", "ca"), source=0)
    assert why(behind, max_stages=1) == (
        "no plan has max_stages=1 or fewer: the model needs at least 2 stages, for no node with "
        "links from and to the source holds it"
    )
    in_turn = chain(node_memory_mb=[25, 25, 10], link_latency_ms=links("ac", "cb"))
    assert why(in_turn, max_stages=2) == (
        "no plan has max_stages=2 or fewer: the model needs at least 3 stages, for no 2 linked "
        "nodes hold it in turn"
    )


def test_the_links_that_are_missing_are_named() -> None:
    apart = chain(node_memory_mb=[20, 10, 10], link_latency_ms=links("ab"))
    assert why(apart) == (
        "no linked nodes hold the model in turn: there is no link from 'b' to 'c'; add this "
        "link, or memory"
    )


def test_a_source_without_links_is_named() -> None:
    alone = chain(node_memory_mb=[5, 100, 5], link_latency_ms=links("bc", "cb"), source=0)
    assert why(alone) == (
        "no linked nodes hold the model in turn and back to the source 'a': there is no link "
        "from 'a' to 'b' and no link from 'b' to 'a'; add these links, or memory"
    )


def test_memory_that_is_enough_but_wrongly_spread_says_which_node_needs_how_much() -> None:
    # 15 + 15 + 15 MB hold four times 10 MB, but no two of them on one node.
    assert why(chain(node_memory_mb=[15, 16, 15])) == (
        "no way to cut the model fits the nodes, in order and a stage on each: node 'b' has "
        "16 MB and the smallest stage that would help needs 20 MB; give it 4 MB more, the least "
        "that is enough"
    )


def test_no_time_is_no_proof() -> None:
    random = np.random.default_rng(0)
    memory_mb = random.uniform(0.5, 1.5, 60)
    tight = PartitionProblem(
        random.uniform(1, 2, (60, 14)),
        random.uniform(1, 2, (60, 14)),
        memory_mb,
        np.zeros(61),
        node_memory_mb=random.uniform(0.99, 1.03, 14) * memory_mb.sum() / 14,
        intensity_g_per_kwh=np.ones(14),
        link_latency_ms=np.zeros((14, 14)),
        link_mbps=np.full((14, 14), np.inf),
        link_j_per_mb=np.zeros((14, 14)),
        stage_overhead_ms=np.zeros(14),
    )
    with pytest.raises(InfeasibleError, match=r"no plan was found in 0.001 s, nor .* time_limit_s"):
        tight.solve("emissions", time_limit_s=0.001)


def test_what_is_said_to_be_enough_is_enough_and_no_less_is() -> None:
    random = np.random.default_rng(0)
    checked = 0
    for _ in range(800):
        num_operators, num_nodes = random.integers(2, 7), random.integers(2, 5)
        tight = PartitionProblem(
            np.ones((num_operators, num_nodes)),
            np.ones((num_operators, num_nodes)),
            random.integers(1, 7, num_operators),
            np.zeros(num_operators + 1),
            node_memory_mb=random.integers(1, 10, num_nodes),
            intensity_g_per_kwh=np.ones(num_nodes),
            link_latency_ms=random.choice([0, math.inf], (num_nodes, num_nodes), p=[0.9, 0.1]),
            link_mbps=np.ones((num_nodes, num_nodes)),
            link_j_per_mb=np.zeros((num_nodes, num_nodes)),
            stage_overhead_ms=np.zeros(num_nodes),
            source=random.choice([None, 0]),
        )
        if next(oracle.plans(tight), None) is not None:
            continue
        said = MB_MORE.search(why(tight))
        if said is None:
            continue
        checked += 1
        node, needed, more = int(said[1]), float(said[2]), float(said[3])
        assert needed - tight.node_memory_mb[node] == pytest.approx(more)
        assert _feasible_with(tight, node, more)
        for other in range(num_nodes):
            assert not _feasible_with(tight, other, more * 0.99)
    assert checked > 20


def _feasible_with(problem: PartitionProblem, node: int, more_mb: float) -> bool:
    memories = problem.node_memory_mb.copy()
    memories[node] += more_mb
    changed = dataclasses.replace(problem, node_memory_mb=memories)
    return next(oracle.plans(changed), None) is not None


def test_every_reason_that_is_given_is_so() -> None:
    random = np.random.default_rng(0)
    checked = dict.fromkeys(("fastest", "quicker", "stages", "links"), 0)
    for _ in range(800):
        num_operators, num_nodes = random.integers(1, 6), random.integers(1, 5)
        problem = PartitionProblem(
            random.integers(1, 5, (num_operators, num_nodes)),
            np.ones((num_operators, num_nodes)),
            random.integers(1, 7, num_operators),
            np.zeros(num_operators + 1),
            node_memory_mb=random.integers(1, 14, num_nodes),
            intensity_g_per_kwh=np.ones(num_nodes),
            link_latency_ms=random.choice([0.5, math.inf], (num_nodes, num_nodes), p=[0.6, 0.4]),
            link_mbps=np.ones((num_nodes, num_nodes)),
            link_j_per_mb=np.zeros((num_nodes, num_nodes)),
            stage_overhead_ms=np.zeros(num_nodes),
            source=random.choice([None, 0]),
        )
        slo_ms = float(random.choice([random.integers(1, 20), 1000]))
        most = int(random.integers(1, num_nodes + 1))
        if _latencies(problem, most, slo_ms):
            continue
        said = why(problem, slo_ms=slo_ms, max_stages=most)
        if found := re.search(r"the fastest takes ([\d.]+) ms", said):
            checked["fastest"] += 1
            assert float(found[1]) == pytest.approx(min(_latencies(problem, most)), rel=1e-3)
        if found := re.search(r"with (\d) stages instead of .* would take ([\d.]+) ms", said):
            checked["quicker"] += 1
            assert float(found[2]) in _latencies(problem, int(found[1]), slo_ms)
        elif "the fastest" in said:
            assert not _latencies(problem, num_nodes, slo_ms)
        if found := re.search(r"at least (\d) stages", said):
            checked["stages"] += 1
            assert _latencies(problem, int(found[1]))
            assert not _latencies(problem, int(found[1]) - 1)
        if missing := re.findall(r"no link from '(\d)' to '(\d)'", said):
            checked["links"] += 1
            latency_ms = problem.link_latency_ms.copy()
            for source, target in missing:
                latency_ms[int(source), int(target)] = 0.5
            assert _latencies(dataclasses.replace(problem, link_latency_ms=latency_ms), most)
    assert min(checked.values()) > 0


def _latencies(problem: PartitionProblem, max_stages: int, slo_ms: float = math.inf) -> list[float]:
    """Of all plans within the limits."""
    return [
        costs.latency
        for _, nodes, costs in oracle.plans(problem)
        if len(nodes) <= max_stages and costs.latency <= slo_ms
    ]


def test_a_plan_of_a_model_names_its_nodes_and_operators(cluster: Cluster) -> None:
    # Two layers: 256 bytes of weights and 32 of result, then 32 of a Tanh's, twice.
    fast, clean = (
        dataclasses.replace(node, memory_mb=mb)
        for node, mb in zip(cluster.nodes, (310e-6, 340e-6), strict=True)
    )
    with pytest.raises(
        InfeasibleError, match=r"'fast' has 0.00031 MB .* 0.00032 MB; give it 1e-05 MB more"
    ):
        partition(models.layers(depth=2), Cluster([fast, clean], cluster.links), costs="macs")
    with pytest.raises(InfeasibleError, match=r"operator 'MatMul_0' needs"):
        partition(
            models.layers(depth=2),
            Cluster([dataclasses.replace(fast, memory_mb=2e-4)]),
            costs="macs",
        )


def test_an_unknown_source_names_the_nodes(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no node 'phone': the cluster has fast, clean"):
        partition(models.layers(), cluster, source="phone", costs="macs")
