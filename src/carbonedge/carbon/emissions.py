"""From energy to emissions (ISO/IEC 21031:2024): ``O = E * I * PUE``, and ``M``."""

from __future__ import annotations

from carbonedge.cluster import Node
from carbonedge.units import J_PER_KWH, MS_PER_HOUR

__all__ = ["stage_emissions_g", "transfer_emissions_g"]


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
