"""Which intensities may stand in one comparison."""

from __future__ import annotations

from collections.abc import Iterable

from carbonedge.carbon.intensity.signal import Intensity

__all__ = ["check_comparable"]


def check_comparable(intensities: Iterable[Intensity], *, mixed: bool = False) -> None:
    """Refuse to compare average with marginal, or direct with lifecycle, unless asked for.

    Raises
    ------
    ValueError
        If they are of more than one sort and not `mixed`; it says which zones are of which.
    """
    if mixed:
        return
    zones: dict[str, dict[str, None]] = {}
    for intensity in intensities:
        sort = f"{intensity.accounting} {intensity.factors}"
        said = f"{intensity.zone!r} ({intensity.source})"
        zones.setdefault(sort, {})[said] = None
    if len(zones) > 1:
        sorts = "; ".join(f"{sort}: {', '.join(said)}" for sort, said in zones.items())
        raise ValueError(
            f"these intensities do not compare: {sorts}. Take one sort for all zones, or set "
            "mixed=True"
        )
