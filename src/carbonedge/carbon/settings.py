"""What a cluster file says of the meter and of carbon intensity."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonedge.exceptions import ClusterError

__all__ = ["Settings", "read_settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Tables of a cluster file; `None` for those it has not.

    Parameters
    ----------
    meter
        For `open_meter`.
    intensity
        For `open_signal`.
    folder
        That paths in them start from.
    """

    meter: Mapping[str, Any] | None
    intensity: Mapping[str, Any] | None
    folder: Path


def read_settings(path: str | os.PathLike[str]) -> Settings:
    """The tables ``[meter]`` and ``[intensity]`` of a file that `Cluster.from_toml` reads.

    Raises
    ------
    ClusterError
        If one is no table.
    """
    document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    for name in ("meter", "intensity"):
        table = document.get(name)
        if table is not None and not isinstance(table, dict):
            raise ClusterError(
                f"{os.fspath(path)}: {name!r} is {table!r}: write [{name}] and its keys below"
            )
    return Settings(document.get("meter"), document.get("intensity"), Path(path).parent)
