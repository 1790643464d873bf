"""Hypothesis strategies, shared by all tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from carbonedge import Node, PartitionProblem, Task, Weights

# Few distinct values make ties likely, which is where choices go wrong.
_share = st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.8, 0.81, 1.0]) | st.floats(0, 1)
_cost = st.sampled_from([0.0, 1.0, 2.0, 10.0]) | st.floats(0, 1e3)


@st.composite
def nodes(draw: st.DrawFn, *, most: int = 40, embodied: bool = True) -> list[Node]:
    count = draw(st.integers(1, most))
    return [
        Node(
            f"n{i}",
            cpu_cores=draw(st.sampled_from([0.1, 0.5, 1.0, 4.0])),
            memory_mb=draw(st.sampled_from([64.0, 100.0, 512.0])),
            power_w=draw(st.sampled_from([1.0, 5.0, 20.0])),
            intensity_g_per_kwh=draw(_cost),
            pue=draw(st.sampled_from([1.0, 1.5])),
            load=draw(_share),
            network_latency_ms=draw(_cost),
            avg_time_ms=draw(_cost),
            running_tasks=draw(st.integers(0, 3)),
            parallelism=draw(st.integers(1, 2)),
            embodied_g_per_hour=draw(_cost) if embodied else 0.0,
        )
        for i in range(count)
    ]


tasks = st.builds(
    Task,
    cpu_cores=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.9]),
    memory_mb=st.sampled_from([0.0, 64.0, 100.0, 400.0]),
    slo_ms=st.none() | st.floats(1e-3, 1e3),
)

_weight = st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0])
weights = st.builds(
    lambda *values: Weights(*values) if sum(values) else Weights(1, 1, 1, 1, 1),
    *[_weight] * 5,
)


_exponent = st.integers(-6, 15)


@st.composite
def partition_problems(
    draw: st.DrawFn,
    *,
    most_operators: int = 5,
    most_nodes: int = 4,
    wild: bool = False,
    fewest_mb: int = 2,
) -> PartitionProblem:
    """Small numbers full of ties; where `wild`, of any magnitude from 1e-6 to 1e15."""
    num_operators = draw(st.integers(1, most_operators))
    num_nodes = draw(st.integers(1, most_nodes))
    # Nodes that copy another one are of its kind.
    kinds = draw(st.integers(1, num_nodes))
    alike = [min(node, kinds - 1) for node in range(num_nodes)]
    whole: st.SearchStrategy[float] = st.integers(0, 6)
    if wild:
        whole = st.builds(lambda digit, exponent: digit * 10.0**exponent, whole, _exponent)

    def array(*shape: int, values: st.SearchStrategy[float] = whole) -> np.ndarray:
        count = int(np.prod(shape))
        drawn = draw(st.lists(values, min_size=count, max_size=count))
        return np.array(drawn, dtype=float).reshape(shape)

    def of_nodes(values: st.SearchStrategy[float] = whole) -> np.ndarray:
        return array(kinds, values=values)[alike]

    def of_links(values: st.SearchStrategy[float] = whole) -> np.ndarray:
        return array(kinds, kinds, values=values)[np.ix_(alike, alike)]

    return PartitionProblem(
        array(num_operators, kinds)[:, alike],
        array(num_operators, kinds)[:, alike],
        array(num_operators, values=st.integers(0, 6)),
        array(num_operators + 1),
        node_memory_mb=of_nodes(st.integers(fewest_mb, 20)),
        intensity_g_per_kwh=of_nodes(st.integers(0, 900)),
        link_latency_ms=of_links(st.sampled_from([0.0, 0.5, np.inf])),
        link_mbps=of_links(st.sampled_from([8000.0, 1000.0, np.inf])),
        link_j_per_mb=of_links(),
        stage_overhead_ms=of_nodes(st.integers(0, 2)),
        stage_overhead_j=of_nodes(st.integers(0, 2)),
        pue=of_nodes(st.sampled_from([1.0, 1.5])),
        embodied_g_per_hour=of_nodes(st.sampled_from([0.0, 100.0])),
        source=draw(st.none() | st.integers(0, num_nodes - 1)),
    )
