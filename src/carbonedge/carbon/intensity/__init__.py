"""Signals: the carbon intensity of a grid zone over time, and where each value is from."""

from __future__ import annotations

from carbonedge.carbon.intensity.signal import Intensity, Signal, provenance, seconds

__all__ = ["Intensity", "Signal", "provenance", "seconds"]
