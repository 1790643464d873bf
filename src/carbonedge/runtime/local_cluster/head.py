"""The Ray of a local cluster: one machine that has the resources of all nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from carbonedge._optional import optional
from carbonedge.exceptions import CarbonEdgeError, ClusterError
from carbonedge.runtime.local_cluster.record import MARK
from carbonedge.runtime.ray.connection import import_ray, resource

__all__ = ["check", "start"]

PACKAGES = Path(__file__).parents[3]
WITHIN_S = 60.0
OPTIONS = (
    *("--head", "--port=0", "--num-cpus=0", "--num-gpus=0", "--disable-usage-stats"),
    *("--include-dashboard=false", "--include-log-monitor=false"),
)


def check() -> None:
    """See that there is a Ray to start.

    Raises
    ------
    CarbonEdgeError
        If it is not installed.
    """
    import_ray()
    optional("psutil", "ray", CarbonEdgeError)


def start(folder: Path, nodes: Iterable[str], token: str) -> str:
    """Start it, with its files in a folder; its address.

    Raises
    ------
    ClusterError
        If it does not start.
    """
    temporary, log, scratch = folder / "ray", folder / "start.log", folder / "tmp"
    scratch.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        MARK: str(folder),
        # What a worker that is killed leaves goes with the rest.
        "TMPDIR": str(scratch),
    }
    if str(PACKAGES) != sysconfig.get_path("platlib"):
        # It is not installed: workers are to have it all the same, wherever this was started.
        paths = (str(PACKAGES), os.environ.get("PYTHONPATH"))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    resources = {resource(node): 1 for node in nodes}
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", *OPTIONS),
        *(f"--temp-dir={temporary}", f"--resources={json.dumps(resources)}"),
    ]
    # A file: whatever it starts would keep a pipe open.
    with log.open("wb") as said:
        try:
            code = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for this process, which takes it down
                timeout=WITHIN_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    address = temporary / "ray_current_cluster"
    if code != 0 or not address.exists():
        lines = log.read_text(errors="replace").strip().splitlines()
        why = lines[-1] if lines else "it says nothing"
        raise ClusterError(f"Ray did not start within {WITHIN_S:g} s, or failed: {why}")
    return address.read_text().strip()
