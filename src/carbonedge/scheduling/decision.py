"""Where a task goes, and what that is predicted to cost."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Decision"]


class Decision(NamedTuple):
    """A placed task.

    A tuple, not a dataclass, because one is made on every request: the core fills it
    in a third of the time.

    Attributes
    ----------
    node, index
        The chosen node, by name and by position in the list of nodes.
    score
        The weighted sum that won; minus the emissions under ``constrained``.
    resource, load, performance, balance, carbon
        The components of the score, also as `components`: min-max scaled under
        ``normalized``, else as in the paper. Each is higher for a better node.
    latency_ms, energy_j, emissions_g
        Predicted for this task.
    ticket
        Names the reservation to `Scheduler.complete`.
    """

    node: str
    index: int  # type: ignore[assignment]  # a field, not tuple.index
    score: float
    resource: float
    load: float
    performance: float
    balance: float
    carbon: float
    latency_ms: float
    energy_j: float
    emissions_g: float
    ticket: int

    @property
    def components(self) -> dict[str, float]:
        """The five components by name."""
        return {
            "resource": self.resource,
            "load": self.load,
            "performance": self.performance,
            "balance": self.balance,
            "carbon": self.carbon,
        }
