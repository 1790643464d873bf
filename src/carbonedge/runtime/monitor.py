"""The meter, the signal and the ledger of a session."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from carbonedge.carbon.accounting import Writer
from carbonedge.carbon.energy import Attribution, Meter
from carbonedge.carbon.energy.attribution import ShareBy
from carbonedge.carbon.intensity import Refresher, Signal, open_signal, with_intensities
from carbonedge.carbon.ledger import Ledger
from carbonedge.cluster import Cluster
from carbonedge.runtime.attributions import shared_attribution

__all__ = ["Monitor", "stands_in"]


class Monitor:
    """What a session is watched by; closes what it opened.

    Parameters
    ----------
    cluster
        The nodes and zones.
    meter
        A meter, its name, its settings as in ``[meter]`` of a cluster file, or an
        attribution that several sessions share; `None` for node power x time. Sessions
        that name or are given the same meter, and share it alike, share one attribution.
    share_by
        How works that overlap share its energy; see `Attribution`.
    intensity
        A signal, a word for one as on the command line, or settings as in ``[intensity]``;
        `None` for the nodes' own. One that waits for the network is refreshed in the
        background.
    ledger
        A ledger, or the file of one.

    Attributes
    ----------
    cluster
        With the intensities of now.
    attribution, signal, ledger
        `None` where there is none.

    Raises
    ------
    MeterUnavailableError, IntensityUnavailableError
        If one is not to be had now.
    ValueError
        If a word or setting is not known.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        meter: Meter | Attribution | str | Mapping[str, Any] | None = None,
        share_by: ShareBy = "cpu_time",
        intensity: Signal | str | Mapping[str, Any] | None = None,
        ledger: Writer | str | os.PathLike[str] | None = None,
    ) -> None:
        self._closers: list[Callable[[], None]] = []
        self.attribution: Attribution | None = None
        self.cluster = cluster
        self.signal: Signal | None = None
        try:
            self.attribution = shared_attribution(meter, share_by)
            if intensity is not None:
                self.signal = self._open_signal(intensity)
                self.cluster, _ = with_intensities(cluster, self.signal)
            self.ledger = self._open_ledger(ledger)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close what was opened here, and let the meter go."""
        self.attribution = None
        while self._closers:
            self._closers.pop()()

    def _open_signal(self, intensity: Signal | str | Mapping[str, Any]) -> Signal:
        signal = intensity
        if isinstance(signal, str | Mapping):
            signal = open_signal(signal)
        if signal.immediate:
            return signal
        zones = sorted({node.zone for node in self.cluster.nodes if node.zone is not None})
        refresher = Refresher(signal, zones)
        self._closers.append(refresher.close)
        refresher.refresh_now()
        refresher.start()
        return refresher

    def _open_ledger(self, ledger: Writer | str | os.PathLike[str] | None) -> Writer | None:
        if not isinstance(ledger, str | os.PathLike):
            return ledger
        opened = Ledger(ledger)
        self._closers.append(opened.close)
        return opened


def stands_in(cluster: Cluster) -> bool:
    """Whether this machine stands in for others: only a single node of speed 1 may be itself."""
    return len(cluster.nodes) > 1 or cluster.nodes[0].speed != 1.0
