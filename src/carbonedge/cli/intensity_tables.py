"""Intensities for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from carbonedge.carbon.intensity import Intensity
from carbonedge.carbon.intensity.times import stamp
from carbonedge.cli.console import plain_table, to_stdout

__all__ = ["print_forecast", "print_intensity"]

HOUR_S = 3600
UNIT = "gCO2eq/kWh"
WIDEST = len("accounting")


def print_intensity(value: Intensity) -> None:
    """Print a value and all that is said of it."""
    rows = {
        "zone": value.zone,
        "intensity": f"{value.g_per_kwh:g} {UNIT}",
        "source": value.source,
        "kind": value.kind,
        "accounting": value.accounting,
        "factors": value.factors,
        "valid": _validity(value),
    }
    if value.age_s:
        rows["age"] = f"{value.age_s:.0f} s past that"
    console = to_stdout()
    for name, text in rows.items():
        console.print(f"{name:<{WIDEST}}  {text}", soft_wrap=True)


def print_forecast(values: Sequence[Intensity], start_s: float, end_s: float) -> None:
    """Print the mean of each hour, and which is the lowest."""
    hours = [
        (from_s, *_mean(values, max(from_s, start_s), min(from_s + HOUR_S, end_s)))
        for from_s in range(int(start_s // HOUR_S) * HOUR_S, math.ceil(end_s), HOUR_S)
    ]
    means = [mean for _, mean, _ in hours]
    lowest = means.index(min(means)) if min(means) < max(means) else None
    table = plain_table(("hour from", UNIT, "kind", ""), text=("hour from", "kind", ""))
    for number, (from_s, mean, kinds) in enumerate(hours):
        table.add_row(stamp(from_s), f"{mean:.1f}", kinds, "lowest" if number == lowest else "")
    console = to_stdout()
    console.print(table)
    first = values[0]
    console.print(
        f"{first.zone}: {first.source}; {first.accounting}, {first.factors}.", soft_wrap=True
    )


def _mean(values: Sequence[Intensity], start_s: float, end_s: float) -> tuple[float, str]:
    """Over a stretch of time, and what kinds of values it is the mean of."""
    weighted = 0.0
    kinds: dict[str, None] = {}
    for value in values:
        overlap_s = min(value.valid_until_s, end_s) - max(value.valid_from_s, start_s)
        if overlap_s > 0:
            weighted += value.g_per_kwh * overlap_s
            kinds[value.kind] = None
    return weighted / (end_s - start_s), ", ".join(kinds)


def _validity(value: Intensity) -> str:
    if math.isinf(value.valid_until_s):
        return "always"
    return f"{stamp(value.valid_from_s)} to {stamp(value.valid_until_s)}"
