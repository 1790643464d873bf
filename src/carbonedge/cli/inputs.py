"""Files that commands read besides models and clusters."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from carbonedge.cluster import Cluster
from carbonedge.planning import ModelGraph, Profile, read_profile
from carbonedge.runtime.feeds import FeedChecker

__all__ = ["read_feed", "read_profiles"]


def read_feed(path: str | None, model: ModelGraph) -> dict[str, Any] | None:
    """The inputs of a model from an ``.npz`` file, where there is one.

    Raises
    ------
    ValueError
        If the file cannot be read or its arrays are not what the model takes.
    """
    if path is None:
        return None
    feed = _read_npz(path)
    FeedChecker(model.inputs).check(feed)
    return feed


def read_profiles(
    given: Sequence[str], cluster: Cluster
) -> tuple[Profile | None, dict[str, Profile]]:
    """What was measured here, and what on nodes of their own, from ``[NODE=]FILE``.

    Raises
    ------
    ValueError
        If a file cannot be read, or two are for the same place.
    """
    names = {node.name for node in cluster.nodes}
    here: Profile | None = None
    there: dict[str, Profile] = {}
    for text in given:
        name, equals, path = text.partition("=")
        # A file's name may have an equals sign in it too.
        if not equals or (name not in names and Path(text).exists()):
            if here is not None:
                raise ValueError(
                    f"profile {text!r} is the second for this machine: give one, and those of "
                    "nodes as NODE=FILE"
                )
            here = read_profile(text)
        elif name in there:
            raise ValueError(f"profile {path!r} is the second for node {name!r}: give one")
        else:
            there[name] = read_profile(path)
    return here, there


def _read_npz(path: str) -> dict[str, Any]:
    try:
        arrays = np.load(Path(path), allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            arrays = {"": arrays}
        return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ValueError(
            f"cannot read inputs from {path!r}: {reason}; write it with numpy.savez(path, name=...)"
        ) from error
