"""Carbon monitor: what an inference costs."""

from __future__ import annotations

from carbonedge.carbon.accounting import Accounting, Hop, Metered
from carbonedge.carbon.emissions import (
    embodied_g,
    embodied_g_per_hour,
    stage_emissions_g,
    transfer_emissions_g,
)
from carbonedge.carbon.footprint import Footprint, Share

__all__ = [
    "Accounting",
    "Footprint",
    "Hop",
    "Metered",
    "Share",
    "embodied_g",
    "embodied_g_per_hour",
    "stage_emissions_g",
    "transfer_emissions_g",
]
