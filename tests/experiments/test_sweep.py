from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st

from carbonedge import (
    MODES,
    InfeasibleError,
    IntensityUnavailableError,
    Node,
    Task,
    Weights,
    schedule,
)
from carbonedge.experiments import sweep_carbon
from carbonedge.experiments.sweep import Sweep, starts


def emissions_g(sweep: Sweep, scoring: str) -> list[float]:
    return [step.choices[scoring].emissions_g for step in sweep.steps]


@pytest.mark.parametrize(
    ("mode", "jump"),
    [("performance", 0.5), ("balanced", 0.4), ("green", 0.4)],
)
def test_the_papers_choice_jumps_once(mode: str, jump: float, paper_nodes: list[Node]) -> None:
    """Its Fig. 3 has the jump at 0.50, as from the proportions of performance."""
    sweep = sweep_carbon(paper_nodes, Task(), base=MODES[mode])
    first, second = starts(sweep, "paper")
    assert (first.weights.carbon, first.choices["paper"].node) == (0, "node-high")
    assert (second.weights.carbon, second.choices["paper"].node) == (jump, "node-green")


@pytest.mark.parametrize("mode", MODES)
def test_normalized_emissions_never_rise_in_the_papers_scenario(
    mode: str, paper_nodes: list[Node]
) -> None:
    grams = emissions_g(
        sweep_carbon(paper_nodes, Task(), base=MODES[mode], steps=201), "normalized"
    )
    assert all(after <= before for before, after in pairwise(grams))
    assert grams[0] > grams[-1]


@given(
    strategies.nodes(),
    strategies.tasks,
    strategies.weights,
    st.integers(2, 25),
    st.sampled_from([0.5, 100.0]),
)
def test_normalized_emissions_never_rise(
    nodes: list[Node], task: Task, base: Weights, steps: int, time_ms: float
) -> None:
    assume(sum(base) > base.carbon)
    try:
        sweep = sweep_carbon(nodes, task, base=base, steps=steps, time_ms=time_ms)
    except InfeasibleError:
        return
    grams = emissions_g(sweep, "normalized")
    # Emissions are scaled to the spread over the nodes: what is lost beside it is no rise.
    lost_g = 1e-12 * max(emissions_alone_g(node, time_ms) for node in nodes)
    assert all(after <= before + lost_g for before, after in pairwise(grams))


def emissions_alone_g(node: Node, time_ms: float) -> float:
    timed = replace(node, avg_time_ms=node.avg_time_ms or time_ms)
    return schedule(Task(cpu_cores=0, memory_mb=0), [timed], max_load=1).emissions_g


def test_weights_keep_the_proportions_of_the_base(paper_nodes: list[Node]) -> None:
    base = MODES["green"]
    sweep = sweep_carbon(paper_nodes, Task(), base=base, steps=11)
    assert [step.weights.carbon for step in sweep.steps] == [n / 10 for n in range(11)]
    for step in sweep.steps:
        assert sum(step.weights) == pytest.approx(1)
        assert step.weights.resource == pytest.approx(step.weights.balance * 1.5)
    assert tuple(sweep.steps[5].weights) == pytest.approx(tuple(base))
    assert tuple(sweep.steps[10].weights) == (0, 0, 0, 0, 1)


def test_each_choice_is_what_schedule_answers(paper_nodes: list[Node]) -> None:
    task = Task(cpu_cores=0.5, memory_mb=300)
    for step in sweep_carbon(paper_nodes, task, steps=5).steps:
        for scoring, choice in step.choices.items():
            decision = schedule(task, paper_nodes, mode=step.weights, scoring=scoring)
            assert choice.node == decision.node
            assert (choice.latency_ms, choice.emissions_g) == (
                decision.latency_ms,
                decision.emissions_g,
            )


def test_a_node_without_a_time_gets_one_from_its_speed(paper_nodes: list[Node]) -> None:
    high, medium, green = paper_nodes
    nodes = [high, medium, replace(green, avg_time_ms=0, speed=0.4)]
    sweep = sweep_carbon(nodes, Task(), steps=2, time_ms=200)
    assert sweep.assumed_time_ms == {"node-green": 500}
    assert sweep.steps[0].choices["paper"].latency_ms == high.avg_time_ms
    assert sweep.steps[1].choices["paper"].latency_ms == 500


def test_nodes_without_a_time_are_named(paper_nodes: list[Node]) -> None:
    untimed = [replace(node, avg_time_ms=0) for node in paper_nodes[:2]]
    with pytest.raises(ValueError, match="avg_time_ms of 'node-high', 'node-medium' is 0"):
        sweep_carbon([*untimed, paper_nodes[2]], Task())
    many = [replace(untimed[0], name=f"n{i}") for i in range(100)]
    with pytest.raises(ValueError, match="'n7', 92 more is 0"):
        sweep_carbon(many, Task())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 1}, "steps is 1: it must be at least 2"),
        ({"steps": -3}, "steps is -3"),
        ({"time_ms": 0}, "time_ms is 0"),
        ({"base": Weights(0, 0, 0, 0, 1)}, "all of the base weights is carbon"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], message: str, paper_nodes: list[Node]
) -> None:
    with pytest.raises(ValueError, match=message):
        sweep_carbon(paper_nodes, Task(), **arguments)


def test_steps_are_counted_whole(paper_nodes: list[Node]) -> None:
    with pytest.raises(TypeError, match=r"steps is 2\.5"):
        sweep_carbon(paper_nodes, Task(), steps=2.5)  # type: ignore[arg-type]


def test_what_cannot_be_scheduled_cannot_be_swept(paper_nodes: list[Node]) -> None:
    with pytest.raises(InfeasibleError, match="no node can take the task"):
        sweep_carbon(paper_nodes, Task(cpu_cores=2))
    with pytest.raises(IntensityUnavailableError, match="'node-high'"):
        sweep_carbon([replace(paper_nodes[0], intensity_g_per_kwh=None)], Task())
