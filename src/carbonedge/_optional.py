"""Packages that only some uses need."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["optional"]


def optional(module: str, extra: str, unavailable: type[Exception]) -> ModuleType:
    """A module of an extra.

    Parameters
    ----------
    module
        As it is imported.
    extra
        The extra of carbonedge that brings it.
    unavailable
        Raised, with the command that installs it, where it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise unavailable(
            f'{package} is not installed: pip install "carbonedge[{extra}]"'
        ) from error
