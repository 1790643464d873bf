"""Meters: what measures energy, or models it where nothing can be measured."""

from __future__ import annotations

from carbonedge.carbon.energy.attribution import Attribution, Portion
from carbonedge.carbon.energy.choice import (
    cluster_meter_settings,
    open_cluster_meter,
    open_meter,
)
from carbonedge.carbon.energy.codecarbon import CodeCarbonMeter
from carbonedge.carbon.energy.meter import COMPONENTS, Counter, Meter
from carbonedge.carbon.energy.model import ModelMeter
from carbonedge.carbon.energy.nvml import NvmlMeter
from carbonedge.carbon.energy.rapl import RaplMeter
from carbonedge.carbon.energy.replay import ReplayMeter, record
from carbonedge.carbon.energy.status import MeterStatus, survey
from carbonedge.carbon.energy.together import Together
from carbonedge.carbon.energy.window import Window, measure_idle_power_w

__all__ = [
    "COMPONENTS",
    "Attribution",
    "CodeCarbonMeter",
    "Counter",
    "Meter",
    "MeterStatus",
    "ModelMeter",
    "NvmlMeter",
    "Portion",
    "RaplMeter",
    "ReplayMeter",
    "Together",
    "Window",
    "cluster_meter_settings",
    "measure_idle_power_w",
    "open_cluster_meter",
    "open_meter",
    "record",
    "survey",
]
