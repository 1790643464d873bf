"""The nodes of a replay as arrays, and how far each is from the requests of each zone."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonedge._validation import non_negative
from carbonedge.cluster import Node
from carbonedge.exceptions import ClusterError
from carbonedge.experiments.times import with_times

__all__ = ["Fleet", "Zones", "read_zones"]

MOST_NODES = 100_000
MOST_OFFSET_H = 14


@dataclass(frozen=True, slots=True)
class Zones:
    """What a cluster file says of zones.

    Parameters
    ----------
    round_trip_ms
        By two zones in alphabetical order, the network's time there and back.
    utc_offset_h
        By zone, its local time less UTC.
    """

    round_trip_ms: Mapping[tuple[str, str], float] = field(default_factory=dict)
    utc_offset_h: Mapping[str, float] = field(default_factory=dict)

    def between_ms(self, here: str, there: str, otherwise_ms: float) -> float:
        """Network time from a zone to another and back, nothing within one."""
        if here == there:
            return 0.0
        return self.round_trip_ms.get(_pair(here, there), otherwise_ms)


def read_zones(path: str | os.PathLike[str]) -> Zones:
    """The tables ``[[zone_latency]]`` (zones, round_trip_ms) and ``[[zone]]`` (name,
    utc_offset_h) of a cluster file that `Cluster.from_toml` has read.

    Raises
    ------
    ClusterError
        If a table is none of these, or says what another has said.
    """
    document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    try:
        trips: dict[tuple[str, str], float] = {}
        for table in _tables(document, "zone_latency", ("zones", "round_trip_ms")):
            pair = table["zones"]
            if not (_names(pair) and len(set(pair)) == 2 == len(pair)):
                raise ValueError(f"zones of a zone_latency is {pair!r}: name two zones")
            if _pair(*pair) in trips:
                raise ValueError(
                    f"the latency between {' and '.join(pair)} is given twice: keep one"
                )
            trips[_pair(*pair)] = non_negative(
                f"round_trip_ms between {' and '.join(pair)}", table["round_trip_ms"]
            )
        offsets: dict[str, float] = {}
        for table in _tables(document, "zone", ("name", "utc_offset_h")):
            name, offset = table["name"], table["utc_offset_h"]
            if not _names([name]) or name in offsets:
                raise ValueError(f"the name of a zone is {name!r}: name each once")
            offsets[name] = _offset(name, offset)
    except (TypeError, ValueError) as error:
        raise ClusterError(f"{os.fspath(path)}: {error}") from error
    return Zones(trips, offsets)


def _tables(document: Mapping[str, Any], key: str, needed: Sequence[str]) -> list[dict[str, Any]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{key!r} is a single table: write [[{key}]], once for each")
    for table in tables:
        if set(table) != set(needed):
            raise ValueError(
                f"a {key} has {', '.join(table) or 'nothing'}: give {', '.join(needed)}"
            )
    return tables


def _offset(zone: str, hours: object) -> float:
    if isinstance(hours, bool) or not isinstance(hours, int | float):
        raise TypeError(f"utc_offset_h of zone {zone!r} is {hours!r}: give a number")
    if not -MOST_OFFSET_H <= hours <= MOST_OFFSET_H:
        raise ValueError(
            f"utc_offset_h of zone {zone!r} is {hours:g}: it must lie between -14 and 14"
        )
    return float(hours)


def _names(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(v, str) and v.strip() for v in values)


def _pair(here: str, there: str) -> tuple[str, str]:
    return (here, there) if here <= there else (there, here)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Nodes, and the zones they stand in, from which requests come.

    Parameters
    ----------
    nodes
        Each with a zone and an ``avg_time_ms``, the mean time of a request there.
    zones
        Of the nodes, in the order they are met.
    zone : integer array, shape [nodes]
        The position of each node's zone.
    round_trip_ms : float array, shape [zones, nodes]
        From a zone to a node and back: between the zones, and to the node itself.
    utc_offset_h : float array, shape [zones]
        Local time less UTC.
    """

    nodes: tuple[Node, ...]
    zones: tuple[str, ...]
    zone: NDArray[np.int64]
    round_trip_ms: NDArray[np.float64]
    utc_offset_h: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        nodes: Iterable[Node],
        *,
        zones: Zones = Zones(),
        copies: int = 1,
        time_ms: float | None = None,
        zone_latency_ms: float = 40.0,
    ) -> Fleet:
        """The fleet of some nodes.

        Parameters
        ----------
        nodes
            Of a cluster.
        zones
            What is known of their zones.
        copies
            How many nodes each stands for.
        time_ms
            What a request takes at speed 1, for nodes without ``avg_time_ms``.
        zone_latency_ms
            Round trip between zones of which `zones` does not tell.

        Raises
        ------
        ValueError
            If a node has no zone or no time, `zones` tells of a zone without a node, or there
            are too many nodes.
        """
        timed, _ = with_times(tuple(nodes), time_ms)
        lacking = [node.name for node in timed if node.zone is None]
        if lacking:
            raise ValueError(
                f"node {lacking[0]!r} has no zone: a replay takes its intensity from the trace of "
                "its zone; set zone"
            )
        if len(timed) * copies > MOST_NODES:
            raise ValueError(
                f"{len(timed)} nodes times {copies} are more than {MOST_NODES:,}: take fewer copies"
            )
        names = tuple(dict.fromkeys(str(node.zone) for node in timed))
        for told in (*(zone for pair in zones.round_trip_ms for zone in pair), *zones.utc_offset_h):
            if told not in names:
                raise ValueError(
                    f"there is no node in zone {told!r}, of which the cluster file tells: there "
                    f"are {', '.join(names)}"
                )
        between = [
            [
                zones.between_ms(here, there, non_negative("zone_latency_ms", zone_latency_ms))
                for there in names
            ]
            for here in names
        ]
        zone = np.repeat([names.index(str(node.zone)) for node in timed], copies)
        own_ms = np.repeat([node.network_latency_ms for node in timed], copies)
        return cls(
            tuple(
                node if copies == 1 else dataclasses.replace(node, name=f"{node.name} {copy}")
                for node in timed
                for copy in range(1, copies + 1)
            ),
            names,
            zone,
            np.array(between, dtype=np.float64)[:, zone] + own_ms,
            np.array([zones.utc_offset_h.get(name, 0.0) for name in names]),
        )

    def numbers(self, field: str) -> NDArray[np.float64]:
        """One number of each node, shape [nodes]."""
        return np.array([getattr(node, field) for node in self.nodes], dtype=np.float64)

    def least_latency_ms(self) -> NDArray[np.float64]:
        """What a request of mean length takes on the best of its own zone's nodes, shape [zones]."""
        latency_ms = self.round_trip_ms + self.numbers("avg_time_ms")
        own = self.zone == np.arange(len(self.zones))[:, np.newaxis]
        return np.where(own, latency_ms, np.inf).min(axis=1)  # type: ignore[no-any-return]
