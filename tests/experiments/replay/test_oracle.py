from __future__ import annotations

import itertools

import made_up_grids
import numpy as np
import pytest
from hypothesis import given, settings
from made_up_grids import Scene, node

from carbonedge import Task
from carbonedge.experiments.replay import POLICIES, Arrivals
from carbonedge.experiments.replay.accounts import Accounts
from carbonedge.experiments.replay.oracle import Best, Oracle
from carbonedge.experiments.replay.policies import open_policy
from carbonedge.experiments.replay.simulation import simulate

ROUNDING = 1e-9


def accounts_of(scene: Scene) -> Accounts:
    return Accounts(scene.fleet, scene.grid)


def oracle_of(scene: Scene) -> Oracle:
    return Oracle(scene.fleet, scene.grid, scene.arrivals, accounts_of(scene))


def limits(scene: Scene) -> np.ndarray:
    return np.array(scene.slo_ms)[scene.arrivals.zone]


def slowly(scene: Scene, request: int, limit_ms: float, at_home: bool) -> tuple[float, bool]:
    """The least grams by a try of every node and of very many starts, and whether in time."""
    arrivals, fleet, step_ms = scene.arrivals, scene.fleet, scene.grid.step_ms
    zone, arrived_ms = int(arrivals.zone[request]), float(arrivals.time_ms[request])
    found: list[float] = []
    fastest: list[tuple[float, float]] = []
    for place, own in enumerate(fleet.nodes):
        if at_home and fleet.zone[place] != zone:
            continue
        trip_ms = float(fleet.round_trip_ms[zone, place])
        service_ms = own.avg_time_ms * float(arrivals.work[request])
        first_ms = arrived_ms + trip_ms / 2
        room_ms = limit_ms - (trip_ms + service_ms)
        borders = np.arange(20) * step_ms
        starts_ms = np.concatenate(
            (np.linspace(first_ms, first_ms + max(room_ms, 0), 97), borders, borders - service_ms)
        )
        starts_ms = starts_ms[(starts_ms >= first_ms) & (starts_ms <= first_ms + max(room_ms, 0))]
        size = len(starts_ms)
        grams = accounts_of(scene).emissions_g(
            np.full(size, place), starts_ms, np.full(size, service_ms)
        )
        fastest.append((trip_ms + service_ms, float(grams[0])))
        if room_ms >= 0:
            found.append(float(grams.min()))
    return (min(found), True) if found else (min(fastest)[1], False)


@settings(max_examples=100)
@given(made_up_grids.scenes())
def test_no_node_and_no_start_is_better(scene: Scene) -> None:
    limit_ms = limits(scene)
    for at_home in (False, True):
        (best,) = oracle_of(scene).best([limit_ms], at_home=at_home)
        for request in range(len(scene.arrivals)):
            grams, within = slowly(scene, request, float(limit_ms[request]), at_home)
            assert best.emissions_g[request] == pytest.approx(grams, rel=ROUNDING, abs=1e-15)
            assert best.within[request] == within
            assert (best.latency_ms[request] <= limit_ms[request] + 1e-6) == within
        if at_home:
            assert (scene.fleet.zone[best.node] == scene.arrivals.zone).all()


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=100)
@given(scene=made_up_grids.scenes())
def test_no_request_within_its_slo_emits_less_than_the_oracles(scene: Scene, name: str) -> None:
    policy = open_policy(name, scene.fleet, scene.grid, scene.task, scene.slo_ms)
    course = simulate(scene.arrivals, scene.fleet, policy)
    grams = accounts_of(scene).emissions_g(course.node, course.start_ms, course.service_ms)
    (best,) = oracle_of(scene).best([limits(scene)])
    met = course.latency_ms <= limits(scene)
    assert (best.emissions_g[met] <= grams[met] * (1 + ROUNDING) + 1e-15).all()
    assert (best.within | ~met).all()


@settings(max_examples=50)
@given(made_up_grids.scenes())
def test_a_wider_limit_is_never_worse_and_one_look_is_as_many(scene: Scene) -> None:
    oracle = oracle_of(scene)
    home_ms = oracle.fastest_at_home_ms()
    bounds = [home_ms + extra_ms for extra_ms in (0.0, 10.0, 500.0, 20_000.0)]
    together: list[Best] = oracle.best(bounds)
    for bound, best in zip(bounds, together, strict=True):
        (alone,) = oracle.best([bound])
        assert alone.emissions_g.tolist() == best.emissions_g.tolist()
        assert best.within.all()
    for tight, wide in itertools.pairwise(together):
        assert (wide.emissions_g <= tight.emissions_g * (1 + ROUNDING) + 1e-15).all()


def one_request(time_ms: float) -> Arrivals:
    return Arrivals(np.array([time_ms]), np.array([0]), np.array([1.0]))


def test_work_is_held_back_for_a_cleaner_hour_that_the_slo_reaches() -> None:
    fleet = made_up_grids.fleet(node("A", network_latency_ms=0.0))
    grid = made_up_grids.grid({"A": [800, 100]})
    accounts = Accounts(fleet, grid)
    oracle = Oracle(fleet, grid, one_request(3_600_000.0 - 150), accounts)
    tight, half, wide = oracle.best([np.array([limit]) for limit in (150.0, 200.0, 400.0)])
    least_g = 30 * 0.1 / 3.6e6
    assert tight.emissions_g.item() == pytest.approx(800 * least_g)
    assert half.emissions_g.item() == pytest.approx(450 * least_g)
    assert wide.emissions_g.item() == pytest.approx(100 * least_g)
    assert [best.latency_ms.item() for best in (tight, half, wide)] == [100, 200, 250]


def test_work_is_held_back_until_it_ends_with_a_clean_hour() -> None:
    fleet = made_up_grids.fleet(node("A", network_latency_ms=0.0, avg_time_ms=15_000.0))
    grid = made_up_grids.grid({"A": [500, 500, 100, 900]}, step_s=10)
    oracle = Oracle(fleet, grid, one_request(0.0), Accounts(fleet, grid))
    (best,) = oracle.best([np.array([40_000.0])])
    assert best.latency_ms.item() == 30_000
    assert best.emissions_g.item() == pytest.approx(30 * (5 * 500 + 10 * 100) / 3.6e6)


def test_where_no_node_is_in_time_the_fastest_counts() -> None:
    fleet = made_up_grids.fleet(
        node("A", "slow", power_w=1.0, avg_time_ms=500.0), node("A", "fast", power_w=90.0)
    )
    grid = made_up_grids.grid({"A": [100]})
    oracle = Oracle(fleet, grid, one_request(0.0), Accounts(fleet, grid))
    (best,) = oracle.best([np.array([50.0])])
    assert best.node.tolist() == [1]
    assert best.within.tolist() == [False]
    assert best.latency_ms.tolist() == [105]


def test_alike_nodes_cost_the_oracle_no_look_each() -> None:
    fleet = made_up_grids.fleet(copies=200)
    grid = made_up_grids.grid({zone: [100.0] for zone in fleet.zones})
    scene = Scene(fleet, grid, one_request(0.0), Task(), [200.0] * 4)
    assert len(oracle_of(scene)._candidates) == 4
