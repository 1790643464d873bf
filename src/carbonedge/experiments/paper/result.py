"""What the experiment came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carbonedge.cluster import Link, Node
from carbonedge.experiments.front import Baseline
from carbonedge.experiments.paper.plans import Target, Tried, least_emissions_g
from carbonedge.experiments.paper.routing import MONOLITHIC, Routed
from carbonedge.experiments.sweep import Sweep
from carbonedge.planning import Plan

__all__ = ["Loaded", "ModelResult", "PaperResult"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Requests while another process takes part of node-high.

    Parameters
    ----------
    load
        By node, as it reported it before the requests.
    routed
        Always node-high, always node-green, and balanced under each scoring.
    """

    load: Mapping[str, float]
    routed: tuple[Routed, ...]


@dataclass(frozen=True, slots=True)
class ModelResult:
    """Of one model.

    Parameters
    ----------
    label, summary
        Its name, and what it consists of.
    whole
        The whole model on each node, by its name, as predicted from its mean time there.
    strategies
        The plans of the paper's own partitioner and of a greedy one, predicted.
    routed
        The ways of routing whole requests.
    front
        Plans that none betters, by rising latency.
    targets
        The plan for each of some latencies along it.
    asked, most_excess
        For how many latencies a plan was asked for, and how far the worst was above the front,
        predicted.
    tried
        Those plans, run.
    links, stage_ms
        Between the nodes, as they turned out, and what each stage more takes of a core.
    own_speed
        The node that Algorithm 1 chooses in each mode by the times of this machine, in place
        of those of the paper's.
    loaded
        Requests under load; ``None`` where there was none.
    method, time_source, energy_source
        How the figures came about; see `Footprint`.
    """

    label: str
    summary: str
    whole: Mapping[str, Plan]
    strategies: tuple[Baseline, ...]
    routed: tuple[Routed, ...]
    front: tuple[Plan, ...]
    targets: tuple[Target, ...]
    asked: int
    most_excess: float
    tried: tuple[Tried, ...]
    links: tuple[Link, ...]
    stage_ms: float
    own_speed: Mapping[str, str]
    loaded: Loaded | None
    method: str
    time_source: str
    energy_source: str

    def row(self, name: str, scoring: str | None = None) -> Routed:
        """A way of routing by its name and scoring."""
        return next(
            one for one in self.routed if (one.routing.name, one.routing.scoring) == (name, scoring)
        )

    def reduction(self, routed: Routed) -> float:
        """Share of carbon saved against monolithic, as measured."""
        return 1 - routed.emissions_g.mean / self.row("monolithic").emissions_g.mean

    def saved(self, tried: Tried) -> float:
        """Share of carbon that a plan saved against monolithic, by what the whole model took
        between the plan's requests.
        """
        whole = self.whole[MONOLITHIC]
        monolithic_g = whole.emissions_g * tried.whole_ms[MONOLITHIC] / whole.latency_ms
        return 1 - tried.emissions_g.mean / monolithic_g

    def predicted(self, routed: Routed) -> tuple[float, float]:
        """Latency and emissions that its node use is predicted to come to."""
        shares = {name: share / 100 for name, share in routed.node_use.items() if share}
        return (
            sum(share * self.whole[name].latency_ms for name, share in shares.items()),
            sum(share * self.whole[name].emissions_g for name, share in shares.items()),
        )

    def above_front(self, routed: Routed) -> float:
        """How much more it emits than the greenest plan of the front that is not slower, as a
        share, all predicted.
        """
        latency_ms, emissions_g = self.predicted(routed)
        least_g = least_emissions_g(self.front, latency_ms)
        assert least_g is not None, "the front's fastest plan is no slower than any node"
        return emissions_g / least_g - 1

    def above_least(self, routed: Routed) -> float:
        """How much more it emits than anything on these nodes could, as a share, predicted."""
        return self.predicted(routed)[1] / min(p.emissions_g for p in self.front) - 1


@dataclass(frozen=True, slots=True)
class PaperResult:
    """Of the whole experiment.

    Parameters
    ----------
    models
        One for each.
    machine
        Where it ran, for people.
    throttled
        Whether nodes lived under their CPU quota and memory limit.
    why
        Why not.
    photos
        Where they are from.
    requests, repeats
        Of each row.
    scale
        What times here are multiplied by for Algorithm 1, so that the first model takes on
        node-high what MobileNetV2 takes on the paper's host.
    nodes
        Those of the paper, with the power and the intensity that joules and grams are of.
    scheduling_us
        To place a task and to complete it, back to back, the slowest way of routing.
    sweeps
        Figure 3, by whose times: ``"reference"``, those under which the paper's component
        ranges come out, and ``"measured"``, at `scale`.
    """

    models: tuple[ModelResult, ...]
    machine: str
    throttled: bool
    why: str | None
    photos: str
    requests: int
    repeats: int
    scale: float
    nodes: tuple[Node, ...]
    scheduling_us: float
    sweeps: Mapping[str, Sweep]
