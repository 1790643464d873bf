"""ONNX Runtime's session options, where they have to travel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Settings", "settings_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What sessions are opened with.

    Parameters
    ----------
    providers
        ONNX Runtime's.
    options
        Attributes of its session options, by name.
    """

    providers: Sequence[Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def settings_of(providers: Sequence[Any] | None, sess_options: Any) -> Settings:
    """What can be sent of ONNX Runtime's own objects, which cannot: the attributes that
    differ from their defaults. Nobody can ask for the config entries.
    """
    if sess_options is None:
        return Settings(providers)
    defaults = type(sess_options)()
    options = {
        name: getattr(sess_options, name)
        for name, kind in vars(type(sess_options)).items()
        if isinstance(kind, property) and getattr(sess_options, name) != getattr(defaults, name)
    }
    return Settings(providers, options)
