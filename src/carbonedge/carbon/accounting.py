"""From what an inference took to what it cost: counted, added up, written down."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from carbonedge.carbon.energy import Attribution, Portion
from carbonedge.carbon.energy.meter import MeterMethod
from carbonedge.carbon.entry import EntryValues, Origin
from carbonedge.carbon.footprint import (
    EMULATED_TIME,
    MEASURED_TIME,
    NODE_POWER,
    Footprint,
    Share,
    joined,
    weakest,
)
from carbonedge.carbon.intensity import Intensity, Signal
from carbonedge.carbon.lookup import Known, Lookup
from carbonedge.cluster import Node
from carbonedge.units import J_PER_KWH, MS_PER_HOUR, MS_PER_S

__all__ = ["Accounting", "Hop", "Metered", "Writer"]

INFERENCE_BITS = 62
"""Inferences are numbered on from a random start, so that no two writers' meet."""

MOST_RECENT = 64
"""Inferences are added to the sums so many at a time."""

_new = tuple.__new__
"""Makes a named tuple of values in their order, in two thirds of the time."""


class Writer(Protocol):
    """What entries are written down by, such as a `Ledger`."""

    def append(self, entry: EntryValues, /) -> None:
        """Take the values of an `Entry` without waiting."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rates:
    """GCO2eq per joule of each stage, PUE in, and of each hop, while intensities hold."""

    known: Known
    stages: tuple[tuple[Intensity, float], ...]
    hops: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """A way that tensors take, written down with one of the stages."""

    source: Node
    target: Node
    stage: int


class Metered(NamedTuple):
    """What is said of joules that a meter counted.

    Parameters
    ----------
    method
        How they came about, in a word.
    source
        The same for people, such as ``"rapl (package-0), shared by cpu time"``.
    """

    method: MeterMethod
    source: str

    @classmethod
    def by(cls, attribution: Attribution) -> Self:
        """Of those that an attribution shares out."""
        return cls(attribution.meter.method, str(attribution))


class _Stage(NamedTuple):
    """One stage, with what its entries have in common: as a rule, and where its meter failed.

    Both are one where it has no meter.
    """

    number: int
    name: str
    node: Node
    embodied_g_per_ms: float
    origin: Origin
    modelled: Origin


class Accounting:
    """Counts what inferences of one plan cost. Safe for threads.

    Emissions are the energy of each time slice x the intensity of that slice and zone x
    PUE, transfers at the mean intensity of both ends, and the nodes' embodied carbon for
    the time they were taken (ISO/IEC 21031:2024).

    Parameters
    ----------
    nodes
        Of the stages, in order, each once.
    hops
        Ways that tensors take, in the order in which `account` gets their cost.
    signal
        See `Lookup`; or a lookup that several share, of these nodes at least.
    metered
        What metered the joules that `account` gets: one for all stages, or one for each;
        `None` where node power x time stands for them.
    emulated
        Whether this machine stands in for the nodes.
    time_source
        How times come about, unless they are measured here.
    modelled_source
        How joules do that no meter counted.
    ledger
        Where entries go, one per inference and stage.
    model, plan
        What the ledger calls them.

    Raises
    ------
    IntensityUnavailableError
        If the intensity of a node is not known now.
    ValueError
        If the signal does not answer from memory, a node has two stages, or there are more
        or fewer of `metered` than of stages.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        hops: Sequence[Hop] = (),
        *,
        signal: Signal | Lookup | None = None,
        metered: Metered | Sequence[Metered | None] | None = None,
        emulated: bool = True,
        time_source: str | None = None,
        modelled_source: str = NODE_POWER,
        ledger: Writer | None = None,
        model: str = "",
        plan: str = "",
    ) -> None:
        names = [node.name for node in nodes]
        if len(set(names)) < len(names):
            raise ValueError(
                f"a node has two stages among {', '.join(names)}: consecutive ones are one stage"
            )
        self._time_source = time_source or (EMULATED_TIME if emulated else MEASURED_TIME)
        if metered is None or isinstance(metered, Metered):
            metered = [metered] * len(nodes)
        if len(metered) != len(nodes):
            raise ValueError(
                f"{len(metered)} of metered were given for {len(nodes)} stages: give one for "
                "each, None where there is no meter"
            )
        self._stages = []
        for stage, (node, its) in enumerate(zip(nodes, metered, strict=True)):
            common = (node.name, node.zone or "", model, plan, stage, node.pue)
            weakly: MeterMethod = "emulated" if emulated else "modelled"
            origin = modelled = Origin(*common, modelled_source, weakly)
            if its is not None:
                origin = Origin(*common, its.source, "emulated" if emulated else its.method)
            embodied_g_per_ms = node.embodied_g_per_hour / MS_PER_HOUR
            self._stages.append(_Stage(stage, node.name, node, embodied_g_per_ms, origin, modelled))
        self._said = _said_of(stage.origin for stage in self._stages)
        self._hops = tuple(hops)
        self._hop_stages = tuple(hop.stage for hop in hops)
        ends = [end for hop in hops for end in (hop.source, hop.target)]
        if not isinstance(signal, Lookup):
            signal = Lookup([*nodes, *ends], signal)
        self.intensities = signal
        self._sources: dict[str, None] = {}
        self._look(time.time())
        self._write = None if ledger is None else ledger.append
        self._numbers = itertools.count(secrets.randbits(INFERENCE_BITS))
        self._lock = threading.Lock()
        self._inferences = 0
        self._failed = 0
        # Of each stage, and last of all hops together.
        self._sums = [Share()] * (len(self._stages) + 1)
        self._recent: deque[tuple[Any, ...]] = deque()
        none = [0.0] * len(self._stages)
        self._nothing_moved = (Share(), none, none)

    def account(
        self,
        began_s: float,
        times_ms: Sequence[float],
        portions: Sequence[Portion | None],
        transfers: Sequence[tuple[float, float]] = (),
    ) -> Footprint:
        """Count one inference.

        Parameters
        ----------
        began_s
            When its first stage began, in seconds since 1970.
        times_ms
            How long each stage took its node.
        portions
            What each stage drew, from its attribution; ``None`` where there is none, or its
            meter failed: node power x time then.
        transfers
            Milliseconds and joules of each hop.
        """
        # Every request pays for every line here: tuples, no generators, few calls.
        rates = self._rates
        known = self.intensities.latest
        if known is not rates.known or not known.from_s <= began_s < known.again_s:
            rates = self._look(began_s)
            known = rates.known
        moved, left_j, left_g = self._nothing_moved
        if self._hops:
            moved, left_j, left_g = self._transferred(rates.hops, transfers)
        write, until_s = self._write, known.until_s
        inference, start_s, failed = next(self._numbers), began_s, False
        by_node: dict[str, Share] = {}
        for stage, (intensity, g_per_j), time_ms, portion in zip(
            self._stages, rates.stages, times_ms, portions, strict=True
        ):
            number, name, node, embodied_g_per_ms, origin, modelled = stage
            if portion is None:
                portion = _modelled(node, time_ms)
                if origin is not modelled:
                    failed, origin = True, modelled
            cpu_j, memory_j, gpu_j, machine_j, idle_j = portion
            energy_j = cpu_j + memory_j + gpu_j + machine_j
            stop_s = start_s + time_ms / MS_PER_S
            if stop_s <= until_s:
                grams = energy_j * g_per_j
            else:
                intensity, grams = self.intensities.over(node, energy_j, start_s, stop_s)
            embodied_g = time_ms * embodied_g_per_ms
            by_node[name] = _new(Share, (time_ms, energy_j, grams, embodied_g, idle_j))
            if write is not None:
                entry = (
                    start_s,
                    inference,
                    origin,
                    intensity,
                    time_ms,
                    cpu_j,
                    memory_j,
                    gpu_j,
                    machine_j,
                    idle_j,
                    left_j[number],
                    grams,
                    embodied_g,
                    left_g[number],
                )
                write(entry)
            start_s = stop_s
        self._recent.append((failed, *by_node.values(), moved))
        if len(self._recent) > MOST_RECENT:
            self._sum_up()
        method, energy_source = self._said_without(portions) if failed else self._said
        how = (method, self._time_source, energy_source, known.source)
        return _new(Footprint, (1, by_node, moved, *how))

    def total(self) -> Footprint:
        """Everything counted so far."""
        self._sum_up()
        with self._lock:
            method, energy_source = self._said
            if self._failed:
                energy_source += f"; {NODE_POWER} for {self._failed} whose meter failed"
                method = weakest((method, "modelled"))
            names = [stage.name for stage in self._stages] if self._inferences else []
            return Footprint(
                self._inferences,
                dict(zip(names, self._sums, strict=False)),
                self._sums[-1],
                method,
                self._time_source,
                energy_source,
                "; ".join(self._sources),
            )

    def _said_without(self, portions: Sequence[Portion | None]) -> tuple[MeterMethod, str]:
        """What is said of an inference where the meters of stages without a portion failed."""
        return _said_of(
            stage.modelled if portion is None else stage.origin
            for stage, portion in zip(self._stages, portions, strict=True)
        )

    def _sum_up(self) -> None:
        """Add what was counted lately to the sums: together that takes a quarter of the time."""
        with self._lock:
            # Threads go on appending meanwhile.
            recent = [self._recent.popleft() for _ in range(len(self._recent))]
            if recent:
                failed, *shares = zip(*recent, strict=True)
                self._inferences += len(recent)
                self._failed += failed.count(True)
                self._sums = [
                    Share(*map(sum, zip(so_far, *its_shares, strict=True)))
                    for so_far, its_shares in zip(self._sums, shares, strict=True)
                ]

    def _look(self, now_s: float) -> _Rates:
        known = self.intensities.known(now_s)
        self._rates = self._rates_for(known)
        self._sources[known.source] = None
        return self._rates

    def _rates_for(self, known: Known) -> _Rates:
        g_per_kwh = {name: intensity.g_per_kwh for name, intensity in known.by_node.items()}
        return _Rates(
            known,
            tuple(
                (known.by_node[node.name], g_per_kwh[node.name] * node.pue / J_PER_KWH)
                for _, _, node, *_ in self._stages
            ),
            tuple(
                (g_per_kwh[hop.source.name] + g_per_kwh[hop.target.name]) / (2 * J_PER_KWH)
                for hop in self._hops
            ),
        )

    def _transferred(
        self, rates: tuple[float, ...], transfers: Sequence[tuple[float, float]]
    ) -> tuple[Share, list[float], list[float]]:
        """All hops together, and the joules and grams of those written down by each stage."""
        moved_ms = moved_j = moved_g = 0.0
        left_j, left_g = [0.0] * len(self._stages), [0.0] * len(self._stages)
        for stage, g_per_j, (time_ms, energy_j) in zip(
            self._hop_stages, rates, transfers, strict=True
        ):
            grams = energy_j * g_per_j
            left_j[stage] += energy_j
            left_g[stage] += grams
            moved_ms += time_ms
            moved_j += energy_j
            moved_g += grams
        return _new(Share, (moved_ms, moved_j, moved_g, 0.0, 0.0)), left_j, left_g


def _modelled(node: Node, time_ms: float) -> Portion:
    """What a node draws by its own figures."""
    time_s = time_ms / MS_PER_S
    idle_w = min(node.idle_power_w, node.power_w)
    return Portion(0.0, 0.0, 0.0, node.power_w * time_s, idle_w * time_s)


def _said_of(origins: Iterable[Origin]) -> tuple[MeterMethod, str]:
    """The weakest method and every source. A plain tuple: it is taken apart on every request."""
    several = list(origins)
    method = weakest(origin.method for origin in several)
    return method, joined(origin.energy_source for origin in several)
