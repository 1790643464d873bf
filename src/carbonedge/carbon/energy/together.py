"""Several meters as one."""

from __future__ import annotations

import contextlib
from collections import Counter as Tally
from collections.abc import Iterable
from itertools import combinations

from carbonedge.carbon.energy.meter import Component, Counter, Meter, MeterMethod

__all__ = ["Together"]

WEAKEST_FIRST: tuple[MeterMethod, ...] = ("emulated", "modelled", "measured")


class Together:
    """Meters of different parts of a machine, read as one.

    A counter is named after its meter and itself, such as ``"rapl/package-0"``. The method is
    the weakest of theirs: a sum is measured where every part of it is.

    Parameters
    ----------
    meters
        At least one; closed with this one.

    Raises
    ------
    ValueError
        If two cover the same component, so that joules would count twice.
    """

    def __init__(self, meters: Iterable[Meter]) -> None:
        self._meters = tuple(meters)
        if not self._meters:
            raise ValueError("no meters are given: name at least one")
        for one, other in combinations(self._meters, 2):
            _check_apart(one, other)
        self._counters = tuple(
            Counter(f"{prefix}/{counter.name}", counter.component, counter.idle_power_w)
            for prefix, meter in zip(_prefixes(self._meters), self._meters, strict=True)
            for counter in meter.counters
        )

    @property
    def name(self) -> str:
        """Names of the meters, such as ``"rapl+nvml"``."""
        return "+".join(meter.name for meter in self._meters)

    @property
    def method(self) -> MeterMethod:
        return min((meter.method for meter in self._meters), key=WEAKEST_FIRST.index)

    @property
    def counters(self) -> tuple[Counter, ...]:
        return self._counters

    def read_j(self) -> tuple[float, ...]:
        return tuple(joules for meter in self._meters for joules in meter.read_j())

    def close(self) -> None:
        with contextlib.ExitStack() as all_of_them:
            for meter in self._meters:
                all_of_them.callback(meter.close)


def _check_apart(one: Meter, other: Meter) -> None:
    mine, others = _components(one), _components(other)
    same = mine & others
    # The machine is all components together.
    if "machine" in mine:
        same |= others
    if "machine" in others:
        same |= mine
    if same:
        raise ValueError(
            f"meters {one.name!r} and {other.name!r} both cover {', '.join(sorted(same))}: "
            "leave one of them out"
        )


def _components(meter: Meter) -> set[Component]:
    return {counter.component for counter in meter.counters}


def _prefixes(meters: tuple[Meter, ...]) -> list[str]:
    """Names of the meters, numbered where several have the same."""
    names = Tally(meter.name for meter in meters)
    seen: Tally[str] = Tally()
    prefixes = []
    for meter in meters:
        many = names[meter.name] > 1
        prefixes.append(f"{meter.name}-{seen[meter.name]}" if many else meter.name)
        seen[meter.name] += 1
    return prefixes
