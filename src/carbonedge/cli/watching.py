"""The cluster of a command, with the meter, the intensities and the ledger it is to have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from carbonedge.carbon.energy import (
    Attribution,
    cluster_meter_settings,
    open_cluster_meter,
    open_meter,
)
from carbonedge.carbon.intensity import (
    Signal,
    open_cluster_signal,
    open_signal,
    with_intensities,
)
from carbonedge.cluster import Cluster
from carbonedge.runtime.monitor import Monitor

__all__ = ["meter_settings", "read_cluster", "watched"]

NONE = "none"
"""Overrides the cluster file's table."""


def read_cluster(path: str, intensity: str | None = None) -> Cluster:
    """A cluster file's nodes with the intensities of now.

    Parameters
    ----------
    path
        The cluster file.
    intensity
        Given on the command line, in place of the file's ``[intensity]``.
    """
    cluster = Cluster.from_toml(path)
    signal = _signal(path, intensity)
    return cluster if signal is None else with_intensities(cluster, signal)[0]


@contextmanager
def watched(
    path: str,
    *,
    meter: str | None = None,
    intensity: str | None = None,
    ledger: str | None = None,
) -> Iterator[Monitor]:
    """What watches a run on the nodes of a cluster file, closed in the end.

    Parameters
    ----------
    path
        The cluster file.
    meter, intensity
        Given on the command line, in place of the file's ``[meter]`` and ``[intensity]``.
    ledger
        The file that inferences are written to.
    """
    cluster = Cluster.from_toml(path)
    opened = _meter(path, meter)
    try:
        monitor = Monitor(cluster, meter=opened, intensity=_signal(path, intensity), ledger=ledger)
        try:
            yield monitor
        finally:
            monitor.close()
    finally:
        if opened is not None:
            opened.meter.close()


def meter_settings(path: str, given: str | None) -> Mapping[str, Any] | None:
    """What a machine opens the meter of a run by; see `watched`."""
    if given is None:
        return cluster_meter_settings(path)
    if given == NONE:
        return None
    kind, _, file = given.partition(":")
    return {"kind": kind, "path": Path(file)} if file else {"kind": kind}


def _meter(path: str, given: str | None) -> Attribution | None:
    if given is None:
        return open_cluster_meter(path)
    settings = meter_settings(path, given)
    return None if settings is None else Attribution(open_meter(**settings))


def _signal(path: str, given: str | None) -> Signal | None:
    if given is None:
        return open_cluster_signal(path)
    return None if given == NONE else open_signal(given)
