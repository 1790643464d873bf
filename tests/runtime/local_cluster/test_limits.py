from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import ClusterError, Node
from carbonedge.runtime.local_cluster.limits import Limits


def limits(cpu_cores: float, memory_mb: float = 512) -> Limits:
    return Limits.of(Node("a", cpu_cores=cpu_cores, memory_mb=memory_mb, power_w=1))


def test_a_node_has_its_share_of_every_ten_milliseconds() -> None:
    assert limits(0.4) == Limits(4000, 10_000, 512_000_000)
    assert limits(2.0).quota_us == 20_000
    assert limits(0.4, memory_mb=0.5).memory_bytes == 500_000


@given(st.floats(0.001, 256))
def test_whatever_its_share_the_kernel_takes_it(cpu_cores: float) -> None:
    its = limits(cpu_cores)
    assert its.quota_us >= 1000
    assert 10_000 <= its.period_us <= 1_000_000
    assert its.quota_us / its.period_us == pytest.approx(cpu_cores, rel=1e-3)


def test_less_than_the_kernel_can_give_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"node 'a' has 0.0005 cpu_cores.*0.001 at least"):
        limits(0.0005)
