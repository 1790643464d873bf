"""The meter, the signal and the ledger of a session."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from carbonedge.carbon.accounting import Writer
from carbonedge.carbon.energy import Attribution, Meter, open_meter
from carbonedge.carbon.energy.attribution import ShareBy, check_share_by
from carbonedge.carbon.intensity import Refresher, Signal, open_signal, with_intensities
from carbonedge.carbon.ledger import Ledger
from carbonedge.cluster import Cluster

__all__ = ["Monitor", "stands_in"]

logger = logging.getLogger(__name__)

# One machine, one meter: two that count the same joules would give each to two works.
_attributions: weakref.WeakValueDictionary[tuple[ShareBy, object], Attribution] = (
    weakref.WeakValueDictionary()
)
_opening = threading.Lock()


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
            self.attribution = _attribution(meter, share_by)
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


def _attribution(
    meter: Meter | Attribution | str | Mapping[str, Any] | None, share_by: ShareBy
) -> Attribution | None:
    if meter is None or isinstance(meter, Attribution):
        return meter
    with _opening:
        if not isinstance(meter, str | Mapping):
            # Its attribution keeps it, so that no other can have its id.
            return _shared((share_by, id(meter)), meter)
        settings = {"kind": meter} if isinstance(meter, str) else dict(meter)
        share_by = check_share_by(settings.pop("share_by", share_by))
        asked = (share_by, repr(sorted(settings.items())))
        attribution = _attributions.get(asked)
        if attribution is None:
            opened = open_meter(**settings)
            # What "auto" has chosen may have been opened by its own name before.
            named = (share_by, repr(sorted({**settings, "kind": opened.name}.items())))
            attribution = _attributions[asked] = _shared(named, opened)
            if attribution.meter is opened:
                weakref.finalize(attribution, opened.close)
            else:
                opened.close()
        return attribution


def _shared(key: tuple[ShareBy, object], meter: Meter) -> Attribution:
    """The attribution under a key, made of the meter if there is none."""
    attribution = _attributions.get(key)
    if attribution is None:
        others = {str(other) for other in _attributions.values()}
        attribution = _attributions[key] = Attribution(meter, by=key[0])
        if others:
            logger.warning(
                "this process counts energy by %s and by %s: what both cover is counted twice, "
                "unless sessions are given one Attribution",
                str(attribution),
                " and by ".join(sorted(others)),
            )
    return attribution


def stands_in(cluster: Cluster) -> bool:
    """Whether this machine stands in for others: only a single node of speed 1 may be itself."""
    return len(cluster.nodes) > 1 or cluster.nodes[0].speed != 1.0
