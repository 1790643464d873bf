"""The partition problem as a mixed-integer model, for CP-SAT: a second opinion."""

from __future__ import annotations

import numpy as np
from ortools.sat.python import cp_model

from carbonedge import PartitionProblem

__all__ = ["least_latency_ms", "whole_numbered_problem"]


def whole_numbered_problem(
    seed: int, operators: int, nodes: int, memory_share: float
) -> PartitionProblem:
    """Every latency a whole number of ms, as CP-SAT wants it; each node holds about that
    share of the model.
    """
    random = np.random.default_rng(seed)
    memory_mb = random.integers(1, 50, operators)
    pairs = (nodes, nodes)
    return PartitionProblem(
        random.integers(10, 1000, (operators, nodes)),
        random.integers(10, 1000, (operators, nodes)),
        memory_mb,
        random.integers(1, 100, operators + 1),
        node_memory_mb=np.ceil(memory_mb.sum() * memory_share * random.uniform(0.8, 1.2, nodes)),
        intensity_g_per_kwh=random.integers(20, 800, nodes),
        link_latency_ms=random.integers(1, 20, pairs),
        link_mbps=random.choice([1000.0, 2000.0, 8000.0], pairs),
        link_j_per_mb=np.zeros(pairs),
        stage_overhead_ms=random.integers(0, 20, nodes),
    )


def least_latency_ms(problem: PartitionProblem) -> float:
    """The optimum, by branch and cut over a flow of the chain through the nodes."""
    num_operators, num_nodes = problem.time_ms.shape
    operators, nodes = range(num_operators), range(num_nodes)
    model = cp_model.CpModel()
    runs = [[model.new_bool_var("") for _ in nodes] for _ in operators]
    # hops[i][a][b]: operator i - 1 runs on a and operator i on b.
    hops = [[[model.new_bool_var("") for _ in nodes] for _ in nodes] for _ in operators[1:]]
    model.add_exactly_one(runs[0])
    for i, hop in enumerate(hops, start=1):
        for node in nodes:
            model.add(sum(hop[node]) == runs[i - 1][node])
            model.add(sum(hop[before][node] for before in nodes) == runs[i][node])

    latency = []
    for node in nodes:
        starts = [runs[0][node]]
        starts += [hop[before][node] for hop in hops for before in nodes if before != node]
        model.add_at_most_one(starts)
        model.add(
            sum(int(problem.memory_mb[i]) * runs[i][node] for i in operators)
            <= int(problem.node_memory_mb[node])
        )
        latency += [int(problem.time_ms[i, node]) * runs[i][node] for i in operators]
        latency += [int(problem.stage_overhead_ms[node]) * start for start in starts]
    for cut, hop in enumerate(hops, start=1):
        for a in nodes:
            for b in nodes:
                if a != b:
                    ms = problem.link_latency_ms[a, b]
                    ms += problem.cut_mb[cut] * 8000 / problem.link_mbps[a, b]
                    latency.append(int(ms) * hop[a][b])
    model.minimize(sum(latency))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 2
    assert solver.solve(model) == cp_model.OPTIMAL
    return solver.objective_value
