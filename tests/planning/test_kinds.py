from __future__ import annotations

import mixed_integer
import numpy as np
import pytest

from carbonedge import PartitionProblem
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
