"""The partition problem as plain arrays, and its exact solution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from carbonedge._backend import backend
from carbonedge._validation import slots, target
from carbonedge.exceptions import InfeasibleError
from carbonedge.units import J_PER_KWH, MS_PER_HOUR, MS_PER_S

__all__ = ["MAX_NODES", "OBJECTIVES", "PartitionProblem", "PartitionSolution"]

Floats = NDArray[np.float64]

OBJECTIVES = ("latency", "energy", "emissions", "throughput")
"""In the order of the core's ``Objective``."""

MAX_NODES = 16
MAX_LABELS = 200_000

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
# Where no link is, its latency is infinite and nothing else of it is read.
_MAY_BE_INFINITE = ("link_latency_ms", "link_mbps")


@dataclass(frozen=True, slots=True)
class PartitionSolution:
    """The best plan of a problem.

    Parameters
    ----------
    cuts
        Positions between the stages, one fewer than there are stages.
    nodes
        Of each stage, by index.
    latency_ms, energy_j, emissions_g
        Of one inference, transfers in.
    throughput_rps
        Inferences per second with every stage busy: the slowest stage or transfer's.
    optimal
        Whether no plan is better, proven.
    gap
        How far below the objective the best plan may lie, as a share; 0 when optimal.
    """

    cuts: tuple[int, ...]
    nodes: tuple[int, ...]
    latency_ms: float
    energy_j: float
    emissions_g: float
    throughput_rps: float
    optimal: bool
    gap: float


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
        What crosses each position, shape [L + 1].
    node_memory_mb, intensity_g_per_kwh
        Shape [N].
    link_latency_ms, link_mbps, link_j_per_mb
        From node to node, shape [N, N]; a latency of infinity means no link.
    stage_overhead_ms
        Of a stage beyond its operators, shape [N].
    stage_overhead_j, pue, embodied_g_per_hour
        Shape [N]; 0, 1 and 0 unless given.

    Raises
    ------
    ValueError
        If shapes do not agree, a value is out of its range, or there are more nodes
        than the exact search takes (16).
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
    stage_overhead_j: Floats | None = field(kw_only=True, default=None)
    pue: Floats | None = field(kw_only=True, default=None)
    embodied_g_per_hour: Floats | None = field(kw_only=True, default=None)

    def __post_init__(self) -> None:
        time_ms = np.asarray(self.time_ms, dtype=np.float64)
        if time_ms.ndim != 2 or 0 in time_ms.shape:
            raise ValueError(
                f"time_ms has shape {time_ms.shape}: give [operators, nodes], at least one of each"
            )
        num_operators, num_nodes = time_ms.shape
        if num_nodes > MAX_NODES:
            raise ValueError(f"there are {num_nodes} nodes: the exact search takes {MAX_NODES}")
        sizes = {"L": num_operators, "N": num_nodes, "P": num_operators + 1}
        defaults = {"stage_overhead_j": 0.0, "pue": 1.0, "embodied_g_per_hour": 0.0}
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if value is None:
                value = np.full(num_nodes, defaults[name])
            shape = tuple(sizes[letter] for letter in _SHAPES[name])
            object.__setattr__(self, name, _checked(name, value, shape))

    def solve(
        self,
        objective: str = "emissions",
        *,
        slo_ms: float | None = None,
        max_stages: int | None = None,
        max_labels: int = MAX_LABELS,
    ) -> PartitionSolution:
        """The plan with the least latency, energy or emissions, or most throughput.

        Each node hosts at most one stage and never more than its memory.

        Parameters
        ----------
        objective
            One of ``"latency"``, ``"energy"``, ``"emissions"``, ``"throughput"``.
        slo_ms
            The latency of one inference may not be above this.
        max_stages
            The plan may not have more.
        max_labels
            Partial plans kept before the search settles for the best it has.

        Raises
        ------
        InfeasibleError
            If no plan meets the limits; the message says what stands in the way.
        ValueError
            If an argument is out of its range.
        """
        if objective not in OBJECTIVES:
            raise ValueError(
                f"objective {objective!r} is not known: choose one of {', '.join(OBJECTIVES)}"
            )
        limit = math.inf if slo_ms is None else target("slo_ms", slo_ms)
        stages = MAX_NODES if max_stages is None else slots("max_stages", max_stages)
        found = self._search(OBJECTIVES.index(objective), limit, stages, max_labels)
        exhausted = found[0]
        if exhausted and len(found[1]) == 0:
            # The slowest part of a plan says little about where to search; sums are
            # found soon, and the fastest plan is one, however far off.
            found = self._search(OBJECTIVES.index("latency"), limit, stages, max_labels)
            found = (True, *found[1:7], found[6], 0.0)
        _, stops, nodes, latency_ms, energy_j, emissions_g, bottleneck, value, bound = found
        if len(stops) == 0:
            raise self._infeasible(exhausted, limit, stages, max_labels)
        return PartitionSolution(
            cuts=tuple(int(stop) for stop in stops[:-1]),
            nodes=tuple(int(node) for node in nodes),
            latency_ms=latency_ms,
            energy_j=energy_j,
            emissions_g=emissions_g,
            throughput_rps=MS_PER_S / bottleneck if bottleneck > 0 else math.inf,
            optimal=not exhausted,
            gap=(value - bound) / value if exhausted and value > 0 else 0.0,
        )

    def _search(self, objective: int, slo_ms: float, max_stages: int, max_labels: int):  # type: ignore[no-untyped-def]
        intensity = self.intensity_g_per_kwh
        assert self.pue is not None
        assert self.embodied_g_per_hour is not None
        return backend().solve_partition(
            self.time_ms,
            self.energy_j,
            self.memory_mb,
            self.cut_mb,
            self.node_memory_mb,
            intensity * self.pue / J_PER_KWH,
            self.embodied_g_per_hour / MS_PER_HOUR,
            self.link_latency_ms,
            self.link_mbps,
            self.link_j_per_mb,
            (intensity[:, np.newaxis] + intensity) / 2 / J_PER_KWH,
            self.stage_overhead_ms,
            self.stage_overhead_j,
            objective,
            slo_ms,
            max_stages,
            max_labels,
        )

    def _infeasible(
        self, exhausted: bool, slo_ms: float, max_stages: int, max_labels: int
    ) -> InfeasibleError:
        if exhausted:
            return InfeasibleError(
                f"no plan was found within max_labels={max_labels}: raise it, or loosen slo_ms"
            )
        largest = float(np.max(self.memory_mb))
        if largest > np.max(self.node_memory_mb):
            return InfeasibleError(
                f"one operator needs {largest:g} MB and the largest node has "
                f"{np.max(self.node_memory_mb):g} MB: add memory"
            )
        fastest = self._search(OBJECTIVES.index("latency"), math.inf, max_stages, max_labels)
        if len(fastest[1]):
            return InfeasibleError(
                f"no plan meets slo_ms={slo_ms:g}: the fastest takes {fastest[3]:.4g} ms"
            )
        return InfeasibleError(
            f"the model needs {np.sum(self.memory_mb):.4g} MB and no {max_stages} or fewer linked "
            f"nodes hold it: they have {', '.join(f'{mb:g}' for mb in self.node_memory_mb)} MB; "
            "add memory, nodes or links"
        )


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
