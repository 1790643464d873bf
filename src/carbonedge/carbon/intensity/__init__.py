"""Signals: the carbon intensity of a grid zone over time, and where each value is from."""

from __future__ import annotations

from carbonedge.carbon.intensity.assign import given_intensity, with_intensities
from carbonedge.carbon.intensity.cache import Cache
from carbonedge.carbon.intensity.carbon_aware_sdk import CarbonAwareSdk
from carbonedge.carbon.intensity.chain import Chain
from carbonedge.carbon.intensity.choice import open_cluster_signal, open_signal
from carbonedge.carbon.intensity.comparable import check_comparable
from carbonedge.carbon.intensity.country import CountryAverages
from carbonedge.carbon.intensity.electricity_maps import ElectricityMaps
from carbonedge.carbon.intensity.keys import Secret
from carbonedge.carbon.intensity.refresher import Refresher
from carbonedge.carbon.intensity.signal import Intensity, Signal, provenance, seconds
from carbonedge.carbon.intensity.static import Static
from carbonedge.carbon.intensity.trace import Trace
from carbonedge.carbon.intensity.uk import UkCarbonIntensity
from carbonedge.carbon.intensity.watttime import WattTime

__all__ = [
    "Cache",
    "CarbonAwareSdk",
    "Chain",
    "CountryAverages",
    "ElectricityMaps",
    "Intensity",
    "Refresher",
    "Secret",
    "Signal",
    "Static",
    "Trace",
    "UkCarbonIntensity",
    "WattTime",
    "check_comparable",
    "given_intensity",
    "open_cluster_signal",
    "open_signal",
    "provenance",
    "seconds",
    "with_intensities",
]
