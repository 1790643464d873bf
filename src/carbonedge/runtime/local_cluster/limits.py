"""What a node has, as the kernel's limits say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from carbonedge.cluster import Node
from carbonedge.exceptions import ClusterError
from carbonedge.units import BYTES_PER_MB

__all__ = ["Limits"]

PERIOD_US = 10_000
"""Short, so that inferences of some ms are throttled too: the kernel's own is 100 ms, of which a
node of 0.4 cores could run 40 at full speed."""
LEAST_QUOTA_US = 1000
MOST_PERIOD_US = 1_000_000
"""The kernel takes no less, and no more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """CPU time of each period, and memory.

    Parameters
    ----------
    quota_us, period_us
        Microseconds of CPU time in so many that pass.
    memory_bytes
        At most.
    """

    quota_us: int
    period_us: int
    memory_bytes: int

    @classmethod
    def of(cls, node: Node) -> Self:
        """Those of a node.

        Raises
        ------
        ClusterError
            If it has less than the kernel can give.
        """
        period_us = max(PERIOD_US, round(LEAST_QUOTA_US / node.cpu_cores))
        if period_us > MOST_PERIOD_US:
            least = LEAST_QUOTA_US / MOST_PERIOD_US
            raise ClusterError(
                f"node {node.name!r} has {node.cpu_cores:g} cpu_cores, and a quota is {least:g} at "
                "least: give it as much"
            )
        quota_us = max(LEAST_QUOTA_US, round(node.cpu_cores * period_us))
        return cls(quota_us, period_us, int(node.memory_mb * BYTES_PER_MB))
