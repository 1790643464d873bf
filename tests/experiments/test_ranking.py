from __future__ import annotations

from dataclasses import replace

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import (
    MODES,
    InfeasibleError,
    IntensityUnavailableError,
    Node,
    Scheduler,
    Task,
)
from carbonedge.experiments import Ranking, rank_nodes
from carbonedge.scheduling import SCORINGS


def names(ranking: Ranking) -> tuple[list[str], list[str]]:
    return (
        [node.node for node in ranking.candidates],
        [node.node for node in ranking.passed_over],
    )


@pytest.mark.parametrize("scoring", SCORINGS)
@given(strategies.nodes(), st.integers(1, 5), strategies.tasks, st.sampled_from(list(MODES)))
def test_the_first_is_what_the_scheduler_chooses(
    scoring: str, nodes: list[Node], copies: int, task: Task, mode: str
) -> None:
    # Copies tie with one another, and are enough of them to be searched by tree.
    timed = [
        replace(node, name=f"{node.name} copy {copy}", avg_time_ms=node.avg_time_ms or 100.0)
        for copy in range(copies)
        for node in nodes
    ]
    ranking = rank_nodes(timed, task, mode=mode, scoring=scoring)
    candidates, passed_over = names(ranking)
    assert sorted(candidates + passed_over) == sorted(node.name for node in timed)
    scheduler = Scheduler(timed, mode=mode, scoring=scoring)
    if not ranking.candidates:
        with pytest.raises(InfeasibleError) as caught:
            scheduler.schedule(task)
        assert ranking.infeasible == str(caught.value)
        return
    assert ranking.infeasible is None
    first, decision = ranking.candidates[0], scheduler.schedule(task)
    assert (first.node, first.score, first.components) == (
        decision.node,
        decision.score,
        decision.components,
    )
    assert (first.latency_ms, first.energy_j, first.emissions_g) == (
        decision.latency_ms,
        decision.energy_j,
        decision.emissions_g,
    )


@given(strategies.nodes(), strategies.tasks, st.sampled_from(list(MODES)))
def test_when_the_first_is_full_the_second_is_chosen(
    nodes: list[Node], task: Task, mode: str
) -> None:
    ranking = rank_nodes(nodes, task, mode=mode, scoring="paper", time_ms=100)
    chosen = []
    for gone in range(len(ranking.candidates)):
        scheduler = Scheduler(
            [replace(node, avg_time_ms=node.avg_time_ms or 100.0) for node in nodes],
            mode=mode,
            scoring="paper",
        )
        for node in ranking.candidates[:gone]:
            scheduler.update(node.node, load=1.0)
        chosen.append(scheduler.schedule(task).node)
    assert chosen == names(ranking)[0]


def test_equals_keep_the_order_of_the_nodes(paper_nodes: list[Node]) -> None:
    twins = [replace(paper_nodes[0], name=name) for name in ("z", "a", "m")]
    for scoring in SCORINGS:
        assert names(rank_nodes(twins, Task(), scoring=scoring))[0] == ["z", "a", "m"]


def test_constrained_ranks_by_emissions_then_latency(paper_nodes: list[Node]) -> None:
    high, medium, green = paper_nodes
    far = replace(green, name="far", network_latency_ms=5)
    ranking = rank_nodes([high, far, medium, green], Task(slo_ms=588), scoring="constrained")
    assert names(ranking) == (["node-green", "node-medium", "node-high"], ["far"])
    assert ranking.mode is None


def test_nodes_passed_over_say_why_in_their_order(paper_nodes: list[Node]) -> None:
    high, medium, green = paper_nodes
    ranking = rank_nodes(
        [replace(high, load=0.6), replace(medium, network_latency_ms=9), green],
        Task(cpu_cores=0.3),
        max_load=0.5,
        max_network_latency_ms=8,
    )
    assert names(ranking) == (["node-green"], ["node-high", "node-medium"])
    assert [node.refusal for node in ranking.passed_over] == [
        "its load 0.6 is above max_load 0.5",
        "its network latency 9 ms is above max_network_latency_ms 8",
    ]


def test_what_nothing_can_take_has_no_candidates(paper_nodes: list[Node]) -> None:
    ranking = rank_nodes(paper_nodes, Task(cpu_cores=2))
    assert names(ranking) == ([], ["node-high", "node-medium", "node-green"])
    assert ranking.infeasible is not None
    assert ranking.infeasible.startswith("no node can take the task (node-high: it has 1 of 1 CPU")


def test_times_are_assumed_where_there_are_none(paper_nodes: list[Node]) -> None:
    untimed = replace(paper_nodes[2], avg_time_ms=0, speed=0.4)
    ranking = rank_nodes([*paper_nodes[:2], untimed], Task(), mode="green", time_ms=200)
    assert ranking.assumed_time_ms == {"node-green": 500}
    assert ranking.candidates[0].latency_ms == 500
    with pytest.raises(ValueError, match="avg_time_ms of 'node-green' is 0"):
        rank_nodes([*paper_nodes[:2], untimed], Task())


def test_wrong_arguments_are_named(paper_nodes: list[Node]) -> None:
    with pytest.raises(ValueError, match="max_load is 2"):
        rank_nodes(paper_nodes, Task(), max_load=2)
    with pytest.raises(ValueError, match="mode 'turbo' is not known"):
        rank_nodes(paper_nodes, Task(), mode="turbo")
    with pytest.raises(IntensityUnavailableError, match="'node-high'"):
        rank_nodes([replace(paper_nodes[0], intensity_g_per_kwh=None)], Task())
