"""The core's partition search once more: what it does with the `_partition_kernels`.

The reasons stand in ``cpp/src``, in label_search.cpp and throughput.cpp.
"""

from __future__ import annotations

import _thread
import copy
import functools
import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from carbonedge._partition_kernels import (
    ANSWERED,
    CUT_SHORT,
    FOUND,
    HALF_OVER,
    KEPT,
    LABEL,
    LIMIT,
    NO_PLAN,
    NONE,
    NUM_SIZES,
    OVER,
    OVERUSED,
    PLANS,
    POINT,
    ROUNDING_SLACK,
    SHIFT,
    TIE,
    TOO_LARGE,
    Costs,
    Floats,
    Integers,
    Kernels,
    Progress,
    Search,
    StageLimits,
    grown,
    keep,
    note_overused,
    out_of_time,
)

__all__ = ["solve_partition"]

MOST_BITS = 62
TIE_SHARE = 1e-12
MOST_NUMBERS = 2**21
MOST_PRICES = 16
MOST_SETS = 2**17
MOST_REACH_STATES = 2**17
MOST_REACH_WORDS = 2**24
CORE_WORD_BITS = 64
SECONDS_FOR_ANY = 0.1
SECONDS_FOR_A_FIRST = 1.0
LEAPS, LEAP, STEPS = 12, 4.0, 8
MEGABITS_MS = 8.0 * 1e3
"""A megabyte's megabits times the milliseconds in a second."""
NARROW = 512
NARROW_LOOKS = 16
CLOSE = 1e-3
ALL = 2**62

Plan = tuple[Integers, Integers]
"""Stops and kinds."""
Priced = tuple[Integers, Integers, float, float, float, float]
"""And latency, energy, emissions and slowest part."""
Found = tuple[bool, float, list[Priced]]


class Deadline:
    """A moment after which a search settles for what it has, and the one halfway to it;
    `flags` tell compiled code.
    """

    def __init__(self, limit_s: float) -> None:
        began = time.perf_counter()
        self._until = began + limit_s
        self._half = began + limit_s / 2.0
        self.flags = np.zeros(2, dtype=np.int64)
        self._closed: threading.Lock | None = None

    def left_s(self) -> float:
        return self._until - time.perf_counter()

    def half_left_s(self) -> float:
        return self._half - time.perf_counter()

    def passed(self) -> bool:
        return self.left_s() <= 0.0

    def watch(self) -> Integers:
        """The flags, which are set when the time comes."""
        if self._closed is None and math.isfinite(self._until):
            self._closed = threading.Lock()
            self._closed.acquire()
            # A threading.Timer would be waited for until it runs, longer than most searches take.
            half_s = max(self.half_left_s(), 0.0)
            waits = [(HALF_OVER, half_s), (OVER, max(self.left_s() - half_s, 0.0))]
            _thread.start_new_thread(_flag_unless_closed, (self.flags, self._closed, waits))
        return self.flags

    def close(self) -> None:
        if self._closed is not None:
            self._closed.release()


def _flag_unless_closed(
    flags: Integers, closed: threading.Lock, waits: list[tuple[int, float]]
) -> None:
    for which, wait_s in waits:
        if closed.acquire(timeout=min(wait_s, threading.TIMEOUT_MAX)):
            return
        flags[which] = 1


NEVER = np.zeros(2, dtype=np.int64)
"""The flags of a time that never comes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan and its search may not exceed."""

    slo_ms: float
    max_stages: int
    max_part_ms: float
    time_limit_s: float


@dataclass(frozen=True, slots=True)
class Chain:
    """The arrays of a problem and its three measures."""

    memory_mb: Floats
    node_memory_mb: Floats
    count: Integers
    latency: Costs
    energy: Costs
    emissions: Costs

    def priced(self, prices: Iterable[float]) -> Costs:
        """The measures at their prices."""
        total = None
        for price, measure in zip(prices, (self.latency, self.energy, self.emissions), strict=True):
            # Nothing of a measure without a price: no link is infinite.
            if price > 0.0:
                total = times(measure, price) if total is None else plus(total, measure, price)
        assert total is not None, "one price at least is above zero"
        return total

    def stage_limits(self, kernels: Kernels, max_part_ms: float) -> StageLimits:
        """What a stage or hop may be."""
        farthest = kernels.farthest_stops(
            self.memory_mb, self.node_memory_mb, self.latency, max_part_ms
        )
        # Below infinity: where no link is, no hop may be.
        return StageLimits(self.latency, farthest, min(max_part_ms, float(np.finfo(float).max)))

    def resources(self, max_stages: int) -> Integers:
        """How often a plan may use each kind, and how many stages it may have."""
        limits: Integers = np.append(self.count, max_stages)
        return limits.clip(max=len(self.memory_mb))


def costs_of(
    operator_cost: Floats,
    overhead: Floats,
    fixed: Floats,
    per_mb: Floats,
    cut_mb: Floats,
    source: int,
) -> Costs:
    """One measure, of operators [L, N] and links [N, N]."""
    step = np.ascontiguousarray(operator_cost.T)
    rest = np.zeros((len(step), len(cut_mb)))
    rest[:, :-1] = np.cumsum(step[:, ::-1], axis=1)[:, ::-1]
    return Costs(step, rest, overhead, fixed, per_mb, cut_mb, source)


def plus(costs: Costs, other: Costs, factor: float) -> Costs:
    """A measure and `factor` times another one."""
    return costs._replace(
        step=costs.step + factor * other.step,
        rest=costs.rest + factor * other.rest,
        overhead=costs.overhead + factor * other.overhead,
        fixed=costs.fixed + factor * other.fixed,
        per_mb=costs.per_mb + factor * other.per_mb,
    )


def times(costs: Costs, factor: float) -> Costs:
    """A measure times a factor above zero."""
    return costs._replace(
        step=costs.step * factor,
        rest=costs.rest * factor,
        overhead=costs.overhead * factor,
        fixed=costs.fixed * factor,
        per_mb=costs.per_mb * factor,
    )


def overused(limits: Integers, kinds: Integers) -> list[int]:
    """What a plan uses more often than it may."""
    over = np.zeros(len(limits), dtype=np.int64)
    sizes = np.zeros(NUM_SIZES, dtype=np.int64)
    note_overused(limits, kinds, over, sizes)
    return [int(resource) for resource in over[: sizes[OVERUSED]]]


class UseStates:
    """A number for each combination of how often a few resources were used."""

    def __init__(self, limits: Integers) -> None:
        self._limits = limits
        self._tracked: list[int] = []
        self._number()

    def copy(self) -> UseStates:
        """To track more."""
        return copy.copy(self)

    def fit(self, resources: Iterable[int], most: int) -> bool:
        """Whether none is tracked yet and there is room for all."""
        resources = set(resources)
        size = self._size_with([*self._tracked, *resources])
        return resources.isdisjoint(self._tracked) and size <= most

    def track(self, resources: Iterable[int], most: int) -> bool:
        """Tracks those that fit; whether any does."""
        before = len(self._tracked)
        for resource in resources:
            if self.fit([resource], most):
                self._tracked = [*self._tracked, resource]
        if len(self._tracked) == before:
            return False
        self._number()
        return True

    def _size_with(self, resources: Iterable[int]) -> int:
        return math.prod(int(self._limits[resource]) + 1 for resource in resources)

    def _number(self) -> None:
        num_kinds = len(self._limits) - 1
        size = self._size_with(self._tracked)
        state = np.arange(size)
        self.next = np.tile(state, (num_kinds, 1))
        left = np.ones((num_kinds, size), dtype=np.bool_)
        stride = 1
        for resource in self._tracked:
            values = int(self._limits[resource]) + 1
            kinds = slice(None) if resource == num_kinds else resource
            left[kinds] &= state // stride % values + 1 < values
            self.next[kinds] += stride
            stride *= values
        self.next[~left] = NONE


class LabelSearch:
    """Least cost and fronts."""

    def __init__(
        self,
        kernels: Kernels,
        chain: Chain,
        prices: Iterable[float],
        limits: Limits,
        whole_front: bool,
        hoped_ms: float = math.inf,
    ) -> None:
        self._kernels = kernels
        self._chain = chain
        self._prices = tuple(prices)
        self._limits = limits
        self._deadline = Deadline(limits.time_limit_s)
        self._whole_front = whole_front
        self._bound_latency = whole_front or math.isfinite(limits.slo_ms)
        self._resources = resources = chain.resources(limits.max_stages)
        self._states = UseStates(resources)
        self._stage_limits = chain.stage_limits(kernels, limits.max_part_ms)
        num_kinds = len(self._stage_limits.farthest)
        counted = [(1 << int(limit).bit_length()) - 1 for limit in resources]
        self._search = Search(
            cost=chain.priced(self._prices),
            limits=self._stage_limits,
            uses=np.array([resources, np.full(num_kinds + 1, NONE), counted]),
            guards=0,
            next_state=self._states.next,
            to_go=np.zeros((0, 0, 0, 0, 0)),
            prices=np.zeros(0),
            whole_front=whole_front,
            bound_latency=self._bound_latency,
            slo_ms=limits.slo_ms,
            hoped_ms=hoped_ms,
            cost_tie=0.0,
            latency_tie=math.inf,
            ceiling=math.inf,
        )
        self._bits = 0
        if np.all(self._stage_limits.farthest[:, 0] == len(chain.memory_mb)):
            self._count(range(num_kinds))
        self._progress = Progress(
            running=np.zeros((num_kinds, 4), dtype=LABEL),
            num_running=np.zeros(num_kinds, dtype=np.int64),
            found=np.zeros(0, dtype=POINT),
            kept=np.zeros(0, dtype=POINT),
            plans=np.zeros(0, dtype=np.int64),
            overused=np.zeros(num_kinds + 1, dtype=np.int64),
            sizes=np.zeros(NUM_SIZES, dtype=np.int64),
            until=self._deadline.flags,
        )
        # And what a whole plan comes to at least; infinite where no table was made yet.
        self._cost_to_go = self._latency_to_go = np.zeros((0, 0, 0, 0))
        self._least_cost = self._least_ms = math.inf
        self._duals: list[tuple[float, Floats]] = []
        self._lower = 0.0  # no plan costs less
        self._explored = self._cut_short = False

    def run(self) -> Found:
        try:
            return self._run()
        finally:
            self._deadline.close()

    def compile_gaps(self) -> None:
        """Runs, and then what only a search that is cut short does."""
        self.run()
        self._keep_rough_plans()
        self._explore_sets()
        self._kernels.gap_to(self._progress, self._least_ms, self._least_cost)
        self._kernels.front_gap(self._search, self._progress, True)

    def _run(self) -> Found:
        # Without these tables nothing is known: they are made whatever the time.
        self._cost_to_go, self._least_cost, _ = self._table(self._search.cost, NEVER)
        if math.isinf(self._least_cost):
            return self._answer(True)
        self._lower = self._least_cost
        if self._bound_latency and not self._whole_front:
            found = self._if_latency_is_loose()
            if found is not None:
                return found
        if self._bound_latency and len(self._latency_to_go) == 0:
            # Without this one a plan may be known all the same.
            late = not self._whole_front and self._deadline.passed()
            if late and self._keep_rough_plans():
                return self._answer(False)
            self._latency_to_go, self._least_ms, _ = self._table(self._chain.latency, NEVER)
        while True:
            if math.isinf(self._least_cost) or self._too_slow():
                return self._answer(True)
            self._sizes[OVERUSED] = 0
            self._explored = self._cut_short = False
            self._lower = max(self._lower, self._least_cost)
            self._search = self._search._replace(cost_tie=self._lower * TIE_SHARE)
            if self._bound_latency:
                self._search = self._search._replace(latency_tie=self._least_ms * TIE_SHARE)
            finished = self._find_front() if self._whole_front else self._find_least()
            if not finished:
                return self._answer(False)
            if self._sizes[OVERUSED] == 0:
                return self._answer(True)
            if self._out_of_time() or not self._track_overused():
                return self._answer(False)

    @property
    def _sizes(self) -> Integers:
        return self._progress.sizes

    def _overused(self) -> list[int]:
        return [int(k) for k in self._progress.overused[: self._sizes[OVERUSED]]]

    def _table(
        self, costs: Costs, until: Integers, states: UseStates | None = None
    ) -> tuple[Floats, float, bool]:
        next_state = (states or self._states).next
        return self._kernels.cost_to_go(costs, self._stage_limits, next_state, until)

    def _out_of_time(self) -> bool:
        flags = np.zeros(2, dtype=np.int64)
        flags[OVER] = self._deadline.passed()
        flags[HALF_OVER] = self._deadline.half_left_s() <= 0.0
        return out_of_time(flags, self._progress.kept, self._sizes, self._search.hoped_ms)

    def _is_promising(self) -> bool:
        flags = np.array([0, 1])
        return not out_of_time(flags, self._progress.kept, self._sizes, self._search.hoped_ms)

    def _too_slow(self) -> bool:
        return self._bound_latency and (
            math.isinf(self._least_ms) or self._least_ms > self._limits.slo_ms * ROUNDING_SLACK
        )

    def _if_latency_is_loose(self) -> Found | None:
        if self._keep(self._best_plan(self._search.cost, self._cost_to_go)):
            return self._answer(True)
        if self._sizes[OVERUSED] == 0 or self._deadline.passed():
            return None
        self._latency_to_go, self._least_ms, _ = self._table(self._chain.latency, NEVER)
        if self._too_slow():
            return self._answer(True)
        limits = replace(self._limits, slo_ms=math.inf, time_limit_s=self._deadline.left_s())
        search = LabelSearch(
            self._kernels, self._chain, self._prices, limits, False, self._limits.slo_ms
        )
        proven, gap, plans = search.run()
        if not plans:
            return (proven, gap, plans) if proven else None
        if plans[0][2] <= self._limits.slo_ms:
            return proven, gap, plans
        value = self._kernels.sum_of_parts(self._search.cost, *plans[0][:2])
        self._lower = max(self._lower, value * (1.0 - gap))
        return None

    def _find_least(self) -> bool:
        cheapest = self._best_plan(self._search.cost, self._cost_to_go)
        if self._keep(cheapest):
            return True
        latency = self._kernels.sum_of_parts(self._chain.latency, *cheapest)
        if latency <= self._limits.slo_ms and self._may_track():
            return True
        self._duals = []
        if self._bound_latency and not self._price_latency():
            return False
        self._sizes[OVERUSED] = 0
        finished = None if self._bound_latency else self._explore_sets()
        if finished is not None:
            return finished
        for share in (1e-3, 1e-2, 1e-1, math.inf):
            ceiling = self._lower * (1.0 + share) if self._lower > 0.0 else math.inf
            if not self._explore(ceiling):
                return False
            if self._sizes[FOUND] > 0 or math.isinf(ceiling):
                return True
            self._lower = ceiling
        return True

    def _explore_sets(self) -> bool | None:
        every = UseStates(self._resources)
        kinds, stages = range(len(self._resources) - 1), len(self._resources) - 1
        limited = int(self._resources[stages]) < int(self._resources[:-1].sum())
        resources = [*kinds, stages] if limited else kinds
        if not every.fit(resources, MOST_SETS):
            return None
        every.track(resources, MOST_SETS)
        of_table = np.full(every.next.shape[1], NONE)
        of_table[0] = 0
        for state in range(len(of_table)):
            if of_table[state] != NONE:
                after = every.next[:, state]
                left = after != NONE
                of_table[after[left]] = self._states.next[left, of_table[state]]
        for share in (1e-2, 3e-2, 1e-1, 3e-1, math.inf):
            ceiling = self._lower * (1.0 + share) if self._lower > 0.0 else math.inf
            answer, *plan = self._kernels.explore_sets(
                self._search.cost,
                self._stage_limits,
                every.next,
                of_table,
                self._cost_to_go,
                min(ceiling, self._least_kept()),
                self._deadline.watch()[OVER if self._is_promising() else HALF_OVER :],
            )
            if answer == TOO_LARGE:
                return None
            if len(plan[0]) > 0:
                self._keep((plan[0], plan[1]))
            if answer == CUT_SHORT:
                return False
            if self._least_kept() <= ceiling or math.isinf(ceiling):
                return True
            self._lower = ceiling
        return True

    def _least_kept(self) -> float:
        kept = self._progress.kept[: self._sizes[KEPT]]
        return float(kept[-1]["cost"]) if len(kept) > 0 else math.inf

    def _find_front(self) -> bool:
        if not self._price_hull():
            return False
        if self._may_track():
            return True
        self._sizes[OVERUSED] = 0
        return self._explore(math.inf)

    def _price_latency(self) -> bool:
        latency, quickest = self._chain.latency, self._least_ms
        self._keep(self._best_plan(latency, self._latency_to_go))
        if self._lower <= 0.0 or quickest <= 0.0:
            return True
        until = self._deadline.watch()
        stateless = np.zeros((len(self._chain.count), 1), dtype=np.int64)
        highest, best = -math.inf, 0.0

        def attempt(price: float) -> None:
            nonlocal highest, best
            costs = plus(self._search.cost, latency, price)
            to_go, whole, finished = self._kernels.cost_to_go(
                costs, self._stage_limits, stateless, until
            )
            if not finished or math.isinf(whole):
                return
            bound = self._bound_at(price, whole)
            if bound > highest:
                highest, best = bound, price
                plan = self._kernels.best_plan(costs, self._stage_limits, stateless, to_go)
                self._keep(plan)

        price = self._lower / quickest / 4096.0
        for _ in range(LEAPS):
            attempt(price)
            price *= LEAP
        step = best / 2.0
        for _ in range(STEPS):
            attempt(best + step)
            attempt(best - step)
            step /= 2.0
        self._lower = max(self._lower, highest)
        dual, whole, finished = self._table(plus(self._search.cost, latency, best), until)
        if not finished:
            return False
        self._duals = [(best, dual)]
        self._lower = max(self._lower, self._bound_at(best, whole))
        return True

    def _bound_at(self, price: float, whole: float) -> float:
        return whole * (1.0 - TIE_SHARE) - price * self._limits.slo_ms

    def _price_hull(self) -> bool:
        cost, latency = self._search.cost, self._chain.latency

        until = self._deadline.watch()

        def vertex(costs: Costs, to_go: Floats, whole: float) -> tuple[float, float]:
            if math.isinf(whole):
                return math.inf, math.inf
            plan = self._best_plan(costs, to_go)
            self._keep(plan)
            sum_of_parts = self._kernels.sum_of_parts
            return sum_of_parts(latency, *plan), sum_of_parts(cost, *plan)

        self._duals = []
        edges = [
            (
                vertex(latency, self._latency_to_go, self._least_ms),
                vertex(cost, self._cost_to_go, self._least_cost),
            )
        ]
        for quicker, cheaper in edges:
            if len(self._duals) == MOST_PRICES:
                break
            apart = cheaper[0] - quicker[0]
            price = (quicker[1] - cheaper[1]) / apart if apart != 0.0 else 0.0
            if not price > 0.0 or math.isinf(price):
                continue
            costs = plus(cost, latency, price)
            to_go, whole, finished = self._table(costs, until)
            if not finished:
                return False
            self._duals.append((price, to_go))
            line = quicker[1] + price * quicker[0]
            if whole * TIE >= line:
                continue
            between = vertex(costs, to_go, whole)
            edges.append((quicker, between))
            edges.append((between, cheaper))
        return True

    def _explore(self, ceiling: float) -> bool:
        self._deadline.watch()
        tables = [self._cost_to_go]
        if self._bound_latency:
            tables += [self._latency_to_go, *(to_go for _, to_go in self._duals)]
        self._search = self._search._replace(
            next_state=self._states.next,
            to_go=np.stack(tables, axis=-1),
            prices=np.array([price for price, _ in self._duals]),
            ceiling=ceiling,
        )
        finished, self._progress = self._kernels.explore(self._search, self._progress)
        self._explored, self._cut_short = True, not finished
        return finished

    def _keep(self, plan: Plan) -> bool:
        progress, sizes = self._progress, self._sizes
        stops, kinds = plan
        latency = self._kernels.sum_of_parts(self._chain.latency, stops, kinds)
        over = note_overused(self._search.uses[LIMIT], kinds, progress.overused, sizes)
        if over or latency > self._limits.slo_ms:
            return False
        cost = self._kernels.sum_of_parts(self._search.cost, stops, kinds)
        kept = grown(progress.kept, sizes[KEPT], 1)
        plans = grown(progress.plans, sizes[PLANS], 2 * len(stops) + 1)
        self._progress = progress._replace(kept=kept, plans=plans)
        keep(kept, plans, sizes, self._whole_front, latency, cost, stops, kinds)
        return True

    def _most_states(self) -> int:
        tables = MOST_PRICES + 2 if self._whole_front else 3 if self._bound_latency else 1
        return MOST_NUMBERS // (self._stage_limits.farthest.size * tables)

    def _may_track(self) -> bool:
        most = self._most_states()
        return any(self._states.fit([resource], most) for resource in self._overused())

    def _track_overused(self) -> bool:
        any_is = self._count(self._overused())
        states = self._states.copy()
        more = states.track(self._overused(), self._most_states())
        return self._make_tables(states) if more else any_is

    def _make_tables(self, states: UseStates) -> bool:
        until = self._deadline.watch()
        cost_to_go, least_cost, finished = self._table(self._search.cost, until, states)
        if not finished:
            return False
        if self._bound_latency:
            latency_to_go, least_ms, finished = self._table(self._chain.latency, until, states)
            if not finished:
                return False
            self._latency_to_go, self._least_ms = latency_to_go, least_ms
        self._cost_to_go, self._least_cost, self._states = cost_to_go, least_cost, states
        return True

    def _count(self, resources: Iterable[int]) -> bool:
        """Counts in labels how often resources are used; whether any is new and has room."""
        uses, guards = self._search.uses.copy(), self._search.guards
        any_is = False
        for resource in resources:
            width = int(uses[LIMIT, resource]).bit_length()
            if uses[SHIFT, resource] == NONE and self._bits + width + 1 <= MOST_BITS:
                uses[SHIFT, resource] = self._bits
                self._bits += width + 1
                guards |= 1 << (self._bits - 1)
                any_is = True
        self._search = self._search._replace(uses=uses, guards=guards)
        return any_is

    def _best_plan(self, costs: Costs, to_go: Floats) -> Plan:
        return self._kernels.best_plan(costs, self._stage_limits, self._states.next, to_go)

    def _answer(self, proven: bool) -> Found:
        if not proven and self._is_promising() and not self._keep_rough_plans():
            self._keep_any()
        gap = 0.0 if proven else self._gap()
        plans = []
        for point in self._progress.kept[: self._sizes[KEPT]]:
            at = int(point["id"])
            num_stages = int(self._progress.plans[at])
            packed = self._progress.plans[at + 1 : at + 1 + 2 * num_stages].copy()
            plan = packed[:num_stages], packed[num_stages:]
            plans.append(summed_up(self._kernels, self._chain, plan))
        return proven, gap, plans

    def _keep_rough_plans(self) -> bool:
        for costs in (self._search.cost, self._chain.latency):
            found, *plan = self._kernels.rough_plan(costs, self._stage_limits, self._resources)
            if found:
                self._keep((plan[0], plan[1]))
        return bool(self._sizes[KEPT] > 0)

    def _keep_any(self) -> None:
        limits = replace(self._limits, time_limit_s=SECONDS_FOR_ANY)
        for stops, kinds, *_ in ThroughputSearch(self._kernels, self._chain, limits).run()[2]:
            self._keep((stops, kinds))

    def _gap(self) -> float:
        kept = self._progress.kept[: self._sizes[KEPT]]
        if not self._whole_front:
            if len(kept) == 0:
                return 1.0
            cost = self._least_kept()
            return min(max(1.0 - self._lower / cost, 0.0), 1.0) if cost > 0.0 else 0.0
        if not self._explored:
            return self._kernels.gap_to(self._progress, self._least_ms, self._least_cost)
        return self._kernels.front_gap(self._search, self._progress, self._cut_short)


class ThroughputSearch:
    """The plan whose slowest stage or transfer is the quickest."""

    TAKEN, NOT_THERE, UNKNOWN = range(3)

    def __init__(
        self,
        kernels: Kernels,
        chain: Chain,
        limits: Limits,
        lower: float = 0.0,
        hoped_ms: float = math.inf,
    ) -> None:
        self._kernels = kernels
        self._chain = chain
        self._limits = limits
        self._hoped_ms = hoped_ms
        self._deadline = Deadline(limits.time_limit_s)
        self._first_deadline = Deadline(max(limits.time_limit_s, SECONDS_FOR_A_FIRST))
        self._resources = chain.resources(limits.max_stages)
        self._states = UseStates(self._resources)
        self._best: Plan | None = None
        self._best_ms = self._best_latency_ms = math.inf
        self._lower = lower  # no plan has a shorter longest part
        self._tried = lower  # and none was found that has
        self._sure = True  # that what was not found is not there

    def run(self) -> Found:
        try:
            return self._run()
        finally:
            self._deadline.close()
            self._first_deadline.close()

    def _run(self) -> Found:
        self._raise_lower()
        self._take_any()
        if self._best is None:
            self._attempt(self._limits.max_part_ms, NARROW)
        if self._best is None:
            self._attempt(self._limits.max_part_ms, ALL)
        if self._best is None:
            return self._sure, 0.0 if self._sure else 1.0, []
        self._look_for_good_ones()
        just_below = False
        while self._tried < self._best_ms / TIE and self._left_s() > 0.0:
            best = self._best_ms
            just_below = not just_below and best - self._tried <= CLOSE * best
            below = best / TIE if just_below else self._tried + (best - self._tried) / 2.0
            self._attempt(below, ALL)
        best = self._best_ms
        proven = self._lower >= best / TIE
        gap = 0.0 if proven or best <= 0.0 else 1.0 - self._lower / best
        return proven, gap, [summed_up(self._kernels, self._chain, self._best)]

    def _left_s(self) -> float:
        if self._best is None:
            return self._first_deadline.left_s()
        promising = self._best_latency_ms <= self._hoped_ms
        return self._deadline.left_s() if promising else self._deadline.half_left_s()

    def _until(self) -> Integers:
        """What the first of the flags says is when."""
        if self._best is None:
            return self._first_deadline.watch()
        promising = self._best_latency_ms <= self._hoped_ms
        return self._deadline.watch()[OVER if promising else HALF_OVER :]

    def _raise_lower(self) -> None:
        latency = self._chain.latency
        slowest = float((latency.step.T + latency.overhead).min(axis=1).max())
        # One after the other, as in the core.
        total = float(np.cumsum(latency.step.min(axis=0))[-1])
        nodes = min(int(self._resources[:-1].sum()), int(self._resources[-1]))
        self._lower = max(self._lower, slowest / TIE, total / nodes / TIE)
        self._tried = self._lower

    def _take_any(self) -> None:
        limits = self._chain.stage_limits(self._kernels, self._limits.max_part_ms)
        found, *plan = self._kernels.rough_plan(self._chain.latency, limits, self._resources)
        if found:
            latency = self._kernels.sum_of_parts(self._chain.latency, *plan)
            if latency <= self._limits.slo_ms:
                self._take((plan[0], plan[1]))

    def _look_for_good_ones(self) -> None:
        tried = self._lower
        for _ in range(NARROW_LOOKS):
            if self._left_s() <= 0.0:
                return
            part_ms = tried + (self._best_ms - tried) / 2.0
            if not self._attempt(part_ms, NARROW):
                tried = part_ms

    def _attempt(self, part_ms: float, width: int) -> bool:
        answer = self._within(part_ms, width)
        if answer == self.NOT_THERE:
            self._lower = max(self._lower, part_ms)
        elif answer == self.UNKNOWN and width == ALL:
            self._sure = False
        if answer != self.TAKEN and (answer == self.NOT_THERE or width == ALL):
            self._tried = max(self._tried, part_ms)
        return answer == self.TAKEN

    def _within(self, part_ms: float, width: int) -> int:
        limits = self._chain.stage_limits(self._kernels, part_ms)
        while True:
            viable = self._kernels.first_viable_cuts(limits, self._states.next)
            if viable[0] != 0:
                return self.NOT_THERE
            outcome, *plan = self._kernels.fewest_stages(
                limits,
                self._states.next,
                viable,
                self._limits.max_stages,
                width,
                self._until(),
            )
            if outcome != ANSWERED:
                return self.NOT_THERE if outcome == NO_PLAN and width == ALL else self.UNKNOWN
            over = overused(self._resources, plan[1])
            if not over:
                latency = self._kernels.sum_of_parts(self._chain.latency, *plan)
                if latency <= self._limits.slo_ms:
                    return self._take((plan[0], plan[1]))
                return self._quickest(part_ms)
            if not self._track(over) or self._left_s() <= 0.0:
                return self.UNKNOWN

    def _track(self, over: list[int]) -> bool:
        every = range(len(self._chain.count))
        num_words = len(self._chain.memory_mb) // CORE_WORD_BITS + 1
        most = min(MOST_REACH_STATES, MOST_REACH_WORDS // (len(every) * num_words))
        if self._states.fit(every, most):
            over = list(every)
        return self._states.track(over, most)

    def _quickest(self, part_ms: float) -> int:
        limits = Limits(math.inf, self._limits.max_stages, part_ms, self._left_s())
        search = LabelSearch(self._kernels, self._chain, (1.0, 0.0, 0.0), limits, False)
        proven, _, plans = search.run()
        if plans and plans[0][2] <= self._limits.slo_ms:
            return self._take(plans[0][:2])
        return self.NOT_THERE if proven else self.UNKNOWN

    def _take(self, plan: Plan) -> int:
        self._best = plan
        self._best_ms = float(self._kernels.largest_part(self._chain.latency, *plan))
        self._best_latency_ms = float(self._kernels.sum_of_parts(self._chain.latency, *plan))
        return self.TAKEN


def most_throughput(kernels: Kernels, chain: Chain, limits: Limits) -> Found:
    """The plan whose slowest stage or transfer is the quickest, quick enough as a whole."""
    if math.isinf(limits.slo_ms):
        return ThroughputSearch(kernels, chain, limits).run()
    deadline = Deadline(limits.time_limit_s)
    loose = replace(limits, slo_ms=math.inf)
    proven, gap, plans = ThroughputSearch(kernels, chain, loose, 0.0, limits.slo_ms).run()
    if not plans and proven:
        return proven, gap, plans
    lower = 0.0
    if plans:
        if plans[0][2] <= limits.slo_ms:
            return proven, gap, plans
        lower = plans[0][5] * (1.0 - gap) / TIE
    tight = replace(limits, time_limit_s=deadline.left_s())
    return ThroughputSearch(kernels, chain, tight, lower).run()


def summed_up(kernels: Kernels, chain: Chain, plan: Plan) -> Priced:
    """A plan and its totals."""
    return (
        *plan,
        float(kernels.sum_of_parts(chain.latency, *plan)),
        float(kernels.sum_of_parts(chain.energy, *plan)),
        float(kernels.sum_of_parts(chain.emissions, *plan)),
        float(kernels.largest_part(chain.latency, *plan)),
    )


def chain_of(
    time_ms: Floats,
    energy_j: Floats,
    memory_mb: Floats,
    cut_mb: Floats,
    count: Integers,
    node_memory_mb: Floats,
    grams_per_j: Floats,
    grams_per_ms: Floats,
    link_latency_ms: Floats,
    link_mbps: Floats,
    link_j_per_mb: Floats,
    link_grams_per_j: Floats,
    stage_overhead_ms: Floats,
    stage_overhead_j: Floats,
    source: int,
) -> Chain:
    """The measures of a problem."""

    def grams(energy_j: Floats, time_ms: Floats) -> Floats:
        return energy_j * grams_per_j + time_ms * grams_per_ms

    # A kind of one node has no second one to hop to; where no link is, no measure may see one.
    no_link = np.isinf(link_latency_ms) | (np.eye(len(count), dtype=np.bool_) & (count == 1))
    fixed = np.where(no_link, np.inf, 0.0)
    return Chain(
        memory_mb,
        node_memory_mb,
        count,
        latency=costs_of(
            time_ms,
            stage_overhead_ms,
            np.where(no_link, np.inf, link_latency_ms),
            MEGABITS_MS / link_mbps,
            cut_mb,
            source,
        ),
        energy=costs_of(energy_j, stage_overhead_j, fixed, link_j_per_mb, cut_mb, source),
        emissions=costs_of(
            grams(energy_j, time_ms),
            grams(stage_overhead_j, stage_overhead_ms),
            fixed,
            link_j_per_mb * link_grams_per_j,
            cut_mb,
            source,
        ),
    )


@functools.cache
def compiled(kernels: Kernels) -> Kernels:
    """The same, each of which has run: to compile them is no part of a search's time."""
    two, four = np.ones(2), np.ones((2, 2))
    chain = chain_of(
        time_ms=four,
        energy_j=four,
        memory_mb=two,
        cut_mb=np.ones(3),
        count=np.ones(2, dtype=np.int64),
        node_memory_mb=2 * two,
        grams_per_j=two,
        grams_per_ms=two,
        link_latency_ms=four,
        link_mbps=four,
        link_j_per_mb=four,
        link_grams_per_j=four,
        stage_overhead_ms=two,
        stage_overhead_j=two,
        source=NONE,
    )
    limits = Limits(math.inf, 2, math.inf, math.inf)
    ThroughputSearch(kernels, chain, limits).run()
    LabelSearch(kernels, chain, (1.0, 1.0, 1.0), limits, True).compile_gaps()
    return kernels


def solve_partition(
    kernels: Kernels,
    time_ms: ArrayLike,
    energy_j: ArrayLike,
    memory_mb: ArrayLike,
    cut_mb: ArrayLike,
    count: ArrayLike,
    node_memory_mb: ArrayLike,
    grams_per_j: ArrayLike,
    grams_per_ms: ArrayLike,
    link_latency_ms: ArrayLike,
    link_mbps: ArrayLike,
    link_j_per_mb: ArrayLike,
    link_grams_per_j: ArrayLike,
    stage_overhead_ms: ArrayLike,
    stage_overhead_j: ArrayLike,
    source: int,
    search: str,
    prices: tuple[float, float, float],
    slo_ms: float,
    max_stages: int,
    max_part_ms: float,
    time_limit_s: float,
) -> Found:
    """See ``_core.pyi``; the kernels come first."""

    def floats(values: ArrayLike) -> Floats:
        return np.array(values, dtype=np.float64, order="C")

    # Without a link numbers may be infinite, and of no meaning where they meet.
    with np.errstate(all="ignore"):
        chain = chain_of(
            floats(time_ms),
            floats(energy_j),
            floats(memory_mb),
            floats(cut_mb),
            np.array(count, dtype=np.int64),
            floats(node_memory_mb),
            floats(grams_per_j),
            floats(grams_per_ms),
            floats(link_latency_ms),
            floats(link_mbps),
            floats(link_j_per_mb),
            floats(link_grams_per_j),
            floats(stage_overhead_ms),
            floats(stage_overhead_j),
            source,
        )
        kernels = compiled(kernels)
        limits = Limits(float(slo_ms), max_stages, float(max_part_ms), float(time_limit_s))
        if search == "throughput":
            return most_throughput(kernels, chain, limits)
        return LabelSearch(kernels, chain, prices, limits, search == "front").run()
