"""Files that commands read besides models and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from carbonedge.cli.npz import read_npz
from carbonedge.cluster import Cluster
from carbonedge.planning import ModelGraph, Profile, Tensor, read_profile
from carbonedge.runtime.feeds import FeedChecker

__all__ = ["print_made_up", "read_feed", "read_profiles"]


def read_feed(path: str | None, model: ModelGraph) -> dict[str, Any] | None:
    """The inputs of a model from an ``.npz`` file, where there is one.

    Raises
    ------
    ValueError
        If the file cannot be read or its arrays are not what the model takes.
    """
    if path is None:
        return None
    feed = read_npz(path)
    FeedChecker(model.inputs).check(feed)
    return feed


def print_made_up(declared: Sequence[Tensor], made_up: Sequence[Tensor]) -> None:
    """Say what sizes the inputs of a request have where a model leaves them open."""
    taken = ", ".join(
        f"{given.name} {'x'.join(map(str, given.shape))}"
        for open_, given in zip(declared, made_up, strict=True)
        if given.shape is not None and given.shape != open_.shape
    )
    if taken:
        click.echo(f"Sizes that the model leaves open are made up: {taken}; --input brings others.")


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
