from __future__ import annotations

import functools
import itertools
import json
import math
from typing import Any

import backends
import made_up_grids
import numpy as np
import pytest
from made_up_grids import START_S, node

from carbonedge import InfeasibleError, Task
from carbonedge._backend import NAMES
from carbonedge.experiments.replay import (
    POLICIES,
    Arrivals,
    PolicyResult,
    Replay,
    Zones,
    replay,
    slo_by_zone,
    synthetic_arrivals,
)

HOURS = 24 * 59
WINDOW_S = (float(START_S), float(START_S + HOURS * 3600))


@functools.cache
def season(pattern: str = "flat", seed: int = 0) -> Replay:
    """January and February on forty nodes of four unlike grids."""
    fleet = made_up_grids.fleet(copies=10)
    grid = made_up_grids.grid(made_up_grids.intensities(HOURS, seed))
    arrivals = synthetic_arrivals(
        fleet, grid, WINDOW_S, requests_per_hour=6.0, pattern=pattern, seed=seed
    )
    return replay(fleet, grid, arrivals, WINDOW_S)


def by_name(found: Replay) -> dict[str, PolicyResult]:
    return {result.name: result for result in found.policies}


SEASONS = pytest.mark.parametrize(("pattern", "seed"), [("flat", 0), ("daily", 1), ("flat", 2)])


@SEASONS
def test_constrained_is_within_3_percent_of_the_oracle(pattern: str, seed: int) -> None:
    found = season(pattern, seed)
    constrained = by_name(found)["constrained"]
    assert constrained.misses == found.oracle.misses == 0
    assert -1e-9 <= constrained.regret <= 0.03


@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_on_few_unlike_nodes_with_slots_to_spare(seed: int) -> None:
    times_ms = dict(zip(made_up_grids.ZONES, (110.0, 60.0, 90.0, 120.0), strict=True))
    fleet = made_up_grids.fleet(
        *(node(zone, avg_time_ms=time_ms, parallelism=4) for zone, time_ms in times_ms.items()),
        zones=made_up_grids.TRIPS,
    )
    grid = made_up_grids.grid(made_up_grids.intensities(240, seed))
    window_s = (START_S + 36_000.0, START_S + 50_400.0)
    arrivals = synthetic_arrivals(fleet, grid, window_s, requests_per_hour=6000.0, seed=seed)
    found = replay(fleet, grid, arrivals, window_s, policies=["constrained"], slo_ms=190.0)
    (constrained,) = found.policies
    assert constrained.misses == found.oracle.misses == 0
    assert -1e-9 <= constrained.regret <= 0.03
    assert constrained.busiest_share > 0.03


@SEASONS
def test_policies_stand_in_their_order(pattern: str, seed: int) -> None:
    found = season(pattern, seed)
    policies = by_name(found)
    grams = {name: result.emissions_g for name, result in policies.items()}
    order = ("always-cleanest", "green", "balanced", "performance")
    for cleaner, dirtier in itertools.pairwise(order):
        assert grams[cleaner] <= grams[dirtier] * 1.001
    assert grams["green"] < 0.5 * grams["performance"]
    assert found.oracle.emissions_g < grams["always-nearest"]
    fastest = policies["always-nearest"].latency_median_ms
    for result in (*found.policies, found.oracle):
        assert fastest <= result.latency_median_ms <= result.latency_p99_ms
    assert policies["performance"].latency_median_ms == pytest.approx(fastest)


@SEASONS
def test_who_misses_no_slo_never_beats_the_oracle(pattern: str, seed: int) -> None:
    found = season(pattern, seed)
    for result in found.policies:
        assert result.misses > 0 or result.regret_g >= -1e-12
        assert result.regret_g == result.emissions_g - found.oracle.emissions_g
        assert result.regret == pytest.approx(result.regret_g / found.oracle.emissions_g)


@SEASONS
def test_more_tolerated_latency_is_worth_more(pattern: str, seed: int) -> None:
    found = season(pattern, seed)
    assert [worth.extra_ms for worth in found.worth] == [0, 10, 50, 100]
    savings = [worth.saving for worth in found.worth]
    assert savings == sorted(savings)
    # All zones are 20 ms apart, or more.
    assert savings[:2] == [0, 0]
    assert 0.1 < savings[2] < savings[3] < 1
    for worth in found.worth:
        assert worth.saving == pytest.approx(1 - worth.anywhere_g / worth.at_home_g)
        assert (worth.moved > 0) == (worth.saving > 0)
        assert worth.saving_by_zone["HYDRO"] <= worth.saving_by_zone["COAL"]


@SEASONS
def test_nothing_is_lost_on_the_way_to_the_report(pattern: str, seed: int) -> None:
    found = season(pattern, seed)
    assert sum(zone.requests for zone in found.zones) == found.requests
    assert sum(zone.nodes for zone in found.zones) == found.nodes == 40
    assert found.months == ("2022-01", "2022-02")
    for result in (*found.policies, found.oracle):
        assert result.requests == found.requests
        assert sum(result.by_month_g) == pytest.approx(result.emissions_g)
        assert sum(result.by_hour_g) == pytest.approx(result.emissions_g)
        assert min(*result.by_month_g, *result.by_hour_g) > 0
        assert sum(result.zone_use.values()) == pytest.approx(1)
        # Each takes 100 ms at 30 W, wherever it runs.
        assert result.energy_j == pytest.approx(found.requests * 3.0)
        means = [zone.intensity_g_per_kwh for zone in found.zones]
        per_kwh = result.emissions_g / (result.energy_j / 3.6e6)
        assert 0.5 * min(means) < per_kwh < 1.2 * max(means)


def test_the_slo_is_50_ms_above_the_best_of_the_own_zone() -> None:
    fleet = made_up_grids.fleet(node("A"), node("A", "slow", avg_time_ms=900.0), node("B", "b"))
    assert slo_by_zone(fleet) == [155, 155]
    assert slo_by_zone(fleet, 120.0) == [120, 120]


@pytest.mark.parametrize(
    ("slo_ms", "message"),
    [
        (50.0, "slo_ms is 50, which no node meets for any zone: the fastest takes 105 ms"),
        (0.0, "slo_ms is 0: it must be finite and above 0"),
        (math.nan, "slo_ms is nan"),
        (math.inf, "slo_ms is inf"),
    ],
)
def test_an_slo_that_nobody_meets_is_refused(slo_ms: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slo_by_zone(made_up_grids.fleet(), slo_ms)


def small(requests_per_hour: float = 9000.0, **more: Any) -> Replay:
    """Busy nodes, unlike requests and changing intensities."""
    fleet = made_up_grids.fleet(
        node("A", cpu_cores=2.0, power_w=20.0, avg_time_ms=800.0),
        node("B", cpu_cores=2.0, parallelism=2),
        node("C", cpu_cores=2.0, embodied_g_per_hour=1.0),
        copies=2,
    )
    chance = np.random.default_rng(5)
    values = {zone: chance.uniform(0, 600, 12) for zone in "ABC"}
    grid = made_up_grids.grid(values, step_s=10)
    window_s = (float(grid.start_s), float(grid.stop_s))
    arrivals = synthetic_arrivals(
        fleet, grid, window_s, requests_per_hour=requests_per_hour, work_spread=0.2, seed=3
    )
    return replay(fleet, grid, arrivals, window_s, task=Task(cpu_cores=1.0), **more)


def test_the_same_gives_the_same_to_the_last_digit_on_every_backend() -> None:
    documents = []
    for name in (*NAMES, NAMES[0]):
        with backends.using(name):
            documents.append(json.dumps(small().to_dict()))
    assert len(set(documents)) == 1


def test_waiting_and_missing_are_told_where_capacity_is_short() -> None:
    found = small(90_000.0, slo_ms=120.0)
    policies = by_name(found)
    for result in found.policies:
        assert 0 < result.waited <= found.requests
        assert 0 < result.waited_mean_ms < result.waited_longest_ms
        assert result.misses > 0
        assert 0 < result.busiest_share <= 1
    assert policies["constrained"].misses <= policies["green"].misses
    assert policies["always-cleanest"].waited_mean_ms > policies["performance"].waited_mean_ms


def test_policies_do_not_know_one_another() -> None:
    alone = {name: small(policies=[name]).policies[0] for name in POLICIES}
    assert alone == by_name(small())


def test_intensities_are_known_late_and_counted_as_they_were() -> None:
    """In the gap the nodes of A seem as clean as before, while they are not."""
    values = {"A": [100, 100, math.nan, math.nan, 700], "B": [300] * 5}
    fleet = made_up_grids.fleet(node("A"), node("B"))
    grid = made_up_grids.grid(values)
    arrivals = Arrivals(np.array([2.5, 3.5, 4.5]) * 3.6e6, np.zeros(3, int), np.ones(3))
    window_s = (float(grid.start_s), float(grid.stop_s))
    names = ["constrained", "always-cleanest"]
    found = replay(fleet, grid, arrivals, window_s, policies=names, slo_ms=500.0)
    constrained, cleanest = found.policies
    assert cleanest.emissions_g == constrained.emissions_g
    per_request = 3.0 / 3.6e6
    assert constrained.zone_use["A"] == pytest.approx(2 / 3)
    assert constrained.emissions_g == pytest.approx((300 + 500 + 300) * per_request)
    assert found.oracle.emissions_g == pytest.approx((300 + 300 + 300) * per_request)
    assert constrained.regret == pytest.approx(200 / 900)
    assert [zone.missing for zone in found.zones] == [2, 0]


@pytest.mark.parametrize("slo_ms", [None, 175.4])
def test_what_meets_a_limit_on_the_dot_is_not_put_beyond_it_by_a_rounding(
    slo_ms: float | None,
) -> None:
    near = {"avg_time_ms": 120.3, "network_latency_ms": 5.1}
    assert 5.1 + 50 + 120.3 > 5.1 + 120.3 + 50
    zones = Zones({("A", "B"): 50.0})
    fleet = made_up_grids.fleet(node("A", **near), node("B", **near), zones=zones)
    grid = made_up_grids.grid({"A": [900], "B": [100]})
    window_s = (float(grid.start_s), float(grid.stop_s))
    arrivals = Arrivals(np.array([5.0]), np.zeros(1, int), np.ones(1))
    found = replay(fleet, grid, arrivals, window_s, slo_ms=slo_ms)
    assert by_name(found)["constrained"].zone_use["B"] == found.oracle.zone_use["B"] == 1
    assert by_name(found)["constrained"].misses == found.oracle.misses == 0
    assert [worth.moved for worth in found.worth] == [0, 0, 1, 1]
    assert found.zones[0].slo_ms == pytest.approx(175.4, rel=1e-12)


@pytest.mark.parametrize(("slo_ms", "misses"), [(105.0, 0), (104.9999, 1)])
def test_an_answer_on_the_dot_is_no_miss(slo_ms: float, misses: int) -> None:
    fleet = made_up_grids.fleet(node("A"), node("B", "faster", avg_time_ms=1.0))
    grid = made_up_grids.grid({"A": [100], "B": [100]})
    window_s = (float(grid.start_s), float(grid.stop_s))
    arrivals = Arrivals(np.array([5.0]), np.zeros(1, int), np.ones(1))
    found = replay(
        fleet, grid, arrivals, window_s, policies=["always-nearest"], slo_ms=slo_ms, task=Task()
    )
    assert found.policies[0].misses == misses


def test_progress_is_told_of_the_oracle_and_each_policy() -> None:
    told: list[int] = []
    small(advance=lambda: told.append(1))
    assert len(told) == 1 + len(POLICIES)


def test_a_node_that_can_take_no_request_is_refused() -> None:
    """Else the oracle would run on it what no scheduler may."""
    fleet = made_up_grids.fleet(node("A"), node("B", "tiny", memory_mb=100.0))
    grid = made_up_grids.grid({"A": [100], "B": [100]})
    arrivals = Arrivals(np.array([5.0]), np.zeros(1, int), np.ones(1))
    window_s = (float(grid.start_s), float(grid.stop_s))
    for names in (POLICIES, ["always-cleanest"]):
        with pytest.raises(InfeasibleError, match=r"node 'tiny' can take no request, .* 100 MB"):
            replay(fleet, grid, arrivals, window_s, policies=names, task=Task(memory_mb=101.0))
    replay(fleet, grid, arrivals, window_s, task=Task(memory_mb=100.0))


def test_what_ran_when_the_cluster_file_was_written_is_done() -> None:
    values = {"A": [100], "B": [900]}
    grid = made_up_grids.grid(values)
    window_s = (float(grid.start_s), float(grid.stop_s))
    arrivals = Arrivals(np.array([5.0]), np.zeros(1, int), np.ones(1))
    fleet = made_up_grids.fleet(node("A", running_tasks=3), node("B"))
    found = replay(fleet, grid, arrivals, window_s, policies=["constrained"])
    assert found.policies[0].zone_use["A"] == 1


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="'always-wrong' is not known: give any of performance"):
        small(policies=["always-wrong"])


def test_a_document_is_plain() -> None:
    document = json.loads(json.dumps(season().to_dict()))
    assert document["method"] == "modelled"
    assert [policy["name"] for policy in document["policies"]] == list(POLICIES)
    assert len(document["oracle"]["by_hour_g"]) == 24
