"""``carbonedge cluster``."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from typing import Any

import click

from carbonedge.cli import options
from carbonedge.cli.cluster_tables import print_down, print_limits, print_status
from carbonedge.cluster import Cluster
from carbonedge.runtime.local_cluster.down import down as take_down
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.record import Record
from carbonedge.runtime.local_cluster.status import status as all_status
from carbonedge.runtime.local_cluster.up import up as bring_up

__all__ = ["cluster"]


@click.group()
def cluster() -> None:
    """Bring up a local Ray whose workers have what a cluster file's nodes have."""


@cluster.command()
@click.argument("file", type=click.Path())
@options.as_json
def up(file: str, as_json: bool) -> None:
    """Bring up a local Ray for the nodes and links of FILE, to stay until `down`.

    Each worker lives under the CPU quota and memory limit of its node, by cgroups, and
    tensors wait as long as their link says. Without the rights to make cgroups it says so, runs
    unthrottled, and every report says that too.
    """
    record = bring_up(Cluster.from_toml(file))
    command = (
        f"carbonedge run MODEL.onnx --cluster {shlex.quote(file)} --runtime ray --address "
        f"{record.address}"
    )
    if as_json:
        click.echo(json.dumps({**_document(record), "run": command}, indent=2))
    else:
        print_limits(record, command)


@cluster.command()
@options.as_json
def down(as_json: bool) -> None:
    """Take down what `up` brought up, and remove what anything that was killed has left:
    processes, cgroups and files. What a program that lives has brought up is left to it.
    """
    done = take_down()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in done], indent=2))
    else:
        print_down(done)


@cluster.command()
@options.as_json
def status(as_json: bool) -> None:
    """Show what is up, or was left behind."""
    there = all_status()
    if as_json:
        documents = [
            {
                **({} if one.record is None else _document(one.record)),
                "folder": one.folder,
                "runs": one.runs,
                "processes": one.processes,
                "owner": one.owner,
            }
            for one in there
        ]
        click.echo(json.dumps(documents, indent=2))
    else:
        print_status(there)


def _document(record: Record) -> Mapping[str, Any]:
    """As plain values; the token is nobody's to print."""
    return {
        "folder": str(record.folder),
        "address": record.address,
        "throttled": record.why is None,
        "why": record.why,
        "nodes": [
            {"name": node.name, "cpu_cores": node.cpu_cores, "memory_mb": node.memory_mb}
            | dataclasses.asdict(Limits.of(node))
            for node in record.cluster.nodes
        ],
        "links": [dataclasses.asdict(link) for link in record.cluster.links],
    }
