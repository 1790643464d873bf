"""The partition problem as plain arrays, and its exact solution."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from carbonedge._validation import fraction
from carbonedge.planning.infeasible import infeasible
from carbonedge.planning.search import (
    Limits,
    best_plan,
    front,
    front_prices,
    front_with_throughput,
    most_throughput,
    prices_of,
)
from carbonedge.planning.solution import PartitionSolution, throughput_rps
from carbonedge.units import J_PER_KWH, MEGABITS_PER_MB, MS_PER_HOUR, MS_PER_S

__all__ = ["PartitionProblem"]

TIME_LIMIT_S = 10.0

Floats = NDArray[np.float64]

_SHAPES = {
    "time_ms": "LN",
    "energy_j": "LN",
    "memory_mb": "L",
    "cut_mb": "P",
    "node_memory_mb": "N",
    "intensity_g_per_kwh": "N",
    "link_latency_ms": "NN",
    "link_mbps": "NN",
    "link_j_per_mb": "NN",
    "stage_overhead_ms": "N",
    "stage_overhead_j": "N",
    "pue": "N",
    "embodied_g_per_hour": "N",
}
_SAME_UNLESS_GIVEN = ("stage_overhead_j", "pue", "embodied_g_per_hour")
# Where no link is, its latency is infinite and nothing else of it is read.
_MAY_BE_INFINITE = ("link_latency_ms", "link_mbps")


@dataclass(frozen=True, slots=True, eq=False)
class PartitionProblem:
    """A chain of L operators and N nodes that may run stages of it.

    Parameters
    ----------
    time_ms, energy_j
        Of each operator on each node, shape [L, N].
    memory_mb
        Each operator takes on whichever node, shape [L].
    cut_mb
        What crosses each position, shape [L + 1]; the first and last are the inputs
        and outputs, which cross only where there is a source.
    node_memory_mb, intensity_g_per_kwh
        Shape [N].
    link_latency_ms, link_mbps, link_j_per_mb
        From node to node, shape [N, N]; a latency of infinity means no link.
    stage_overhead_ms
        Of a stage beyond its operators, shape [N].
    stage_overhead_j, pue, embodied_g_per_hour
        Shape [N]; 0, 1 and 0 unless given.
    source
        The node, by index, where inputs arise and outputs return; none unless given,
        and then their way is not counted.
    node_names, operator_names
        For messages; numbers unless given.

    Raises
    ------
    ValueError
        If shapes do not agree or a value is out of its range.
    """

    time_ms: Floats
    energy_j: Floats
    memory_mb: Floats
    cut_mb: Floats
    node_memory_mb: Floats = field(kw_only=True)
    intensity_g_per_kwh: Floats = field(kw_only=True)
    link_latency_ms: Floats = field(kw_only=True)
    link_mbps: Floats = field(kw_only=True)
    link_j_per_mb: Floats = field(kw_only=True)
    stage_overhead_ms: Floats = field(kw_only=True)
    stage_overhead_j: Floats = field(kw_only=True, default_factory=lambda: np.zeros(()))
    pue: Floats = field(kw_only=True, default_factory=lambda: np.ones(()))
    embodied_g_per_hour: Floats = field(kw_only=True, default_factory=lambda: np.zeros(()))
    source: int | None = field(kw_only=True, default=None)
    node_names: Sequence[str] = field(kw_only=True, default=())
    operator_names: Sequence[str] = field(kw_only=True, default=())

    def __post_init__(self) -> None:
        time_ms = np.asarray(self.time_ms, dtype=np.float64)
        if time_ms.ndim != 2 or 0 in time_ms.shape:
            raise ValueError(
                f"time_ms has shape {time_ms.shape}: give [operators, nodes], at least one of each"
            )
        num_operators, num_nodes = time_ms.shape
        sizes = {"L": num_operators, "N": num_nodes, "P": num_operators + 1}
        for name in (f.name for f in fields(self) if f.name in _SHAPES):
            value = getattr(self, name)
            shape = tuple(sizes[letter] for letter in _SHAPES[name])
            if name in _SAME_UNLESS_GIVEN and np.ndim(value) == 0:
                value = np.full(shape, value)
            object.__setattr__(self, name, _checked(name, value, shape))
        if self.source is not None and not 0 <= self.source < num_nodes:
            raise ValueError(f"source is {self.source}: give a node from 0 to {num_nodes - 1}")
        _set_names(self, "node_names", num_nodes)
        _set_names(self, "operator_names", num_operators)

    def solve(
        self,
        objective: str = "emissions",
        *,
        weights: Mapping[str, float] | None = None,
        slo_ms: float | None = None,
        max_stages: int | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> PartitionSolution:
        """The plan with the least latency, energy, emissions or weighted sum of these, or
        the most throughput.

        Each node hosts at most one stage and never more than its memory.

        Parameters
        ----------
        objective
            One of ``"latency"``, ``"energy"``, ``"emissions"``, ``"weighted"``,
            ``"throughput"``.
        weights
            For ``"weighted"``: what a ms of ``"latency"``, a J of ``"energy"`` and a g of
            ``"emissions"`` count; 0 where left out.
        slo_ms
            The latency of one inference may not be above this, but for rounding: a share
            of 1e-9.
        max_stages
            The plan may not have more.
        time_limit_s
            After this the best plan so far is returned, with its gap.

        Raises
        ------
        InfeasibleError
            If no plan meets the limits; the message says what stands in the way.
        ValueError
            If an argument is out of its range.
        """
        prices = prices_of(objective, weights)
        limits = Limits(slo_ms, max_stages, time_limit_s)
        if objective == "throughput":
            found = most_throughput(self, limits)
        else:
            found = best_plan(self, prices, limits)
        if not found.plans:
            raise infeasible(self, limits, proven=found.proven)
        return found.plans[0]

    def pareto(
        self,
        objectives: Sequence[str] = ("latency", "emissions"),
        *,
        weights: Mapping[str, float] | None = None,
        epsilon: float = 0.0,
        slo_ms: float | None = None,
        max_stages: int | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> list[PartitionSolution]:
        """Every plan that no other one betters in one objective and matches in the rest.

        Of plans equal in all objectives one is given.

        Parameters
        ----------
        objectives
            ``"latency"``, then one of ``"energy"``, ``"emissions"`` and ``"weighted"``, and
            then, if at all, ``"throughput"``.
        weights
            See `solve`.
        epsilon
            With throughput: for each plan left out one stays that is as good but for this
            share of the throughput. 0 for every plan, which only small problems can bear.
        slo_ms, max_stages, time_limit_s
            See `solve`.

        Returns
        -------
        list of PartitionSolution
            By rising latency.

        Raises
        ------
        InfeasibleError
            If no plan meets the limits; the message says what stands in the way.
        ValueError
            If an argument is out of its range.
        """
        prices = front_prices(objectives, weights)
        fraction("epsilon", epsilon)
        limits = Limits(slo_ms, max_stages, time_limit_s)
        found = front(self, prices, limits)
        if not found.plans:
            raise infeasible(self, limits, proven=found.proven)
        if len(objectives) > 2:
            found = front_with_throughput(self, prices, limits, epsilon, found)
        return found.plans

    def evaluate(self, cuts: Sequence[int], nodes: Sequence[int]) -> PartitionSolution:
        """What a plan of one's own comes to.

        Memory is not looked at, and a hop where no link is takes for ever.

        Parameters
        ----------
        cuts
            Positions between the stages, rising.
        nodes
            Of each stage, by index.

        Raises
        ------
        ValueError
            If the cuts do not rise within the chain, or there is not one node more.
        """
        bounds = [0, *cuts, len(self.time_ms)]
        if any(stop <= start for start, stop in itertools.pairwise(bounds)):
            raise ValueError(
                f"cuts are {list(cuts)}: they must rise from 1 to {len(self.time_ms) - 1}"
            )
        if len(nodes) != len(bounds) - 1:
            raise ValueError(f"there are {len(cuts)} cuts and {len(nodes)} nodes: give one more")
        stages = [
            self.stage_cost(start, stop, node)
            for start, stop, node in zip(bounds[:-1], bounds[1:], nodes, strict=True)
        ]
        crossed, path = bounds[1:-1], list(nodes)
        if self.source is not None:
            crossed, path = bounds, [self.source, *nodes, self.source]
        transfers = [
            self.transfer_cost(cut, *hop)
            for cut, hop in zip(crossed, itertools.pairwise(path), strict=True)
        ]
        parts = np.array(stages + transfers)
        latency_ms, energy_j, emissions_g = (float(total) for total in parts.sum(axis=0))
        return PartitionSolution(
            cuts=tuple(int(cut) for cut in cuts),
            nodes=tuple(int(node) for node in nodes),
            latency_ms=latency_ms,
            energy_j=energy_j,
            emissions_g=emissions_g,
            throughput_rps=throughput_rps(float(parts[:, 0].max())),
            optimal=False,
            gap=1.0,
        )

    def stage_cost(self, start: int, stop: int, node: int) -> tuple[float, float, float]:
        """Operators ``[start, stop)`` as a stage on a node: ms, J and g of an inference."""
        time_ms = self.time_ms[start:stop, node].sum() + self.stage_overhead_ms[node]
        energy_j = self.energy_j[start:stop, node].sum() + self.stage_overhead_j[node]
        grid_g = energy_j * self.intensity_g_per_kwh[node] * self.pue[node] / J_PER_KWH
        return time_ms, energy_j, grid_g + time_ms * self.embodied_g_per_hour[node] / MS_PER_HOUR

    def transfer_cost(self, cut: int, source: int, target: int) -> tuple[float, float, float]:
        """What crosses a cut on its way between two nodes: ms, J and g of an inference."""
        if source == target:
            return 0.0, 0.0, 0.0
        mb = self.cut_mb[cut]
        time_ms = self.link_latency_ms[source, target]
        time_ms += mb * MEGABITS_PER_MB * MS_PER_S / self.link_mbps[source, target]
        energy_j = mb * self.link_j_per_mb[source, target]
        intensity = (self.intensity_g_per_kwh[source] + self.intensity_g_per_kwh[target]) / 2
        return time_ms, energy_j, energy_j * intensity / J_PER_KWH


def _set_names(problem: PartitionProblem, name: str, count: int) -> None:
    names = getattr(problem, name)
    if len(names) not in (0, count):
        raise ValueError(f"{name} has {len(names)} names: time_ms implies {count}")
    object.__setattr__(problem, name, tuple(names) or tuple(map(str, range(count))))


def _checked(name: str, value: object, shape: tuple[int, ...]) -> Floats:
    array = np.ascontiguousarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}: time_ms implies {shape}")
    infinite = name in _MAY_BE_INFINITE
    low = 1.0 if name == "pue" else 0.0
    right = (array >= low) & (np.isfinite(array) | infinite)
    if name == "link_mbps":
        right &= array > 0
    if not right.all():
        wrong = array[~right].flat[0]
        above = "above 0" if name == "link_mbps" else f"{low:g} or above"
        raise ValueError(
            f"{name} has {wrong:g}: each must be {above}" + ("" if infinite else " and finite")
        )
    return array
