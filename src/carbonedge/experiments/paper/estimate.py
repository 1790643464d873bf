"""A mean of repeats, and how sure it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Estimate", "estimate"]

T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t, two-sided 95 %, by degrees of freedom from 1 on."""
NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % confidence interval.

    Parameters
    ----------
    mean
        Of the repeats.
    half_width
        The interval is the mean plus or minus this; ``None`` of a single repeat.
    repeats
        What each came to.
    """

    mean: float
    half_width: float | None
    repeats: tuple[float, ...]


def estimate(repeats: Sequence[float]) -> Estimate:
    """Student's interval of the mean of repeats.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not repeats:
        raise ValueError("there are no repeats: give at least one")
    mean = math.fsum(repeats) / len(repeats)
    half_width = None
    if len(repeats) > 1:
        freedom = len(repeats) - 1
        # From ten on the normal distribution's is within 14 %, and nobody repeats that often.
        t = T_95[freedom - 1] if freedom <= len(T_95) else NORMAL_95
        half_width = t * statistics.stdev(repeats) / math.sqrt(len(repeats))
    return Estimate(mean, half_width, tuple(repeats))
