"""Split plans along the latency-emissions front, run for real."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carbonedge.cluster import Cluster
from carbonedge.experiments.paper.calibration import (
    as_measured,
    mean_of,
    means,
    predicted,
)
from carbonedge.experiments.paper.deployed import open_plan, warm_up
from carbonedge.experiments.paper.estimate import Estimate, estimate
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.planning import OperatorCosts, Plan, partition
from carbonedge.runtime import InferenceSession

__all__ = ["Target", "Tried", "least_emissions_g", "targets", "try_plan"]

PLAN = "the plan"
ROUNDING = 1e-9
"""A plan of the front may differ by so much, as a share, from itself computed otherwise."""


@dataclass(frozen=True, slots=True)
class Target:
    """A latency that may not be exceeded, and the plan for it.

    Parameters
    ----------
    slo_ms
        The latency.
    plan
        Of the least emissions within it.
    least_g
        The front's least emissions at that latency.
    """

    slo_ms: float
    plan: Plan
    least_g: float

    @property
    def excess(self) -> float:
        """The plan's emissions over the front's, less 1: both predicted."""
        return self.plan.emissions_g / self.least_g - 1


@dataclass(frozen=True, slots=True)
class Tried:
    """A plan that was run.

    Parameters
    ----------
    target
        What it was made for, the first where there are several.
    plan
        The same, predicted from what the whole model took on its nodes between its requests.
    whole_ms
        That, by node.
    latency_ms, energy_j, emissions_g
        As measured, per inference.
    """

    target: Target
    plan: Plan
    whole_ms: Mapping[str, float]
    latency_ms: Estimate
    energy_j: Estimate
    emissions_g: Estimate

    @property
    def latency_error(self) -> float:
        """Measured over predicted, less 1."""
        return self.latency_ms.mean / self.plan.latency_ms - 1

    @property
    def emissions_error(self) -> float:
        """Measured over predicted, less 1."""
        return self.emissions_g.mean / self.plan.emissions_g - 1

    @property
    def excess(self) -> float:
        """Emissions as measured over the front's, less 1; the front as it would be by `whole_ms`."""
        return (1 + self.emissions_error) * (1 + self.target.excess) - 1


def least_emissions_g(front: Sequence[Plan], latency_ms: float) -> float | None:
    """The least emissions on a front at a latency; ``None`` below its fastest plan."""
    within = [p.emissions_g for p in front if p.latency_ms <= latency_ms * (1 + ROUNDING)]
    return min(within, default=None)


def targets(
    model: PaperModel, cluster: Cluster, costs: OperatorCosts, front: Sequence[Plan], count: int
) -> list[Target]:
    """Plans for latencies at even distances from the front's fastest to its greenest plan; of one,
    the fastest.
    """
    fastest_ms, greenest_ms = front[0].latency_ms, front[-1].latency_ms
    found = []
    for number in range(count):
        slo_ms = fastest_ms + (greenest_ms - fastest_ms) * number / max(1, count - 1)
        slo_ms *= 1 + ROUNDING
        plan = partition(model.graph, cluster, slo_ms=slo_ms, costs=costs)
        least_g = least_emissions_g(front, slo_ms)
        assert least_g is not None, "it is the fastest plan's latency or more"
        found.append(Target(slo_ms, plan, least_g))
    return found


def try_plan(
    model: PaperModel,
    cluster: Cluster,
    target: Target,
    *,
    up: Cluster,
    costs: OperatorCosts,
    whole: Mapping[str, InferenceSession],
    photos: Photos,
    repeats: int,
    address: str,
) -> Tried:
    """Answer all photos through a plan, several times, and each photo whole on every node in
    between: so the prediction is from the same minute, and from nothing that it predicts.
    `cluster` is what it is predicted on, `up` what there is.
    """
    latencies, energies, emissions, whole_ms = [], [], [], []
    # Not always after the same one, which may leave the node or its caches worse off.
    order, chance = [*whole, PLAN], random.Random(0)
    for _ in range(repeats):
        # Each with workers of its own: some are a few per cent slower than others for good.
        took = []
        with open_plan(
            model, up, target.plan, costs=costs, photos=photos, address=address
        ) as session:
            warm_up(model, session, photos)
            for photo in photos.tensors:
                chance.shuffle(order)
                answered = {
                    name: whole.get(name, session).run_with_footprint(None, {model.input: photo})[1]
                    for name in order
                }
                took.append(answered.pop(PLAN))
                whole_ms.append({name: one.latency_ms for name, one in answered.items()})
        latencies.append(mean_of(one.latency_ms for one in took))
        energies.append(mean_of(one.energy_j for one in took))
        emissions.append(mean_of(one.emissions_g for one in took))
    means_ms = means(whole_ms)
    return Tried(
        target,
        predicted(model, cluster, target.plan, as_measured(costs, cluster.nodes, means_ms)),
        means_ms,
        estimate(latencies),
        estimate(energies),
        estimate(emissions),
    )
