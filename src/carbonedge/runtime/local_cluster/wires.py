"""The links of a node, as those of a local cluster: what takes them waits."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from carbonedge.cluster import Cluster
from carbonedge.exceptions import ClusterError
from carbonedge.units import MEGABITS_PER_MB, MS_PER_S

__all__ = ["Wires"]


class Wires:
    """What comes and goes by links, in both directions at once. Safe for threads.

    Parameters
    ----------
    cluster
        With the links.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._free_s: dict[tuple[str, str], float] = defaultdict(float)

    def carry(self, source: str, target: str, mb: float) -> float:
        """Wait as long as the link takes for so many MB: its latency, and its bandwidth once what
        came before is through. The milliseconds of that.

        Raises
        ------
        ClusterError
            If there is no such link.
        """
        link = self._cluster.link(source, target)
        if link is None:
            raise ClusterError(
                f"the local cluster that is up has no link from {source!r} to {target!r}: take it "
                "down, and bring it up from the file that has one"
            )
        began_s = time.perf_counter()
        with self._lock:
            sent_s = max(self._free_s[source, target], began_s)
            sent_s += mb * MEGABITS_PER_MB / link.bandwidth_mbps
            self._free_s[source, target] = sent_s
        time.sleep(max(0.0, sent_s + link.latency_ms / MS_PER_S - time.perf_counter()))
        return (time.perf_counter() - began_s) * MS_PER_S
