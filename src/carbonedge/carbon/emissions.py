"""From energy to emissions (ISO/IEC 21031:2024): ``O = E * I * PUE``, and ``M``."""

from __future__ import annotations

from carbonedge._validation import non_negative, positive
from carbonedge.cluster import Node
from carbonedge.units import J_PER_KWH, MS_PER_HOUR

__all__ = ["embodied_g", "embodied_g_per_hour", "stage_emissions_g", "transfer_emissions_g"]


def stage_emissions_g(node: Node, energy_j: float, time_ms: float) -> float:
    """Operational and embodied gCO2eq of work on a node.

    Raises
    ------
    IntensityUnavailableError
        If the node has no carbon intensity.
    """
    operational = energy_j * node.known_intensity() * node.pue / J_PER_KWH
    return operational + node.embodied_g_per_hour * time_ms / MS_PER_HOUR


def transfer_emissions_g(source: Node, target: Node, energy_j: float) -> float:
    """GCO2eq of moving tensors, at the mean intensity of both ends.

    Raises
    ------
    IntensityUnavailableError
        If a node has no carbon intensity.
    """
    mean = (source.known_intensity() + target.known_intensity()) / 2
    return energy_j * mean / J_PER_KWH


def embodied_g(
    total_g: float,
    reserved_h: float,
    lifespan_h: float,
    *,
    reserved_resources: float = 1.0,
    total_resources: float = 1.0,
) -> float:
    """Embodied gCO2eq that falls to a use of hardware: ``M = TE * TiR / EL * RR / ToR``.

    ISO/IEC 21031:2024, in the words of its specification:

    Parameters
    ----------
    total_g
        TE, total embodied emissions: of making the hardware and taking it apart.
    reserved_h
        TiR, time reserved, in hours.
    lifespan_h
        EL, expected lifespan, in hours.
    reserved_resources, total_resources
        RR and ToR: what is reserved of the hardware, and what it has, in one unit such as cores.

    Raises
    ------
    ValueError
        If a value is out of its range, or more is reserved than there is.
    """
    rate = embodied_g_per_hour(
        total_g,
        lifespan_h,
        reserved_resources=reserved_resources,
        total_resources=total_resources,
    )
    return rate * non_negative("reserved_h", reserved_h)


def embodied_g_per_hour(
    total_g: float,
    lifespan_h: float,
    *,
    reserved_resources: float = 1.0,
    total_resources: float = 1.0,
) -> float:
    """What `embodied_g` comes to in an hour: the ``embodied_g_per_hour`` of a `Node`."""
    total_g = non_negative("total_g", total_g)
    lifespan_h = positive("lifespan_h", lifespan_h)
    reserved = non_negative("reserved_resources", reserved_resources)
    total = positive("total_resources", total_resources)
    if reserved > total:
        raise ValueError(
            f"reserved_resources is {reserved:g} of {total:g}: it must be at most total_resources"
        )
    return total_g / lifespan_h * (reserved / total)
