from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import Cluster, Link, Node, Plan, Stage
from carbonedge.planning import OperatorCosts
from carbonedge.runtime.ray.observed import FORGET_S, MOST_LOAD, Observed, View
from carbonedge.runtime.ray.worker import Report

INTENSITIES = {"a": 100.0, "b": 200.0, "c": 300.0}
NODES = [
    Node(name, cpu_cores=1, memory_mb=100, power_w=5, intensity_g_per_kwh=g, speed=speed)
    for (name, g), speed in zip(INTENSITIES.items(), (1.0, 0.5, 1.0), strict=True)
]
CLUSTER = Cluster(NODES, [Link(*pair, bandwidth_mbps=1000) for pair in ("ab", "bc", "ac")])
COSTS = OperatorCosts(
    "measured", np.tile([1.0, 2.0, 1.0], (4, 1)), np.array([0.5, 1.0, 0.5]), frozenset(range(5))
)


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def observed(clock: Hand | None = None, *, scaled: bool = False) -> Observed:
    return Observed(CLUSTER, COSTS, scaled=scaled, clock=clock or Hand())


def report(
    name: str,
    stage_ms: Mapping[tuple[int, int], float] = {},
    *,
    load: float = 0.0,
    memory_free_mb: float = 1e3,
) -> Report:
    node = CLUSTER.nodes[CLUSTER.index(name)]
    return Report("worker", load, memory_free_mb, 0, 0, 0.0, 0.0, stage_ms, node)


def planned_ms(name: str, start: int = 0, stop: int = 4) -> float:
    index = CLUSTER.index(name)
    return float(COSTS.time_ms[start:stop, index].sum() + COSTS.overhead_ms[index])


def run(seen: Observed, name: str, *factors: float) -> None:
    for factor in factors:
        seen.hear(name, report(name, {(0, 4): factor * planned_ms(name)}), alone=False)


def rest(seen: Observed, name: str, *loads: float) -> None:
    for load in loads:
        seen.hear(name, report(name, load=load), alone=True)


def view(seen: Observed, names: str = "abc") -> View:
    return seen.view(names, INTENSITIES)


def test_at_first_nodes_are_as_planned_and_intensities_of_now() -> None:
    seen = observed().view("abc", {"a": 1.0, "b": 2.0, "c": 3.0})
    assert seen.factors == {"a": 1.0, "b": 1.0, "c": 1.0}
    np.testing.assert_array_equal(seen.costs.time_ms, COSTS.time_ms)
    assert [node.known_intensity() for node in seen.cluster.nodes] == [1.0, 2.0, 3.0]


def test_only_nodes_that_answer_and_links_between_them_are_there() -> None:
    seen = view(observed(), "ac")
    assert [node.name for node in seen.cluster.nodes] == ["a", "c"]
    assert [{link.source, link.target} for link in seen.cluster.links] == [{"a", "c"}]
    np.testing.assert_array_equal(seen.costs.time_ms, COSTS.time_ms[:, [0, 2]])
    np.testing.assert_array_equal(seen.costs.overhead_ms, COSTS.overhead_ms[[0, 2]])


def test_a_node_that_slows_is_known_after_a_few_reports() -> None:
    seen = observed()
    run(seen, "a", 1.0, 1.0, 1.0)
    run(seen, "b", 1.0, 1.0, 1.0)
    run(seen, "a", 3.0, 3.0, 3.0)
    now = view(seen)
    assert now.factors == {"a": 3.0, "b": 1.0, "c": 1.0}
    np.testing.assert_allclose(now.costs.time_ms, COSTS.time_ms * [3.0, 1.0, 1.0])
    np.testing.assert_allclose(now.costs.overhead_ms, COSTS.overhead_ms * [3.0, 1.0, 1.0])


def test_a_stage_of_a_part_counts_like_one_of_the_whole() -> None:
    seen = observed()
    part = {(1, 3): 2 * planned_ms("a", 1, 3), (0, 4): 2 * planned_ms("a")}
    for _ in range(3):
        seen.hear("a", report("a", part), alone=False)
    assert view(seen).factors["a"] == pytest.approx(2.0)


def test_times_of_workers_that_stand_in_are_divided_by_the_speed_of_the_node() -> None:
    seen = observed(scaled=True)
    for _ in range(3):
        seen.hear("b", report("b", {(0, 4): planned_ms("b") * 0.5}), alone=False)
    assert view(seen).factors["b"] == pytest.approx(1.0)


def test_a_slow_first_run_and_a_moment_of_disturbance_move_nothing() -> None:
    seen = observed()
    decided = view(seen)
    run(seen, "a", 40.0, 1.02)
    assert view(seen).drift(decided) == 0  # two reports say nothing yet
    run(seen, "a", 0.98, 1.01, 9.0, 1.0, 0.99, 7.0)
    assert view(seen).drift(decided) < 0.03


def test_what_all_nodes_are_off_by_makes_no_other_node_look_better() -> None:
    """Costs that were measured with more threads than a worker has are off for all nodes."""
    seen = observed()
    run(seen, "a", 2.0, 2.0, 2.0)
    assert view(seen).factors == {"a": 2.0, "b": 2.0, "c": 2.0}
    run(seen, "a", 5.0, 5.0, 5.0)
    assert view(seen).factors == {"a": 5.0, "b": 2.0, "c": 2.0}
    run(seen, "a", *[1.5] * 5)  # it was busy in the beginning, or still cold
    assert view(seen).factors == {"a": 1.5, "b": 1.5, "c": 1.5}


def test_the_load_of_others_makes_a_node_slower_where_none_of_our_stages_runs() -> None:
    seen = observed()
    rest(seen, "c", 0.9, 0.5)  # the first still tells of what ran before
    assert view(seen).factors["c"] == pytest.approx(2.0)
    rest(seen, "c", *[1.0] * 20)
    assert view(seen).factors["c"] == pytest.approx(1 / (1 - MOST_LOAD))
    rest(seen, "c", *[0.0] * 20)
    assert view(seen).factors["c"] == pytest.approx(1.0, abs=1e-4)
    seen.hear("c", report("c", load=1.0), alone=False)  # ours, now
    assert view(seen).factors["c"] == 1.0


def test_a_node_that_was_left_for_its_load_is_as_good_as_ever_when_that_has_gone() -> None:
    seen = observed()
    run(seen, "b", 1.0, 1.0, 1.0)
    run(seen, "a", 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
    rest(seen, "a", 0.5, 0.5)
    assert view(seen).factors["a"] == pytest.approx(2.0)  # not twice for one load
    rest(seen, "a", *[0.0] * 20)
    assert view(seen).factors["a"] == pytest.approx(1.0, abs=1e-4)


def test_a_node_that_is_slow_without_load_stays_so_until_that_is_long_ago() -> None:
    clock = Hand()
    seen = observed(clock)
    run(seen, "b", 1.0, 1.0, 1.0)
    run(seen, "a", 1.0, 1.0, 1.0, 4.0, 4.0, 4.0)
    rest(seen, "a", *[0.0] * 20)
    assert view(seen).factors["a"] == pytest.approx(4.0)
    clock.now_s += FORGET_S
    assert view(seen).factors["a"] == pytest.approx(1.0)


@given(
    st.lists(st.floats(0.5, 8.0), min_size=1, max_size=8),
    st.lists(st.floats(0.0, 1.0), max_size=8),
)
def test_factors_are_never_below_all_that_was_seen_nor_beyond_what_load_explains(
    factors: list[float], loads: list[float]
) -> None:
    seen = observed()
    run(seen, "a", *factors)
    rest(seen, "a", *loads)
    factor = view(seen).factors["a"]
    low, high = min(1.0, *factors), max(1.0, *factors)
    assert low * (1 - 1e-9) <= factor <= high / (1 - MOST_LOAD) * (1 + 1e-9)


def test_a_node_that_lacked_memory_has_it_again_when_it_says_so() -> None:
    seen = observed()
    seen.lacks("a", 20.0)
    seen.lacks("a", 30.0)
    assert view(seen).cluster.nodes[0].memory_mb == pytest.approx(20.0, rel=1e-3)
    seen.hear("a", report("a", memory_free_mb=19.0), alone=False)
    assert view(seen).cluster.nodes[0].memory_mb < 20.0
    seen.hear("a", report("a", memory_free_mb=21.0), alone=False)
    assert view(seen).cluster.nodes[0].memory_mb == 100.0


def test_memory_that_a_stage_took_more_of_than_there_is_is_not_offered_again() -> None:
    seen = observed()
    seen.lacks("a", 50.0, lasting=True)
    seen.hear("a", report("a", memory_free_mb=99.0), alone=False)
    assert view(seen).cluster.nodes[0].memory_mb == pytest.approx(50.0, rel=1e-3)
    assert view(seen).cluster.nodes[0].memory_mb < 50.0


def test_a_plan_is_held_where_its_nodes_are_and_have_the_memory() -> None:
    seen = observed()
    stages = (Stage("a", 0, 2, 1, 1, 1, 60.0), Stage("b", 2, 4, 1, 1, 1, 100.0))
    plan = Plan(stages, (), 2, 2, 2, 1, True, 0.0, "latency", "macs")
    assert view(seen).holds(plan)
    assert not view(seen, "ac").holds(plan)
    seen.lacks("a", 59.0)
    assert not view(seen).holds(plan)


def test_drift_is_the_largest_share_by_which_a_figure_changed() -> None:
    seen = observed()
    decided = view(seen)
    assert decided.drift(decided) == 0
    dirtier = seen.view("abc", INTENSITIES | {"c": 360.0})
    assert dirtier.drift(decided) == pytest.approx(0.2)
    run(seen, "b", 1.0, 1.0, 1.0)
    run(seen, "a", 1.5, 1.5, 1.5)
    assert seen.view("abc", INTENSITIES | {"c": 360.0}).drift(decided) == pytest.approx(0.5)
    clean = seen.view("abc", INTENSITIES | {"c": 0.0})
    assert clean.drift(clean) == 0
    assert dirtier.drift(clean) > 1e6


def test_a_node_that_comes_is_a_drift_and_one_that_goes_is_none() -> None:
    seen = observed()
    for more, fewer in itertools.pairwise(["abc", "ab", "b"]):
        assert view(seen, more).drift(view(seen, fewer)) == float("inf")
        assert view(seen, fewer).drift(view(seen, more)) == 0
