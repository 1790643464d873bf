"""How a node is, as its session knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NodeState"]


@dataclass(frozen=True, slots=True)
class NodeState:
    """How a node is, as its session last heard.

    Parameters
    ----------
    name
        In the cluster.
    silent
        Why nothing is sent there now; ``None`` while it answers.
    load
        Share of its machine's CPU time that was used, 0 to 1.
    memory_free_mb
        That the machine has left.
    queue
        Requests that wait for a stage here or run in it.
    round_trip_ms
        From asking to hearing.
    versions
        Of ONNX Runtime, carbonedge and Python there, by name.

    Notes
    -----
    Figures are ``None`` until they are first heard, and those that a silent node had last
    stay. Under runtime ``"local"``, where nobody asks, they are ``None`` for good.
    """

    name: str
    silent: str | None = None
    load: float | None = None
    memory_free_mb: float | None = None
    queue: int | None = None
    round_trip_ms: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether requests are sent there."""
        return self.silent is None
