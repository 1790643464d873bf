"""How the nodes of a cluster are listened to."""

from __future__ import annotations

from dataclasses import dataclass, fields

from carbonedge._validation import positive

__all__ = ["Listening"]


@dataclass(frozen=True, slots=True)
class Listening:
    """How nodes are listened to.

    Parameters
    ----------
    every_s
        A node reports so often.
    silent_after_s
        A node not heard for so long is given up until it answers again.
    start_s
        Nodes are waited for so long in the beginning.

    Raises
    ------
    ValueError
        If one is not above 0, or nodes would be given up between two reports.
    """

    every_s: float = 1.0
    silent_after_s: float = 3.0
    start_s: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            positive(field.name, getattr(self, field.name))
        if self.silent_after_s < 2 * self.every_s:
            raise ValueError(
                f"silent_after_s is {self.silent_after_s:g} and every_s {self.every_s:g}: give up "
                "a node after two reports that did not come at the earliest"
            )
