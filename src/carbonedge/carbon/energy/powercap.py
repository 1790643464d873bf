"""Zones of Linux powercap: the parts of a machine whose energy RAPL counts."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from carbonedge.carbon.energy.meter import Component

__all__ = ["UJ_PER_J", "Zone", "distinct", "find_zones"]

UJ_PER_J = 1e6
CEILING_W = 1000.0
"""No zone draws more than this over the time that its counter takes to wrap."""

SAME_UJ = 1_000_000
"""What a kilowatt counts in a millisecond: dies no further apart show one counter."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the machine.

    Parameters
    ----------
    folder
        Where powercap shows it.
    name
        Unique: memory has its package's in it.
    component
        What it is.
    """

    folder: Path
    name: str
    component: Component

    @property
    def energy(self) -> Path:
        """The file of its counter, in uJ."""
        return self.folder / "energy_uj"

    @property
    def range_uj(self) -> int:
        """After what its counter begins again at 0; 0 where it never does."""
        return _number(self.folder / "max_energy_range_uj")

    @property
    def wraps_after_s(self) -> float:
        """How soon the counter may wrap: at its highest power limit, where it tells one."""
        limit_w = max(map(_watts, self.folder.glob("constraint_*_uw")), default=0.0)
        power_w = min(limit_w, CEILING_W) or CEILING_W
        return self.range_uj / UJ_PER_J / power_w or math.inf


def find_zones(root: Path) -> list[Zone]:
    """Packages, their memories and the platform, in natural order of their names.

    Each once: cores and graphics (``core``, ``uncore``) lie inside their package, and a package
    that shows both by model-specific registers and by mapped memory is taken from the former.

    Raises
    ------
    OSError
        If the name of a zone cannot be read.
    """
    # By their own names: sysfs shows a zone both beside and inside its parent.
    folders = dict(_folders(root))
    found: dict[str, Zone] = {}
    # Registers first: mapped memory is there for package 0 only.
    for path in sorted(folders, key=lambda path: (path.startswith("intel-rapl-mmio"), path)):
        folder = folders[path]
        name = _text(folder / "name")
        component: Component
        if name.startswith("package-"):
            component = "cpu"
        elif name == "psys":
            component = "machine"
        elif name == "dram":
            component = "memory"
            parent = folders.get(path.rpartition(":")[0])
            name = f"{_text(parent / 'name')}-dram" if parent else name
        else:
            continue
        found.setdefault(name, Zone(folder, name, component))
    return sorted(found.values(), key=lambda zone: _natural(zone.name))


def _folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """The zones beneath a folder, as the kernel names them, such as ``intel-rapl:0:1``."""
    # In order, so that of two paths to a zone the shorter comes last.
    for inner in sorted(folder.glob("intel-rapl*/")):
        if (inner / "energy_uj").exists():
            yield inner.name, inner
        yield from _folders(inner)


def distinct(packages: list[Zone]) -> list[Zone]:
    """Without dies that show the counter of another die of their package.

    AMD's Zen 1 and 2 do: https://github.com/mlco2/codecarbon/issues/1274. Of dies that count
    apart, one pair in tens of thousands agrees this closely by chance.

    Raises
    ------
    OSError, ValueError
        If the counter of a die cannot be read.
    """
    kept: list[Zone] = []
    counts_uj: dict[str, list[int]] = {}
    for zone in packages:
        package, die, _ = zone.name.partition("-die-")
        if die:
            seen = counts_uj.setdefault(package, [])
            count_uj = _number(zone.energy)
            # Counters that never counted are alike, too.
            if count_uj > 0 and any(abs(count_uj - other) <= SAME_UJ for other in seen):
                logger.info("%s shows the counter of another die: left out", zone.name)
                continue
            seen.append(count_uj)
        kept.append(zone)
    return kept


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _text(path: Path) -> str:
    return path.read_text().strip()


def _number(path: Path) -> int:
    text = _text(path)
    if not text.isdecimal():
        raise ValueError(f"{path} holds {text!r}, no whole number")
    return int(text)


def _watts(path: Path) -> float:
    """A limit in watts; 0 where the processor does not tell it, which is an error to read."""
    try:
        return _number(path) / UJ_PER_J
    except (OSError, ValueError):
        return 0.0
