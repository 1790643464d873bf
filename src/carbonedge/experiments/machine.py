"""The machine that figures are from, for people."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from carbonedge.runtime.versions import versions

__all__ = ["machine_text"]

CPU_INFO = Path("/proc/cpuinfo")


def machine_text() -> str:
    """Its cores and processor, its system, and the versions that times depend on."""
    said = ", ".join(f"{what} {version}" for what, version in versions().items())
    return f"{os.cpu_count()} cores of {_processor()}, {platform.system()}, {said}"


def _processor() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
