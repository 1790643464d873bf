"""Settings of meters and signals: parameters of what makes them, checked before it is called."""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["check_settings", "needed_settings"]

PLAIN: Mapping[object, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}
"""What values a plain type takes, and how they are called."""


def check_settings(
    what: str,
    make: Callable[..., object],
    settings: Mapping[str, object],
    *,
    besides: Collection[str] = (),
    without: Collection[str] = (),
) -> None:
    """That all settings are parameters of ``make``, none is missing and each has its type.

    Parameters
    ----------
    what
        What is made, for the message.
    make
        Called with the settings; its annotations are the types.
    settings
        As a TOML table or keyword arguments give them.
    besides, without
        Settings of any type that are no parameters, and parameters that are no settings.

    Raises
    ------
    ValueError
        If not; the message lists what is known.
    """
    hints = {name: hint for name, hint in _settable(make).items() if name not in without}
    names = (*hints, *besides)
    known = f"known are {', '.join(names)}" if names else "it has none"
    for name, value in settings.items():
        if name not in names:
            raise ValueError(f"{what} has no setting {name!r}: {known}")
        if name in hints and not _fits(value, hints[name]):
            raise ValueError(f"{name} of {what} is {value!r}: give {_described(hints[name])}")
    for name in needed_settings(make):
        if name not in settings:
            raise ValueError(f"{what} needs the setting {name!r}: {known}")


def needed_settings(make: Callable[..., object]) -> list[str]:
    """Settings without a default."""
    parameters = inspect.signature(make).parameters
    return [name for name in _settable(make) if parameters[name].default is inspect.Parameter.empty]


def _settable(make: Callable[..., object]) -> dict[str, Any]:
    """Parameters and their types, without those, such as clocks, that no file can give."""
    hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    return {
        name: hints[name] for name in inspect.signature(make).parameters if _described(hints[name])
    }


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if hint in PLAIN:
        return isinstance(value, PLAIN[hint][0]) and (hint is bool or not isinstance(value, bool))
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(hint))
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_fits(x, get_args(hint)[0]) for x in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(part, get_args(hint)[1]) for part in value.values()
        )
    kind = origin or hint
    return issubclass(kind, types.NoneType | os.PathLike) and isinstance(value, kind)


def _described(hint: Any) -> str:
    """In words, without what a file cannot hold; empty where that is all of it."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint][1]
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (Union, types.UnionType):
        return " or ".join(filter(None, map(_described, parts)))
    if origin is Sequence and _described(parts[0]):
        return f"a list, each of it {_described(parts[0])}"
    if origin is Mapping and _described(parts[1]):
        return f"a table, each of it {_described(parts[1])}"
    return ""
