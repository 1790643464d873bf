"""Signals: the carbon intensity of a grid zone over time, and where each value is from."""

from __future__ import annotations

from carbonedge.carbon.intensity.cache import Cache
from carbonedge.carbon.intensity.carbon_aware_sdk import CarbonAwareSdk
from carbonedge.carbon.intensity.electricity_maps import ElectricityMaps
from carbonedge.carbon.intensity.keys import Secret
from carbonedge.carbon.intensity.signal import Intensity, Signal, seconds
from carbonedge.carbon.intensity.uk import UkCarbonIntensity
from carbonedge.carbon.intensity.watttime import WattTime

__all__ = [
    "Cache",
    "CarbonAwareSdk",
    "ElectricityMaps",
    "Intensity",
    "Secret",
    "Signal",
    "UkCarbonIntensity",
    "WattTime",
    "seconds",
]
