"""The cluster of a command, with the meter, the intensities and the ledger it is to have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from carbonedge.carbon.intensity import Signal, open_signal, with_intensities
from carbonedge.carbon.settings import Settings, read_settings
from carbonedge.cluster import Cluster
from carbonedge.runtime.monitor import Monitor

__all__ = ["read_cluster", "watched"]

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
    signal = _signal(intensity, read_settings(path))
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
    settings = read_settings(path)
    monitor = Monitor(
        cluster,
        meter=_meter(meter, settings),
        intensity=_signal(intensity, settings),
        ledger=ledger,
    )
    try:
        yield monitor
    finally:
        monitor.close()


def _meter(given: str | None, settings: Settings) -> Mapping[str, Any] | None:
    if given is None:
        if settings.meter is None:
            return None
        table = dict(settings.meter)
        if "path" in table:
            table["path"] = settings.folder / table["path"]
        return table
    kind, colon, path = given.partition(":")
    if kind == NONE:
        return None
    return {"kind": kind, "path": Path(path)} if colon else {"kind": kind}


def _signal(given: str | None, settings: Settings) -> Signal | None:
    if given == NONE:
        return None
    if given is not None:
        return open_signal(given)
    if settings.intensity is not None:
        return open_signal(settings.intensity, base=settings.folder)
    return None
