"""Local clusters brought up."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
from pathlib import Path

from carbonedge.cluster import Cluster
from carbonedge.exceptions import ClusterError
from carbonedge.runtime.local_cluster import cgroups, head, processes
from carbonedge.runtime.local_cluster.down import let_go
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.local_cluster.record import (
    Record,
    found,
    held,
    locked,
    new_folder,
    note,
    noted,
)

__all__ = ["bring_up", "up"]

logger = logging.getLogger(__name__)

TOKEN_BYTES = 16


def up(cluster: Cluster) -> Record:
    """Bring a local cluster up that stays until `down`.

    Raises
    ------
    CarbonEdgeError
        If Ray is not installed.
    ClusterError
        If one is up, Ray does not start, or a node has too little for the kernel's limits.
    """
    record, lock = bring_up(cluster, kept=True)
    os.close(lock)
    return record


def bring_up(cluster: Cluster, *, kept: bool) -> tuple[Record, int]:
    """A local cluster, and the open file that holds it as this process's own.

    Parameters
    ----------
    cluster
        Its nodes and links.
    kept
        Whether it is to stay when this process ends: there is one such at a time.
    """
    head.check()
    limits = {node.name: Limits.of(node) for node in cluster.nodes}
    cores = os.cpu_count() or 1
    for node in cluster.nodes:
        if node.cpu_cores > cores:
            logger.warning(
                "node %r has %g cpu_cores and this machine %d: it is slower than it should be",
                *(node.name, node.cpu_cores, cores),
            )
    with locked() as within:
        if kept:
            _check_none(within)
        folder, lock = new_folder(within)
        record = Record(folder, os.getpid(), kept, cluster, secrets.token_hex(TOKEN_BYTES)).write()
    try:
        try:
            groups = cgroups.make(
                f"{cgroups.PREFIX}{folder.name}", limits, noting=lambda what: note(folder, what)
            )
            record = dataclasses.replace(record, groups=groups)
        except cgroups.NoRightsError as error:
            cgroups.remove(noted(folder))
            record = dataclasses.replace(record, why=str(error))
        record.write()
        address = head.start(folder, limits, record.token)
        return dataclasses.replace(record, address=address).write(), lock
    except BaseException:
        let_go(folder, lock)
        raise


def _check_none(within: Path) -> None:
    for folder in found(within):
        try:
            record = Record.read(folder)
        except (OSError, ValueError):
            continue  # it was killed as it began
        if record.kept:
            names = ", ".join(node.name for node in record.cluster.nodes)
            where = "is left of one that ended"
            if (lock := held(folder)) is None:
                where = "is coming up"
            else:
                os.close(lock)
                if record.address and processes.are_a_ray(processes.living(folder)):
                    where = f"is up at {record.address}"
            raise ClusterError(
                f"a local cluster of {names} {where}: take it down first, by `carbonedge cluster "
                "down`"
            )
