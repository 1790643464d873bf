"""Exact conversions between the units that names in carbonedge end in."""

from __future__ import annotations

J_PER_KWH = 3.6e6
MS_PER_S = 1e3
MS_PER_HOUR = 3.6e6
BYTES_PER_MB = 1e6
MEGABITS_PER_MB = 8.0
"""A megabyte (10^6 bytes) in megabits, as link speeds are given in."""
KG_PER_LB = 0.45359237
"""The international pound, by definition; also turns lb/MWh into g/kWh."""
