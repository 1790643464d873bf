"""The Ray that sessions use: one that is there, or a local one of their own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import socket
import string
import sys
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any
from urllib.parse import quote

from carbonedge._optional import optional
from carbonedge.exceptions import CarbonEdgeError, ClusterError
from carbonedge.runtime.local_cluster.record import known
from carbonedge.runtime.ray.access import token_of

__all__ = [
    "NAMESPACE",
    "Connection",
    "import_ray",
    "leave",
    "resource",
    "start_line",
    "worker_name",
    "worker_of",
]

NAMESPACE = "carbonedge"
AS_IT_IS = "".join({*string.punctuation, " "} - {"%", ","})
"""In names of resources."""
ENVIRONMENT = {
    # Ray warns of a change to come unless it is told which way is meant.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # It reports its use over the network.
    "RAY_USAGE_STATS_ENABLED": "0",
    # It prints on stdout what becomes of workers, even where nothing is to be logged.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""What Ray reads as it is imported; whoever sets any of these otherwise has his way."""
REACHED_WITHIN_S = 5.0
SHARE = 0.001
"""Of a machine's resource that a worker takes, so that many sessions may use one machine."""

_lock = threading.Lock()
_users = 0
"""Sessions that use the Ray which one of them brought up here."""
_given: str | None = None
"""The address that they gave: Ray may know itself by another."""
_access = contextlib.ExitStack()
"""What lets them in there."""
_open: weakref.WeakSet[Connection] = weakref.WeakSet()


def import_ray() -> ModuleType:
    """Ray, with what it reads as it is imported.

    Raises
    ------
    CarbonEdgeError
        If it is not installed.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return optional("ray", "ray", CarbonEdgeError)


def resource(node: str) -> str:
    """The custom resource of the Ray node that is a node's machine.

    A Ray node never comes up with a comma in the name of one, and actors cannot ask for one that is
    not ASCII.
    """
    return f"carbonedge:{quote(node, safe=AS_IT_IS)}"


def start_line(node: str, address: str) -> str:
    """What makes a machine a node of a Ray cluster."""
    resources = shlex.quote(json.dumps({resource(node): 1}, ensure_ascii=False))
    return f"ray start --address={address} --resources={resources}"


def leave(address: str) -> None:
    """Close all that use the Ray at an address, which is about to go: it ends processes that do
    not leave it, and whoever asks Ray when it is gone starts another one.
    """
    for connection in list(_open):
        if connection.address == address:
            connection.user_close()
    ray: Any = sys.modules.get("ray")
    if ray and ray.is_initialized() and ray.get_runtime_context().gcs_address == address:
        ray.shutdown()


def worker_name(session: str, node: str) -> str:
    """What Ray calls a worker; another one each time."""
    return f"carbonedge:{session}:{uuid.uuid4().hex[:4]}:{node}"


def worker_of(name: str) -> tuple[str, str] | None:
    """The session and the node of a worker, by Ray's name; ``None`` for what is no worker."""
    kind, *parts = name.split(":", 3)
    return (parts[0], parts[2]) if kind == "carbonedge" and len(parts) == 3 else None


class Connection:
    """Ray, connected to until it is closed.

    Parameters
    ----------
    address
        Of a Ray cluster, ``"auto"`` for one that runs on this machine. Without one, a Ray
        that this process is connected to already is used; else a local Ray is started, and
        stopped when its last user closes.

    Attributes
    ----------
    ray
        The module.
    local
        Whether workers are on this machine, all of them, whatever it offers.
    address
        Of this Ray.
    user_close
        Closes what uses this connection, and that with it.

    Raises
    ------
    CarbonEdgeError
        If Ray is not installed, or is connected elsewhere.
    ClusterError
        If there is no Ray at the address.
    ValueError
        If it is neither ``"auto"`` nor host and port.
    """

    def __init__(self, address: str | None) -> None:
        self.ray = import_ray()
        global _users
        with _lock:
            self._counted = _users > 0 or not self.ray.is_initialized()
            if self.ray.is_initialized():
                self.local = address is None and _users > 0 and _given is None
                if address is not None:
                    self._check_same(address)
            else:
                self.local = address is None
                self._connect(address)
            _users += self._counted
            self.address: str = self.ray.get_runtime_context().gcs_address
            self.user_close: Callable[[], None] = self.close
            _open.add(self)

    def check_nodes(self, nodes: Iterable[str]) -> None:
        """See that any of them has a machine now.

        Raises
        ------
        ClusterError
            If none has.
        """
        if self.local:
            return
        wanted = list(nodes)
        offered = self.ray.cluster_resources()
        if not any(resource(node) in offered for node in wanted):
            lines = "; ".join(start_line(node, self.address) for node in wanted)
            raise ClusterError(
                f"no machine of the Ray cluster is any of {', '.join(wanted)}: start Ray on each "
                f"({lines})"
            )

    def close(self) -> None:
        """Leave Ray, and stop it where it was started here and nobody else needs it."""
        global _users
        _open.discard(self)
        with _lock:
            if self._counted:
                self._counted = False
                _users -= 1
                if _users == 0:
                    self.ray.shutdown()
                    _access.close()

    def _connect(self, address: str | None) -> None:
        options = {
            "namespace": NAMESPACE,
            "log_to_driver": False,
            "logging_level": logging.ERROR,
        }
        global _given
        _given = address
        found = None
        if address is not None:
            found = known(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
            if found is not None:
                address = found.address
                _access.enter_context(token_of(found))
        if address is None:
            # Without an address Ray would take one that it finds on this machine. Workers take
            # no CPUs by its count: how busy nodes are decides the scheduler.
            self.ray.init(address="local", num_cpus=0, include_dashboard=False, **options)
            return
        endpoint = None if address == "auto" else _endpoint(address)
        try:
            if endpoint is not None:  # Ray itself would try for more than a minute
                socket.create_connection(endpoint, REACHED_WITHIN_S).close()
            self.ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            _access.close()
            why = getattr(error, "strerror", None) or str(error).splitlines()[0].rstrip(".")
            if found is not None:
                raise ClusterError(
                    f"the local cluster at {address!r} does not answer: {why}; take down what is "
                    "left of it, by `carbonedge cluster down`"
                ) from error
            raise ClusterError(
                f"there is no Ray at {address!r}: {why}; start one with `ray start --head`, and "
                "give its address; where it asks for a token, set RAY_AUTH_MODE=token, with its "
                "token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
            ) from error

    def _check_same(self, address: str) -> None:
        there = self.ray.get_runtime_context().gcs_address
        if address not in ("auto", there, _given):
            raise CarbonEdgeError(
                f"this process is connected to the Ray at {there!r}, not {address!r}: a process "
                "has one; close the sessions that use it first"
            )


def _endpoint(address: str) -> tuple[str, int]:
    """The host and the port of an address."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not (port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            f"address {address!r} is neither 'auto' nor HOST:PORT: give the one that "
            "`ray start --head` prints"
        )
    return host.strip("[]"), int(port)
