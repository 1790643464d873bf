"""What every meter is: counters in joules that only rise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["COMPONENTS", "Component", "Counter", "Meter", "MeterMethod"]

Component = Literal["cpu", "memory", "gpu", "machine"]
COMPONENTS: tuple[Component, ...] = ("cpu", "memory", "gpu", "machine")
"""Parts of a machine that a counter stands for; ``machine`` is all of it together."""

MeterMethod = Literal["measured", "modelled", "emulated"]
"""How joules came about: by a sensor, by a power model, or for a machine other than this one."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One thing that a meter counts.

    Parameters
    ----------
    name
        As the hardware names it, such as ``"package-0"``; unique in its meter.
    component
        What it stands for. No two counters of a meter cover the same energy.
    idle_power_w
        What it draws when nothing runs; 0 where that is not known.
    """

    name: str
    component: Component
    idle_power_w: float = 0.0


class Meter(Protocol):
    """Something that counts energy from the moment it is made.

    Safe to read from several threads.
    """

    @property
    def name(self) -> str:
        """As commands and reports name it, such as ``"rapl"``."""

    @property
    def method(self) -> MeterMethod:
        """How its joules come about."""

    @property
    def counters(self) -> tuple[Counter, ...]:
        """What it counts, at least one; their sum is all it covers, each joule once."""

    def read_j(self) -> tuple[float, ...]:
        """Joules since the meter was made, by counter; they never fall.

        Raises
        ------
        MeterUnavailableError
            If it can no longer be read.
        """

    def close(self) -> None:
        """Let files, threads and devices go."""
