"""Signals by name, as the command line and cluster files give them."""

from __future__ import annotations

import importlib
import inspect
import operator
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from carbonedge.carbon.intensity.chain import Chain
from carbonedge.carbon.intensity.signal import Accounting, Signal
from carbonedge.carbon.intensity.times import moment
from carbonedge.carbon.settings import check_settings

__all__ = ["SPECS", "open_cluster_signal", "open_signal"]

SPECS = (
    "static:G_PER_KWH",
    "trace:FILE",
    "trace:FILE@TIME",
    "country",
    "electricitymaps",
    "watttime",
    "uk",
    "carbon-aware-sdk:ACCOUNTING:FACTORS:URL",
)
"""How `open_signal` takes a source as text; several with commas between are a chain."""


class _Source(NamedTuple):
    """Where a source's class is, and what it takes."""

    module: str
    factory: str
    argument: str | None = None
    """The setting that a text gives after the colon."""
    extra: tuple[str, ...] = ()
    """Settings that are not the class's own."""


CACHE = "cache"
REPLAYED_FROM, REPLAYED_AT = "replayed_from", "replayed_at"

SOURCES: Mapping[str, _Source] = {
    "static": _Source("static", "Static", "g_per_kwh"),
    "trace": _Source("trace", "Trace.from_csv", "path", (REPLAYED_FROM, REPLAYED_AT)),
    "country": _Source("country", "CountryAverages"),
    "electricitymaps": _Source("electricity_maps", "ElectricityMaps", None, (CACHE,)),
    "watttime": _Source("watttime", "WattTime", None, (CACHE,)),
    "uk": _Source("uk", "UkCarbonIntensity", None, (CACHE,)),
    "carbon-aware-sdk": _Source("carbon_aware_sdk", "CarbonAwareSdk", "base_url", (CACHE,)),
}

FILES = ("path", "key_file", "password_file")
"""Settings that are relative to the folder of the file they stand in."""

SECRETS = ("key", "password")
"""Settings that do not belong into a file that is passed around."""

SOURCE = "source"
"""Names the source in a table, so no setting of a class can be called that."""


def open_signal(
    spec: str | Mapping[str, Any], *, base: str | os.PathLike[str] | None = None
) -> Signal:
    """The signal that a text or a table asks for.

    Parameters
    ----------
    spec
        A text like those of `SPECS`: ``trace:FILE@TIME`` plays the file from that time on, as
        if it were now. Or a table: ``source`` and what its class takes by keyword, for a trace
        also ``replayed_from`` (and ``replayed_at``); or ``chain``, a list of such texts and
        tables, the preferred first. Beside either, ``max_age_s`` and ``mixed`` as of `Chain`.
        Live sources are wrapped in a `Cache`, whose settings may be given as ``cache = {...}``,
        unless ``cache = false``.
    base
        The folder to which paths are relative; the working one when left out.

    Raises
    ------
    ValueError
        If there is no such source, setting or value of one; the message lists those there are.
    TypeError
        If it is neither text nor table, or a chain no list.
    IntensityUnavailableError
        If a source needs what is not there: a package, a key or a file of it.
    OSError
        If a trace cannot be read.
    """
    if isinstance(spec, str) and "," in spec:
        spec = {"chain": spec.split(",")}
    return _open(spec, Path() if base is None else Path(base))


def open_cluster_signal(path: str | os.PathLike[str]) -> Signal | None:
    """The signal that the table ``[intensity]`` of a cluster file asks for, if it has one.

    Raises
    ------
    ValueError, IntensityUnavailableError, OSError
        As `open_signal` does, a wrong type as a ValueError too, or because the file is no TOML.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("intensity")
        return None if table is None else open_signal(table, base=path.parent)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _open(spec: object, base: Path) -> Signal:
    if isinstance(spec, str):
        return _open(_table(spec), base)
    if not isinstance(spec, Mapping):
        raise TypeError(f"an intensity is {spec!r}: give a text, or a table with a source")
    table = dict(spec)
    limits = {name: table.pop(name) for name in ("max_age_s", "mixed") if name in table}
    check_settings("a chain", Chain, limits, without=["signals"])
    if "chain" not in table:
        signal = _open_source(table, base)
        return Chain([signal], **limits) if limits else signal
    parts = table.pop("chain")
    if table:
        raise ValueError(
            f"a chain has {', '.join(table)} beside it: only max_age_s and mixed may stand there"
        )
    if not isinstance(parts, list):
        raise TypeError("a chain is no list: give its sources one after another, in brackets")
    return Chain([_open(part, base) for part in parts], **limits)


def _table(text: str) -> dict[str, object]:
    """The text of one source as a table."""
    name, colon, argument = text.strip().partition(":")
    setting = _source(name).argument
    if bool(colon and argument) != (setting is not None):
        raise _miswritten(text, name)
    if setting is None:
        return {SOURCE: name}
    if name == "static":
        try:
            return {SOURCE: name, setting: float(argument)}
        except ValueError:
            raise _miswritten(text, name) from None
    if name == "carbon-aware-sdk":
        labels = argument.split(":", 2)
        if len(labels) < 3 or labels[0] not in get_args(Accounting):
            raise _miswritten(text, name)
        return {SOURCE: name, "accounting": labels[0], "factors": labels[1], setting: labels[2]}
    path, at, start = argument.rpartition("@")
    if at and start[:1].isdigit():
        return {SOURCE: name, setting: path, REPLAYED_FROM: start}
    return {SOURCE: name, setting: argument}


def _miswritten(text: str, name: str) -> ValueError:
    written = next(spec for spec in SPECS if spec.partition(":")[0] == name)
    return ValueError(f"the intensity is {text!r}: write it as {written}")


def _source(name: object) -> _Source:
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(
            f"there is no source of intensities {name!r}: give any of {', '.join(SPECS)}"
        )
    return SOURCES[name]


def _open_source(settings: dict[str, Any], base: Path) -> Signal:
    name = settings.pop(SOURCE, None)
    source = _source(name)
    module = importlib.import_module(f"carbonedge.carbon.intensity.{source.module}")
    factory = operator.attrgetter(source.factory)(module)
    _check_settings(name, factory, settings, source)
    extra = {setting: settings.pop(setting) for setting in source.extra if setting in settings}
    for setting in FILES:
        if setting in settings:
            if not isinstance(settings[setting], str | os.PathLike):
                raise TypeError(
                    f"{setting} of source {name!r} is {settings[setting]!r}: give the path of a file"
                )
            settings[setting] = base / Path(settings[setting]).expanduser()
    signal = factory(**settings)
    if REPLAYED_FROM in extra:
        start, at = extra[REPLAYED_FROM], extra.get(REPLAYED_AT)
        signal = signal.replayed(_when(start), at=_when(at))
    cache = extra.get(CACHE, CACHE in source.extra)
    return cast(Signal, signal) if cache is False else _cached(signal, cache)


def _check_settings(
    name: str, factory: Callable[..., object], settings: Mapping[str, object], source: _Source
) -> None:
    what = f"source {name!r}"
    for setting in SECRETS:
        if setting in settings and setting in inspect.signature(factory).parameters:
            raise ValueError(
                f"{what} has its {setting} written out: put it into a file and name that as "
                f"{setting}_file, or set it in the environment"
            )
    check_settings(what, factory, settings, besides=source.extra, without=SECRETS)
    if REPLAYED_AT in settings and REPLAYED_FROM not in settings:
        raise ValueError(f"{what} has {REPLAYED_AT!r} alone: give {REPLAYED_FROM!r} too")


def _cached(signal: Signal, settings: object) -> Signal:
    module = importlib.import_module("carbonedge.carbon.intensity.cache")
    if settings is True:
        settings = {}
    if not isinstance(settings, Mapping):
        raise TypeError(f"cache is {settings!r}: give true, false, or a table of settings of Cache")
    check_settings("the cache", module.Cache, settings)
    return cast(Signal, module.Cache(signal, **settings))


def _when(time: object) -> Any:
    """A time of a text as such; TOML has times of its own."""
    return moment(time) if isinstance(time, str) else time
