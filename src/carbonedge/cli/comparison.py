"""Running a comparison under a progress bar and printing it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from carbonedge.cli.tables import print_comparison, progress
from carbonedge.cluster import Cluster
from carbonedge.experiments import compare
from carbonedge.experiments.comparison import Remote
from carbonedge.planning import ModelGraph, Profile
from carbonedge.runtime.monitor import Monitor

__all__ = ["run_and_print"]

UNFAITHFUL = 1
INTERRUPTED = 130


def run_and_print(
    model: ModelGraph,
    cluster: Cluster,
    *,
    modes: Sequence[str],
    split_mode: str,
    requests: int,
    as_json: bool,
    slo_ms: float | None = None,
    feed: Mapping[str, Any] | None = None,
    threads: int = 1,
    profile: Profile | None = None,
    node_profiles: Mapping[str, Profile] | None = None,
    all_cuts: bool = False,
    monitor: Monitor | None = None,
    remote: Remote | None = None,
) -> int:
    """Compare, print, and return the exit code."""
    with progress("requests", requests * (len(modes) + 1)) as advance:
        comparison = compare(
            model,
            cluster,
            modes=modes,
            split_mode=split_mode,
            requests=requests,
            slo_ms=slo_ms,
            feed=feed,
            threads=threads,
            profile=profile,
            node_profiles=node_profiles,
            all_cuts=all_cuts,
            monitor=monitor,
            remote=remote,
            advance=advance,
        )
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2))
    else:
        print_comparison(comparison)
    if not comparison.faithful:
        click.echo("carbonedge: the split's outputs differ from the whole model's", err=True)
        return UNFAITHFUL
    return INTERRUPTED if comparison.interrupted else 0
