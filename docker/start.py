"""Starts a machine of compose.yaml: its links by tc netem, then its Ray."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from carbonedge import Cluster
from carbonedge.runtime.ray.connection import resource

HEAD = "head"
PORT = 6379
CLUSTER = Path("/cluster.toml")
DEVICE = "eth0"
WITHIN_S = 120.0
STORE_BYTES = 80_000_000
"""Ray takes no less than 75 MiB."""
COMMON = ("ray", "start", "--block", "--num-cpus=0", "--disable-usage-stats")
MOST_BANDS = 16
"""Of the prio queue; the first is for what takes no link."""


def links(cluster: Cluster, node: str, address_of: Callable[[str], str]) -> Iterator[list[str]]:
    """Commands that hold up what leaves a node as its links do: each its own delay and rate.

    What comes back is held up where it leaves.
    """
    there = [(other.name, cluster.link(node, other.name)) for other in cluster.nodes]
    ways = [(name, link) for name, link in there if name != node and link is not None]
    if len(ways) >= MOST_BANDS:
        raise SystemExit(f"{node} has {len(ways)} links: tc prio tells {MOST_BANDS - 1} apart")
    to = ["dev", DEVICE]
    bands = ["prio", "bands", str(max(2, len(ways) + 1)), "priomap", *["0"] * 16]
    yield ["tc", "qdisc", "replace", *to, "root", "handle", "1:", *bands]
    for band, (name, link) in enumerate(ways, start=2):
        held = ["delay", f"{link.latency_ms:g}ms", "rate", f"{link.bandwidth_mbps:g}mbit"]
        yield ["tc", "qdisc", "add", *to, "parent", f"1:{band}", "netem", "limit", "10000", *held]
        match = ["u32", "match", "ip", "dst", f"{address_of(name)}/32", "flowid", f"1:{band}"]
        yield ["tc", "filter", "add", *to, "parent", "1:", "protocol", "ip", *match]


def ray(machine: str) -> list[str]:
    """The command that is the machine to Ray."""
    if machine == HEAD:
        return [*COMMON, "--head", f"--port={PORT}", "--include-dashboard=false"]
    resources = json.dumps({resource(machine): 1})
    store = f"--object-store-memory={STORE_BYTES}"
    return [*COMMON, f"--address={HEAD}:{PORT}", f"--resources={resources}", store]


def address_of(machine: str) -> str:
    """Its address, once its container is there."""
    until_s = time.monotonic() + WITHIN_S
    while True:
        try:
            return socket.gethostbyname(machine)
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.5)


def main(machine: str) -> None:
    """Become the machine."""
    if machine != HEAD:
        for command in links(Cluster.from_toml(CLUSTER), machine, address_of):
            subprocess.run(command, check=True)
    command = ray(machine)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1])
