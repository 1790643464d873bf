"""Nodes, the links between them, and the cluster they make."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from carbonedge._validation import (
    Rule,
    at_least_one,
    count,
    fraction,
    non_negative,
    positive,
    slots,
)
from carbonedge.exceptions import ClusterError, IntensityUnavailableError

__all__ = ["NODE_RULES", "Cluster", "Link", "Node"]

_T = TypeVar("_T")

NODE_RULES: Mapping[str, Rule] = {
    "cpu_cores": positive,
    "memory_mb": positive,
    "power_w": positive,
    "intensity_g_per_kwh": non_negative,
    "pue": at_least_one,
    "idle_power_w": non_negative,
    "speed": positive,
    "load": fraction,
    "network_latency_ms": non_negative,
    "avg_time_ms": non_negative,
    "running_tasks": count,
    "parallelism": slots,
    "embodied_g_per_hour": non_negative,
}
"""What each number of a node must be."""

OTHER_TABLES = ("meter", "intensity", "zone", "zone_latency")
"""Of a cluster file, read by others."""

DEFAULT_LINK_J_PER_MB = 0.03
"""A switched gigabit hop: four ports of about 1 W each, busy for 8 ms per MB."""


def _checked_name(what: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is {value!r}: give a name")
    return value


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that can run inference.

    Parameters
    ----------
    name
        Unique in its cluster.
    cpu_cores, memory_mb
        Capacity; memory in MB of 10^6 bytes.
    power_w
        Power drawn while a task runs.
    intensity_g_per_kwh
        Carbon intensity of the grid now; ``None`` when it is still to be looked up.
    zone
        The grid zone, as intensity providers name it.
    pue
        Power usage effectiveness: facility energy over machine energy.
    idle_power_w
        Power drawn when nothing runs.
    speed
        Inference speed relative to the machine that costs are measured on.
    load
        Share of the CPU in use, 0 to 1.
    network_latency_ms
        Round trip to the node.
    avg_time_ms
        Mean time of the tasks that ran here; 0 when none did.
    running_tasks, parallelism
        Tasks running now, and how many run side by side before they queue.
    embodied_g_per_hour
        Carbon of manufacture, spread over the node's life, while a task runs.

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If a value is not a number.
    """

    name: str
    _: dataclasses.KW_ONLY
    cpu_cores: float
    memory_mb: float
    power_w: float
    intensity_g_per_kwh: float | None = None
    zone: str | None = None
    pue: float = 1.0
    idle_power_w: float = 0.0
    speed: float = 1.0
    load: float = 0.0
    network_latency_ms: float = 0.0
    avg_time_ms: float = 0.0
    running_tasks: int = 0
    parallelism: int = 1
    embodied_g_per_hour: float = 0.0

    def __post_init__(self) -> None:
        _checked_name("the name of a node", self.name)
        if self.zone is not None:
            _checked_name(f"zone of node {self.name!r}", self.zone)
        for field, rule in NODE_RULES.items():
            value = getattr(self, field)
            if field == "intensity_g_per_kwh" and value is None:
                continue
            object.__setattr__(self, field, rule(f"{field} of node {self.name!r}", value))

    def known_intensity(self) -> float:
        """Carbon intensity in gCO2eq/kWh.

        Raises
        ------
        IntensityUnavailableError
            If it is not known.
        """
        if self.intensity_g_per_kwh is None:
            raise IntensityUnavailableError(
                f"node {self.name!r} has no carbon intensity: set intensity_g_per_kwh, or its zone "
                "and where intensities come from"
            )
        return self.intensity_g_per_kwh


@dataclass(frozen=True, slots=True)
class Link:
    """A way for tensors from one node to another; both ways unless each is given.

    Parameters
    ----------
    source, target
        Names of nodes.
    bandwidth_mbps
        Megabits per second.
    latency_ms
        One way.
    energy_j_per_mb
        Energy of moving 10^6 bytes, all equipment on the way together.

    Raises
    ------
    ValueError
        If a value is out of its range, or the link leads from a node to itself.
    """

    source: str
    target: str
    _: dataclasses.KW_ONLY
    bandwidth_mbps: float
    latency_ms: float = 0.0
    energy_j_per_mb: float = DEFAULT_LINK_J_PER_MB

    def __post_init__(self) -> None:
        _checked_name("the source of a link", self.source)
        _checked_name("the target of a link", self.target)
        if self.source == self.target:
            raise ValueError(f"a link leads from {self.source!r} to itself: name two nodes")
        where = f"of the link from {self.source!r} to {self.target!r}"
        for field, rule in _LINK_RULES.items():
            object.__setattr__(self, field, rule(f"{field} {where}", getattr(self, field)))


_LINK_RULES: Mapping[str, Rule] = {
    "bandwidth_mbps": positive,
    "latency_ms": non_negative,
    "energy_j_per_mb": non_negative,
}


@dataclass(frozen=True, slots=True, init=False)
class Cluster:
    """Nodes and the links between them. Nodes without a link exchange nothing.

    Parameters
    ----------
    nodes
        At least one, with different names.
    links
        Between those nodes.

    Raises
    ------
    ClusterError
        If there is no node, two share a name, a link's end is not a node, or a
        link is given twice.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def __init__(self, nodes: Iterable[Node], links: Iterable[Link] = ()) -> None:
        object.__setattr__(self, "nodes", tuple(nodes))
        object.__setattr__(self, "links", tuple(links))
        _check_names(self.nodes)
        _check_links(self.links, {node.name for node in self.nodes})

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a cluster file: ``[[node]]`` and ``[[link]]`` tables whose keys are
        the parameters of `Node` and `Link`. The tables ``[meter]`` and ``[intensity]`` are
        for `open_cluster_meter` and `open_cluster_signal`, ``[[zone]]`` and
        ``[[zone_latency]]`` for replays.

        Raises
        ------
        ClusterError
            If the file is missing or is no such file; the message names it.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ClusterError(f"cannot read cluster file {os.fspath(path)!r}: {reason}") from error
        try:
            return cls._from_document(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, ClusterError, TypeError, ValueError) as error:
            raise ClusterError(f"{os.fspath(path)}: {error}") from error

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> Self:
        _check_keys("the file", document, ("node", "link", *OTHER_TABLES))
        return cls(
            _entries(document, "node", Node),
            _entries(document, "link", Link),
        )

    def index(self, name: str) -> int:
        """Position of a node in `nodes`.

        Raises
        ------
        ClusterError
            If there is no such node.
        """
        for index, node in enumerate(self.nodes):
            if node.name == name:
                return index
        known = ", ".join(node.name for node in self.nodes)
        raise ClusterError(f"there is no node {name!r}: the cluster has {known}")

    def link(self, source: str, target: str) -> Link | None:
        """The link from one node to another, by the other way round if only that
        is given; ``None`` where there is none.
        """
        backwards = None
        for link in self.links:
            if (link.source, link.target) == (source, target):
                return link
            if (link.source, link.target) == (target, source):
                backwards = link
        return backwards


def _check_names(nodes: tuple[Node, ...]) -> None:
    if not nodes:
        raise ClusterError("the cluster has no nodes: give at least one")
    seen: set[str] = set()
    for node in nodes:
        if node.name in seen:
            raise ClusterError(f"two nodes are named {node.name!r}: names must differ")
        seen.add(node.name)


def _check_links(links: tuple[Link, ...], names: set[str]) -> None:
    seen: set[tuple[str, str]] = set()
    for link in links:
        for end in (link.source, link.target):
            if end not in names:
                known = ", ".join(sorted(names))
                raise ClusterError(
                    f"the link from {link.source!r} to {link.target!r} names {end!r}, "
                    f"which is not a node: the cluster has {known}"
                )
        if (link.source, link.target) in seen:
            raise ClusterError(
                f"the link from {link.source!r} to {link.target!r} is given twice: keep one"
            )
        seen.add((link.source, link.target))


def _entries(document: Mapping[str, Any], key: str, kind: type[_T]) -> list[_T]:
    tables = document.get(key, [])
    if not isinstance(tables, list):
        raise ClusterError(f"{key!r} is a single table: write [[{key}]], once for each {key}")
    return [_entry(key, number, table, kind) for number, table in enumerate(tables, start=1)]


def _entry(key: str, number: int, table: object, kind: type[_T]) -> _T:
    if not isinstance(table, Mapping):
        raise ClusterError(f"{key} {number} is {table!r}: write [[{key}]] and its keys below")
    fields = [f for f in dataclasses.fields(kind) if f.init]  # type: ignore[arg-type]
    where = f"{key} {table.get('name', number)!r}"
    _check_keys(where, table, [field.name for field in fields])
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in table:
            raise ClusterError(f"{where} has no {field.name!r}: give one")
    return kind(**table)


def _check_keys(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise ClusterError(f"{where} has an unknown key {key!r}: {hint}")
