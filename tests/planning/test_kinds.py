from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import mixed_integer
import numpy as np
import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st

from carbonedge import InfeasibleError, PartitionProblem
from carbonedge.planning.kinds import Kinds, find_kinds, without_bettered

NODES = 6


def alike(links: np.ndarray | None = None) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Nodes of two numbers, and links of one."""
    return np.ones((NODES, 2)), (np.ones((NODES, NODES)) if links is None else links,)


def test_nodes_alike_in_all_numbers_are_one_kind() -> None:
    numbers, links = alike()
    assert find_kinds(numbers, links, None).members == (tuple(range(NODES)),)


def test_a_number_of_its_own_sets_a_node_apart() -> None:
    numbers, links = alike()
    numbers[3, 1] = 2
    assert find_kinds(numbers, links, None).members == ((0, 1, 2, 4, 5), (3,))


def test_the_source_is_of_its_own_kind() -> None:
    assert find_kinds(*alike(), 0).members == ((0,), (1, 2, 3, 4, 5))
    assert find_kinds(*alike(), 4).members == ((0, 1, 2, 3, 5), (4,))


def test_a_link_of_its_own_sets_both_its_ends_apart() -> None:
    numbers, links = alike()
    links[0][1, 2] = links[0][2, 1] = 9
    assert find_kinds(numbers, links, None).members == ((0, 3, 4, 5), (1, 2))
    one_way = np.ones((NODES, NODES))
    one_way[1, 2] = 9
    assert find_kinds(numbers, (one_way,), None).members == ((0, 3, 4, 5), (1,), (2,))


def test_two_sites_are_two_kinds() -> None:
    """Within a site links are quick: nodes of one may change places, of two may not."""
    site = np.array([0, 1, 0, 1, 0, 1])
    numbers, _ = alike()
    kinds = find_kinds(numbers, (np.where(site[:, None] == site, 1.0, 5.0),), None)
    assert kinds.members == ((0, 2, 4), (1, 3, 5))
    between = kinds.between(np.where(site[:, None] == site, 1.0, 5.0))
    assert between.tolist() == [[1, 5], [5, 1]]
    assert kinds.count.tolist() == [3, 3]


def test_what_enough_nodes_better_is_left_out() -> None:
    numbers = np.array([[1.0, 1], [1, 1], [1, 1], [2, 1], [3, 0]])
    links = (np.ones((5, 5)),)
    kinds = Kinds(((0, 1, 2), (3,), (4,)))

    def left(most_stages: int) -> tuple[tuple[int, ...], ...]:
        return without_bettered(kinds, numbers, links, None, most_stages).members

    assert left(3) == ((0, 1, 2), (4,))
    # A plan of four stages may need a fourth node.
    assert left(4) == kinds.members
    assert without_bettered(kinds, numbers, links, 3, 3).members == kinds.members


def test_a_better_link_saves_a_node_that_is_else_bettered() -> None:
    numbers = np.array([[1.0], [1], [2], [3]])
    links = np.ones((4, 4))
    kinds = Kinds(((0, 1), (2,), (3,)))
    assert without_bettered(kinds, numbers, (links,), None, 2).members == ((0, 1),)
    links[2, 3] = 0.5
    assert without_bettered(kinds, numbers, (links,), None, 2).members == kinds.members


@pytest.mark.parametrize("objective", ["latency", "emissions", "throughput"])
def test_copies_of_nodes_change_no_plans_worth_but_may_be_used(objective: str) -> None:
    """Three copies of each of three nodes, found as kinds, against nine nodes that differ
    by less than shows.
    """
    problem = mixed_integer.whole_numbered_problem(3, 9, 3, 0.4)
    copies = np.repeat(np.arange(3), 3)
    pairs = np.ix_(copies, copies)

    def copied(**changes: np.ndarray) -> PartitionProblem:
        arrays = {
            "node_memory_mb": problem.node_memory_mb[copies],
            "intensity_g_per_kwh": problem.intensity_g_per_kwh[copies],
            "link_latency_ms": problem.link_latency_ms[pairs],
            "link_mbps": problem.link_mbps[pairs],
            "link_j_per_mb": problem.link_j_per_mb[pairs],
            "stage_overhead_ms": problem.stage_overhead_ms[copies],
        } | changes
        return PartitionProblem(
            problem.time_ms[:, copies],
            problem.energy_j[:, copies],
            problem.memory_mb,
            problem.cut_mb,
            **arrays,
        )

    nearly = problem.node_memory_mb[copies] + np.arange(9) * 1e-6
    found, expected = copied().solve(objective), copied(node_memory_mb=nearly).solve(objective)
    assert found.optimal
    assert found.latency_ms == pytest.approx(expected.latency_ms)
    assert found.emissions_g == pytest.approx(expected.emissions_g)
    assert len(set(found.nodes)) == len(found.nodes)


def jittered(problem: PartitionProblem, share: float, seed: int = 0) -> PartitionProblem:
    """The same but for rounding: every number of a node or link is off by up to a share."""
    random = np.random.default_rng(seed)
    names = (
        *("time_ms", "energy_j", "node_memory_mb", "intensity_g_per_kwh", "link_latency_ms"),
        *("link_mbps", "link_j_per_mb", "stage_overhead_ms", "embodied_g_per_hour"),
    )
    changes: dict[str, Any] = {}
    for name in names:
        numbers = getattr(problem, name)
        changes[name] = numbers * (1 + share * random.uniform(-1, 1, numbers.shape))
    return replace(problem, **changes)


def test_numbers_that_differ_by_rounding_set_no_node_apart() -> None:
    third = np.array([[1.0, 1 / 3], [1.0, 0.1 / 0.3], [1.0, 1 / 3 + 1e-8], [1.0, 1 / 3]])
    links = np.ones((4, 4)) * (1 + 1e-12 * np.arange(4))
    assert find_kinds(third, (links,), None).members == ((0, 1, 3), (2,))


def test_a_row_of_nodes_each_a_little_unlike_the_one_before_is_several_kinds() -> None:
    row = 1 + 0.6e-9 * np.arange(7)[:, np.newaxis]
    links = (np.ones((7, 7)),)
    assert find_kinds(row, links, None).members == ((0, 1), (2, 3), (4, 5), (6,))


def test_no_link_is_unlike_any_link() -> None:
    numbers, links = alike()
    links[0][0, :] = links[0][:, 0] = np.inf
    assert find_kinds(numbers, links, None).members == ((0,), (1, 2, 3, 4, 5))
    links[0][:] = np.inf
    assert find_kinds(numbers, links, None).members == (tuple(range(NODES)),)


def test_alike_nodes_around_a_ring_are_each_a_kind() -> None:
    """Each has the same links, but to others."""
    numbers, _ = alike()
    hops = np.abs(np.subtract.outer(np.arange(NODES), np.arange(NODES)))
    ring = np.minimum(hops, NODES - hops).astype(np.float64)
    assert len(find_kinds(numbers, (ring,), None).members) == NODES


@given(st.lists(st.integers(0, 2), min_size=1, max_size=7), st.data())
def test_kinds_are_the_nodes_that_may_change_places(sites: list[int], data: st.DataObject) -> None:
    """Tried one pair at a time."""
    count = len(sites)
    number = st.sampled_from([1.0, 2.0, np.inf])
    some = data.draw(st.lists(number, min_size=9, max_size=9))
    links = np.array(some).reshape(3, 3)[np.ix_(sites, sites)]
    for _ in range(data.draw(st.integers(0, 3))):
        a, b = (data.draw(st.integers(0, count - 1)) for _ in range(2))
        links[a, b] = data.draw(number)
    apart = data.draw(st.none() | st.integers(0, count - 1))

    def may_change(a: int, b: int) -> bool:
        swapped = np.arange(count)
        swapped[[a, b]] = b, a
        off_diagonal = ~np.eye(count, dtype=np.bool_)
        return bool(np.all((links == links[np.ix_(swapped, swapped)])[off_diagonal]))

    found = find_kinds(np.ones((count, 1)), (links,), apart).members
    kind_of = {node: kind for kind, nodes in enumerate(found) for node in nodes}
    assert sorted(kind_of) == list(range(count))
    for a, b in itertools.combinations(range(count), 2):
        expected = may_change(a, b) and apart not in (a, b)
        assert (kind_of[a] == kind_of[b]) == expected


def five_kinds() -> PartitionProblem:
    """Of a thousand nodes, as many of each, in no order."""
    random = np.random.default_rng(0)
    kind = random.permutation(np.arange(1000) % 5)
    links = np.ix_(kind, kind)
    work = random.uniform(0.1, 2, (60, 1)) * random.uniform(0.8, 1.2, (60, 5))
    return PartitionProblem(
        work[:, kind],
        (work * random.uniform(2, 40, 5))[:, kind],
        random.uniform(1, 5, 60),
        random.uniform(0.01, 1, 61),
        node_memory_mb=random.uniform(20, 60, 5)[kind],
        intensity_g_per_kwh=random.uniform(20, 800, 5)[kind],
        link_latency_ms=random.uniform(0.05, 0.5, (5, 5))[links],
        link_mbps=random.uniform(500, 10_000, (5, 5))[links],
        link_j_per_mb=random.uniform(0, 0.01, (5, 5))[links],
        stage_overhead_ms=np.full(1000, 0.05),
    )


@pytest.mark.parametrize("objective", ["emissions", "throughput"])
def test_a_thousand_nodes_whose_numbers_differ_by_rounding_are_of_five_kinds(
    objective: str,
) -> None:
    exact = five_kinds()
    nearly = jittered(exact, 1e-12)
    expected, found = exact.solve(objective), nearly.solve(objective)
    assert found.optimal
    assert (found.cuts, found.nodes) == (expected.cuts, expected.nodes)
    own = nearly.evaluate(found.cuts, found.nodes)
    assert (found.latency_ms, found.emissions_g) == (own.latency_ms, own.emissions_g)


@given(strategies.partition_problems(), st.sampled_from([1e-12, 1e-10]))
def test_rounding_changes_no_plans_worth_but_by_rounding(
    problem: PartitionProblem, share: float
) -> None:
    nearly = jittered(problem, share)
    try:
        expected = problem.solve("latency")
    except InfeasibleError:
        assume(False)
    found = nearly.solve("latency")
    assert found.optimal
    assert found.latency_ms == pytest.approx(expected.latency_ms, rel=1e-8)
    own = nearly.evaluate(found.cuts, found.nodes)
    assert found.latency_ms == pytest.approx(own.latency_ms, rel=1e-12)
