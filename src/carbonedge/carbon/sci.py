"""Software carbon intensity by ISO/IEC 21031:2024, with what is in it and what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from carbonedge.carbon.report import Report
from carbonedge.units import J_PER_KWH

__all__ = ["FUNCTIONAL_UNIT", "Figure", "Sci", "sci"]

FUNCTIONAL_UNIT = "one inference"

ALWAYS_LEFT_OUT = (
    "what nodes draw between inferences",
    "machines held ready for failures",
    "devices of end users",
    "training of the model, and developing and shipping the software",
    "offsets, certificates and market-based intensities, which the standard excludes",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One term of the score.

    Parameters
    ----------
    symbol
        As in the standard, which derives ``I`` as the mean that gives ``O``.
    name
        What it is.
    value
        ``None`` where it has none.
    unit
        Of the value.
    method
        How it came about.
    """

    symbol: str
    name: str
    value: float | None
    unit: str
    method: str


@dataclass(frozen=True, slots=True)
class Sci:
    """``SCI = (O + M) per R``.

    Parameters
    ----------
    operational_g, embodied_g
        ``O``, transfers in, and ``M``, in gCO2eq.
    inferences
        ``R``, in units of `FUNCTIONAL_UNIT`.
    figures
        Every term, with the method behind it.
    boundary
        What is counted.
    left_out
        What is not.
    """

    operational_g: float
    embodied_g: float
    inferences: int
    figures: tuple[Figure, ...]
    boundary: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def score_g(self) -> float | None:
        """GCO2eq per inference; ``None`` without inferences."""
        if not self.inferences:
            return None
        return (self.operational_g + self.embodied_g) / self.inferences

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "standard": "ISO/IEC 21031:2024",
            "functional_unit": FUNCTIONAL_UNIT,
            "score_g_per_inference": self.score_g,
            **asdict(self),
        }


def sci(report: Report) -> Sci:
    """The score of what a report covers."""
    total = report.total
    operational_g = total.operational_g + total.transfer_g
    scored = Sci(
        operational_g=operational_g,
        embodied_g=total.embodied_g,
        inferences=total.inferences,
        figures=(),
        boundary=tuple(_boundary(report)),
        left_out=(*_left_out(report), *ALWAYS_LEFT_OUT),
    )
    return replace(scored, figures=tuple(_figures(report, scored)))
