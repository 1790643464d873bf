"""Meters by name."""

from __future__ import annotations

import contextlib
import logging
import os
import pkgutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from carbonedge.carbon.energy.attribution import Attribution, check_share_by
from carbonedge.carbon.energy.meter import Meter
from carbonedge.carbon.energy.together import Together
from carbonedge.carbon.settings import check_settings
from carbonedge.exceptions import MeterUnavailableError

__all__ = [
    "AUTOMATIC",
    "METERS",
    "check_meter",
    "cluster_meter_settings",
    "maker",
    "open_cluster_meter",
    "open_meter",
]

logger = logging.getLogger(__name__)

METERS: Mapping[str, str] = {
    "rapl": "rapl:RaplMeter",
    "nvml": "nvml:NvmlMeter",
    "codecarbon": "codecarbon:CodeCarbonMeter",
    "model": "model:ModelMeter",
    "replay": "replay:ReplayMeter.from_csv",
}
"""What makes each; its parameters are the settings."""

AUTOMATIC = (("rapl", "model"), ("nvml",))
"""What ``"auto"`` opens: of each group the first that is there, together."""


def open_meter(kind: str, **settings: object) -> Meter:
    """A meter by its name.

    Parameters
    ----------
    kind
        ``"rapl"``, ``"nvml"``, ``"codecarbon"``, ``"model"``, ``"replay"``, or ``"auto"``: RAPL
        where it can be read, else the model, and with it NVML where there is a GPU.
    settings
        Parameters of the meter's class, of `ReplayMeter.from_csv` for a replay; none for
        ``"auto"``.

    Raises
    ------
    MeterUnavailableError
        If it is not there; the message has the remedy.
    ValueError
        If there is no such meter, or it has no such setting or value of it.
    """
    return _checked(kind, settings)(**settings)


def check_meter(kind: str, **settings: object) -> None:
    """What `open_meter` would refuse, here for another machine that is to open it.

    Raises
    ------
    ValueError
        If there is no such meter, or it has no such setting.
    """
    _checked(kind, settings)


def cluster_meter_settings(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The table ``[meter]`` of a cluster file, if it has one.

    Its ``kind`` names the meter, ``share_by`` says how works that overlap share its energy; all
    else are its settings, of which ``path`` starts from the file's folder.

    Raises
    ------
    ValueError
        Because the table is none.
    """
    path = Path(path)
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("meter")
    if table is None:
        return None
    is_settings = isinstance(table, dict) and isinstance(table.get("kind"), str)
    if not is_settings:
        raise ValueError(f"{path}: meter is {table!r}: write [meter], and its kind below")
    settings = dict(table)
    if isinstance(settings.get("path"), str):
        settings["path"] = path.parent / settings["path"]
    return settings


def open_cluster_meter(path: str | os.PathLike[str]) -> Attribution | None:
    """The meter that `cluster_meter_settings` ask for, if there are any.

    Raises
    ------
    ValueError, MeterUnavailableError
        As `open_meter` and `Attribution` do, or because the table is none.
    """
    settings = cluster_meter_settings(path)
    if settings is None:
        return None
    share_by = settings.pop("share_by", "cpu_time")
    try:
        by = check_share_by(share_by)
        return Attribution(open_meter(**settings), by=by)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def maker(kind: str) -> Callable[..., Meter]:
    """What makes a meter of `METERS`; its module is loaded now."""
    return cast(
        "Callable[..., Meter]", pkgutil.resolve_name(f"carbonedge.carbon.energy.{METERS[kind]}")
    )


def _checked(kind: str, settings: Mapping[str, object]) -> Callable[..., Meter]:
    """What makes a meter of that kind, once its settings are found to be known."""
    if kind not in ("auto", *METERS):
        known = ", ".join(sorted(["auto", *METERS]))
        raise ValueError(f"there is no meter {kind!r}: known are {known}")
    make = _automatic if kind == "auto" else maker(kind)
    check_settings(f"meter {kind!r}", make, settings)
    return make


def _automatic() -> Meter:
    meters: list[Meter] = []
    missing = []
    with contextlib.ExitStack() as opened:
        for group in AUTOMATIC:
            for kind in group:
                try:
                    meters.append(open_meter(kind))
                except MeterUnavailableError as error:
                    logger.info("meter %s is left out: %s", kind, error)
                    missing.append(f"{kind}: {error}")
                else:
                    opened.callback(meters[-1].close)
                    break
        if not meters:
            raise MeterUnavailableError("no meter is there. " + "; ".join(missing))
        meter = meters[0] if len(meters) == 1 else Together(meters)
        opened.pop_all()
        return meter
