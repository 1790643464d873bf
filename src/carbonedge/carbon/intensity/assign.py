"""The nodes of a cluster given the intensities of their zones."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from carbonedge.carbon.intensity.comparable import check_comparable
from carbonedge.carbon.intensity.signal import Intensity, Signal, seconds
from carbonedge.cluster import Cluster, Node

__all__ = ["given_intensity", "with_intensities"]


def with_intensities(
    cluster: Cluster,
    signal: Signal,
    when: datetime | float | None = None,
    *,
    mixed: bool | None = None,
) -> tuple[Cluster, dict[str, Intensity]]:
    """A cluster with the intensities of one moment, and by name of node where each is from.

    A node with a zone gets what the signal says of it; one without keeps the intensity it was
    given, which counts as average and lifecycle.

    Parameters
    ----------
    cluster
        Its nodes have a zone or an intensity.
    signal
        Asked once for each zone.
    when
        Now when left out.
    mixed
        Let intensities of different sorts stand side by side; as the signal has it when left
        out.

    Raises
    ------
    IntensityUnavailableError
        If a node has neither, or the signal does not know its zone.
    ValueError
        If the intensities do not compare, or no node has a zone: the signal would be asked
        nothing.
    """
    when_s = seconds(when)
    zones = dict.fromkeys(node.zone for node in cluster.nodes if node.zone is not None)
    if not zones:
        raise ValueError(
            f"no node has a zone, for which {signal!r} could be asked: give nodes a zone, or "
            "leave the source of intensities out"
        )
    by_zone = {zone: signal.at(zone, when_s) for zone in zones}
    by_node = {
        node.name: given_intensity(node) if node.zone is None else by_zone[node.zone]
        for node in cluster.nodes
    }
    named = (
        value if value.zone else dataclasses.replace(value, zone=f"node {name}")
        for name, value in by_node.items()
    )
    check_comparable(named, mixed=getattr(signal, "mixed", False) if mixed is None else mixed)
    nodes = [
        dataclasses.replace(node, intensity_g_per_kwh=by_node[node.name].g_per_kwh)
        for node in cluster.nodes
    ]
    return Cluster(nodes, cluster.links), by_node


def given_intensity(node: Node) -> Intensity:
    """What a node itself is given, taken as average and lifecycle.

    Raises
    ------
    IntensityUnavailableError
        If it is given none.
    """
    return Intensity(node.known_intensity(), node.zone or "", "given per node", "static")
