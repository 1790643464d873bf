"""Trees of files as Linux powercap shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

LAYOUTS = ("sysfs", "nested", "flat")
"""Beside and inside, as sysfs does by links; inside their parents; beside one another."""

RANGE_UJ = 262_143_328_850
"""Of 32 bits of 61 uJ."""


class Powercap:
    """Zones in a folder, by the names that the kernel gives them."""

    def __init__(self, folder: Path, layout: str = "sysfs") -> None:
        self.layout = layout
        self.root = folder / "class" / "powercap"
        self.root.mkdir(parents=True)
        self._devices = folder / "devices" / "virtual" / "powercap"

    def add(
        self,
        zone: str,
        name: str,
        energy_uj: int = 0,
        *,
        range_uj: int = RANGE_UJ,
        limits_uw: Mapping[str, object] = {},
    ) -> Path:
        """A zone such as ``intel-rapl:0:1``; returns the file of its energy."""
        folder = self._folder(zone)
        folder.mkdir(parents=True)
        if self.layout == "sysfs":
            (folder / "subsystem").symlink_to(self.root)
            (folder / "device").symlink_to(folder.parent)
            (self.root / zone).symlink_to(folder)
            control = self.root / zone.partition(":")[0]
            if not control.exists():
                control.symlink_to(self._devices / control.name)
        files = {"name": name, "max_energy_range_uj": range_uj, "energy_uj": energy_uj}
        for file, content in {**files, **limits_uw}.items():
            (folder / file).write_text(f"{content}\n")
        return folder / "energy_uj"

    def _folder(self, zone: str) -> Path:
        if self.layout == "flat":
            return self.root / zone
        control, *ids = zone.split(":")
        names = [":".join([control, *ids[:depth]]) for depth in range(1, len(ids) + 1)]
        top = self._devices if self.layout == "sysfs" else self.root
        return top.joinpath(control, *names)
