"""Carbon monitor: what an inference costs."""

from __future__ import annotations

from carbonedge.carbon.emissions import (
    embodied_g,
    embodied_g_per_hour,
    stage_emissions_g,
    transfer_emissions_g,
)
from carbonedge.carbon.footprint import (
    Footprint,
    FootprintMeter,
    Share,
    stage_share,
    transfer_share,
)

__all__ = [
    "Footprint",
    "FootprintMeter",
    "Share",
    "embodied_g",
    "embodied_g_per_hour",
    "stage_emissions_g",
    "stage_share",
    "transfer_emissions_g",
    "transfer_share",
]
