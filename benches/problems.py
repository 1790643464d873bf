"""Partition problems whose solution is timed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from carbonedge import Cluster, Link, Node, PartitionProblem, load_model
from carbonedge.experiments import light_model, paper_cluster
from carbonedge.planning import operator_costs, partition_problem

__all__ = ["alike_nodes", "densenet121", "resnet50", "unlike_nodes"]

PAPER_TIMES_MS = (254.85, 424.75, 585.0)


def resnet50() -> PartitionProblem:
    """ResNet-50 at all its cuts on the paper's three nodes."""
    paper = paper_cluster()
    nodes = [
        replace(node, avg_time_ms=time_ms)
        for node, time_ms in zip(paper.nodes, PAPER_TIMES_MS, strict=True)
    ]
    return _problem("resnet50", Cluster(nodes, paper.links))


def densenet121(seed: int) -> PartitionProblem:
    """DenseNet-121 at all its cuts on eight unlike nodes, each of which holds it.

    The faster a node, the more carbon it costs, so that each has its place on the front.
    """
    random = np.random.default_rng(seed)
    speeds = np.sort(random.uniform(0.3, 2, 8))
    nodes = [
        Node(
            f"node-{i}",
            cpu_cores=4,
            memory_mb=4000,
            power_w=10 * speed,
            intensity_g_per_kwh=60 + 700 * (speed / 2) ** 1.5 * random.uniform(0.9, 1.1),
            avg_time_ms=50 / speed,
        )
        for i, speed in enumerate(speeds.tolist())
    ]
    links = [
        Link(
            a.name,
            b.name,
            bandwidth_mbps=random.uniform(100, 1000),
            latency_ms=random.uniform(0.1, 1),
            energy_j_per_mb=0.001,
        )
        for i, a in enumerate(nodes)
        for b in nodes[i + 1 :]
    ]
    return _problem("densenet121", Cluster(nodes, links))


def unlike_nodes(seed: int, memory_share: float) -> PartitionProblem:
    """200 operators on 16 nodes, no two alike, which together hold the model so many times."""
    random = np.random.default_rng(seed)
    operators, nodes = 200, 16
    work = random.uniform(0.1, 2, (operators, 1)) * random.uniform(0.8, 1.2, (operators, nodes))
    time_ms = work / random.uniform(0.5, 2, nodes)
    memory_mb = random.uniform(1, 5, operators)
    sizes = random.uniform(0.5, 1.5, nodes)
    pairs = (nodes, nodes)
    return PartitionProblem(
        time_ms,
        time_ms * random.uniform(2, 40, nodes) / 1e3,
        memory_mb,
        random.uniform(0.01, 1, operators + 1),
        node_memory_mb=sizes / sizes.sum() * memory_mb.sum() * memory_share,
        intensity_g_per_kwh=random.uniform(20, 800, nodes),
        link_latency_ms=random.uniform(0.05, 0.5, pairs),
        link_mbps=random.uniform(500, 10_000, pairs),
        link_j_per_mb=random.uniform(0, 0.01, pairs),
        stage_overhead_ms=np.full(nodes, 0.05),
    )


def alike_nodes(seed: int, node_memory_mb: float) -> PartitionProblem:
    """200 operators on 1,000 nodes of five kinds, in no order."""
    random = np.random.default_rng(seed)
    operators, kinds = 200, 5
    kind = random.permutation(np.arange(1000) % kinds)
    pairs = np.ix_(kind, kind)
    work = random.uniform(0.1, 2, (operators, 1)) * random.uniform(0.8, 1.2, (operators, kinds))
    time_ms = (work / random.uniform(0.3, 2, kinds))[:, kind]
    return PartitionProblem(
        time_ms,
        time_ms * random.uniform(2, 40, kinds)[kind] / 1e3,
        random.uniform(1, 5, operators),
        random.uniform(0.01, 1, operators + 1),
        node_memory_mb=(node_memory_mb * random.uniform(0.5, 1.5, kinds))[kind],
        intensity_g_per_kwh=random.uniform(20, 800, kinds)[kind],
        link_latency_ms=random.uniform(0.05, 0.5, (kinds, kinds))[pairs],
        link_mbps=random.uniform(500, 10_000, (kinds, kinds))[pairs],
        link_j_per_mb=random.uniform(0, 0.01, (kinds, kinds))[pairs],
        stage_overhead_ms=np.full(1000, 0.05),
    )


def _problem(name: str, cluster: Cluster) -> PartitionProblem:
    graph = load_model(light_model(name))
    costs = operator_costs(graph, cluster.nodes, "macs", all_cuts=True)
    return partition_problem(graph, cluster, costs)
