"""Meters: what measures energy, or models it where nothing can be measured."""

from __future__ import annotations

from carbonedge.carbon.energy.attribution import Attribution, Portion
from carbonedge.carbon.energy.meter import COMPONENTS, Counter, Meter
from carbonedge.carbon.energy.model import ModelMeter
from carbonedge.carbon.energy.rapl import RaplMeter

__all__ = [
    "COMPONENTS",
    "Attribution",
    "Counter",
    "Meter",
    "ModelMeter",
    "Portion",
    "RaplMeter",
]
