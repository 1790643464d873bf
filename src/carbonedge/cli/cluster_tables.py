"""What is shown of local clusters."""

from __future__ import annotations

from collections.abc import Sequence

from carbonedge.cli.console import LEAST_WIDTH, fold_text, plain_table, to_stdout
from carbonedge.cli.tables import link_name
from carbonedge.runtime.local_cluster.down import Down
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.record import Record
from carbonedge.runtime.local_cluster.status import Status
from carbonedge.units import BYTES_PER_MB

__all__ = ["print_down", "print_limits", "print_status"]

US_PER_MS = 1e3
NOTHING = "No local cluster is up."


def print_limits(record: Record, command: str) -> None:
    """Print what workers have, and what to type next."""
    console = to_stdout(LEAST_WIDTH)
    table = plain_table(("node", "cores", "CPU ms", "of ms", "MB"), ("node",))
    fold_text(table)
    for node in record.cluster.nodes:
        limits = Limits.of(node)
        table.add_row(
            node.name,
            f"{node.cpu_cores:g}",
            f"{limits.quota_us / US_PER_MS:g}",
            f"{limits.period_us / US_PER_MS:g}",
            f"{limits.memory_bytes / BYTES_PER_MB:g}",
        )
    console.print(table)
    if record.cluster.links:
        links = plain_table(("link", "ms", "Mbit/s"), ("link",))
        fold_text(links)
        for link in record.cluster.links:
            links.add_row(
                link_name(record.cluster, link), f"{link.latency_ms:g}", f"{link.bandwidth_mbps:g}"
            )
        console.print(links)
    for line in (
        f"Ray runs at {record.address}. {_throttled(record)}",
        "Next:",
        f"  {command}",
        "  carbonedge cluster down",
    ):
        console.print(line, soft_wrap=True)


def print_down(done: Sequence[Down]) -> None:
    """Print what was removed, and what was not."""
    console = to_stdout(LEAST_WIDTH)
    for one in done:
        if one.owner is not None:
            said = f"left to process {one.owner}, which uses it or brings it up"
        else:
            said = f"{one.processes} processes ended, {one.cgroups} cgroups and all files removed"
        console.print(f"{one.folder}: {said}.", soft_wrap=True)
    if not done:
        console.print(f"{NOTHING} Nothing was left of any.")


def print_status(there: Sequence[Status]) -> None:
    """Print what is up."""
    console = to_stdout(LEAST_WIDTH)
    for one in there:
        console.print(f"{one.folder}: {_state(one)}", soft_wrap=True)
    if not there:
        console.print(NOTHING)


def _state(one: Status) -> str:
    if one.record is not None and one.runs:
        names = ", ".join(node.name for node in one.record.cluster.nodes)
        by = "" if one.owner is None else f" It is used by process {one.owner}."
        return f"{names} at {one.record.address}. {_throttled(one.record)}{by}"
    if one.owner is not None:
        return f"process {one.owner} brings it up, or its Ray has ended."
    return (
        f"{one.processes} processes are left of it, and its files; `carbonedge cluster down` "
        "removes them."
    )


def _throttled(record: Record) -> str:
    if record.why is None:
        return "Its workers have no more CPU time and memory than their nodes."
    return f"Its workers are NOT throttled, and reports will say so: {record.why}."
