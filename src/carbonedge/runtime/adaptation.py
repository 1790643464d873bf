"""When plans give way to others."""

from __future__ import annotations

from dataclasses import dataclass

from carbonedge._validation import non_negative, positive

__all__ = ["Adaptation"]


@dataclass(frozen=True, slots=True)
class Adaptation:
    """When plans give way to others while their nodes answer.

    Parameters
    ----------
    every_s
        It is looked at so often...
    tolerance
        ...whether a node's times or intensity have changed by more than this share.
    horizon_s
        A move must then pay within this time, at the requests per second of now; see `replan`.

    Raises
    ------
    ValueError
        If a time is not above 0, or the share is negative.
    """

    every_s: float = 5.0
    tolerance: float = 0.1
    horizon_s: float = 600.0

    def __post_init__(self) -> None:
        positive("every_s", self.every_s)
        non_negative("tolerance", self.tolerance)
        positive("horizon_s", self.horizon_s)
