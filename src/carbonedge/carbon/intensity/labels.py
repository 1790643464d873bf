"""What an intensity may be called."""

from __future__ import annotations

from typing import get_args

from carbonedge.carbon.intensity.signal import Accounting, Factors, Kind

__all__ = ["check_labels"]


def check_labels(kind: str, accounting: str, factors: str) -> None:
    """Raise ValueError where a label is none of those that `Intensity` knows."""
    labels = (
        ("kind", kind, Kind),
        ("accounting", accounting, Accounting),
        ("factors", factors, Factors),
    )
    for what, value, known in labels:
        if value not in get_args(known):
            raise ValueError(f"{what} is {value!r}: give any of {', '.join(get_args(known))}")
