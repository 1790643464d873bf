"""What else runs on a node: a process that takes some of its CPU time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from carbonedge.runtime.local_cluster.surroundings import local_cluster

__all__ = ["busy", "work"]

TURN_S = 0.002
"""Short beside an inference, so that each meets the same of it."""
PROGRAM = f"import sys, {__name__} as it; it.work(sys.argv[1], float(sys.argv[2]))"


@contextlib.contextmanager
def busy(node: str, cores: float, environment: Mapping[str, str]) -> Iterator[None]:
    """Keep so many cores of a node busy.

    Parameters
    ----------
    node
        Of the local cluster that `environment` names.
    cores
        Up to 1.
    environment
        Of the processes of that cluster.
    """
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, node, str(cores)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None, "it was asked for"
            process.stdout.readline()
            yield
        finally:
            process.kill()


def work(node: str, cores: float) -> None:
    """Be such a process, for ever: a line on stdout says that it has begun."""
    found = local_cluster(node)
    if found is not None:
        found[1].enter()
    sys.stdout.write("busy\n")
    sys.stdout.flush()
    while True:
        until_s = time.thread_time() + TURN_S * cores
        while time.thread_time() < until_s:
            pass
        time.sleep(TURN_S * (1 - cores))
