from __future__ import annotations

import threading
import time

import pytest

from carbonedge import Cluster, ClusterError, Link, Node
from carbonedge.runtime.local_cluster.wires import Wires

NODES = [Node(name, cpu_cores=1, memory_mb=100, power_w=1) for name in "abc"]


def wires(**link: float) -> Wires:
    return Wires(Cluster(NODES, [Link("a", "b", **({"bandwidth_mbps": 1e6} | link))]))


def together(carriers: int, wires: Wires, *ways: str, mb: float = 0.0) -> float:
    """Seconds until all are through, each started at the same time."""
    threads = [
        threading.Thread(target=wires.carry, args=(*ways[k % len(ways)], mb))
        for k in range(carriers)
    ]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began_s


def test_tensors_wait_for_latency_and_bandwidth() -> None:
    # 0.1 MB are 0.8 megabits: 80 ms.
    assert wires(bandwidth_mbps=10, latency_ms=20).carry("b", "a", 0.1) >= 100


def test_how_long_they_waited_is_told() -> None:
    its = wires(latency_ms=30)
    began_s = time.perf_counter()
    waited_ms = its.carry("a", "b", 0.0)
    assert 30 <= waited_ms <= (time.perf_counter() - began_s) * 1e3


def test_one_after_another_they_take_the_bandwidth() -> None:
    assert together(4, wires(bandwidth_mbps=8), "ab", mb=0.05) >= 4 * 0.05


def test_side_by_side_they_take_the_latency_and_both_directions() -> None:
    assert together(4, wires(latency_ms=400), "ab") < 2 * 0.4
    assert together(2, wires(bandwidth_mbps=8), "ab", "ba", mb=0.4) < 2 * 0.4


def test_where_no_link_is_nothing_goes() -> None:
    with pytest.raises(ClusterError, match="has no link from 'a' to 'c'"):
        wires().carry("a", "c", 1.0)
