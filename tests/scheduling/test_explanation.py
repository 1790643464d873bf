from __future__ import annotations

import math

import numpy as np
import pytest
import strategies
from hypothesis import given, settings

from carbonedge import InfeasibleError, Node, Scheduler, Task, Weights

pytestmark = pytest.mark.usefixtures("each_backend")

SCORINGS = ("paper", "normalized", "constrained")


@settings(max_examples=40)
@given(strategies.nodes(most=20), strategies.tasks, strategies.weights)
def test_the_best_explained_is_the_one_chosen(
    nodes: list[Node], task: Task, weights: Weights
) -> None:
    for scoring in SCORINGS:
        scheduler = Scheduler(nodes, mode=weights, scoring=scoring)
        scheduler.schedule_many([0.1] * 3, [1.0] * 3)
        explained = scheduler.explain(task)
        assert [own.node for own in explained] == [node.name for node in nodes]
        assert [own.index for own in explained] == list(range(len(nodes)))
        able = [own for own in explained if own.refusal is None]
        if not able:
            with pytest.raises(InfeasibleError):
                scheduler.schedule(task)
            continue
        decision = scheduler.schedule(task)
        chosen = explained[decision.index]
        assert chosen.refusal is None
        assert chosen.score == max(own.score for own in able)
        assert decision[:-1] == (
            *(chosen.node, chosen.index, chosen.score, *chosen.components.values()),
            *(chosen.latency_ms, chosen.energy_j, chosen.emissions_g),
        )
        for own in able:
            parts = own.components.values()
            total = math.fsum(w * part for w, part in zip(weights, parts, strict=True))
            expected = -own.emissions_g if scoring == "constrained" else total
            assert own.score == pytest.approx(expected, rel=1e-12, abs=1e-12)
        for own in explained:
            if own.refusal is not None:
                assert own.score == 0
                assert not any(own.components.values())


def test_every_refusal_has_its_own_words() -> None:
    fine = {"cpu_cores": 1, "memory_mb": 100, "power_w": 5, "intensity_g_per_kwh": 9}
    nodes = [
        Node("loaded", **fine, load=0.9),
        Node("far", **fine, network_latency_ms=50.0),
        Node("small", **{**fine, "cpu_cores": 0.05}),
        Node("forgetful", **{**fine, "memory_mb": 1}),
        Node("slow", **fine, avg_time_ms=500.0, running_tasks=1),
        Node("gone", **fine),
        Node("fine", **fine),
    ]
    scheduler = Scheduler(nodes, scoring="constrained", max_network_latency_ms=20.0)
    scheduler.remove("gone")
    task = Task(memory_mb=10.0, slo_ms=100.0)
    refusals = {own.node: own.refusal for own in scheduler.explain(task)}
    assert refusals == {
        "loaded": "its load 0.9 is above max_load 0.8",
        "far": "its network latency 50 ms is above max_network_latency_ms 20",
        "small": "it has 0.05 of 0.05 CPU cores free and the task needs 0.1",
        "forgetful": "it has 1 of 1 MB free and the task needs 10",
        "slow": "its predicted latency 1000 ms is above slo_ms 100",
        "fine": None,
    }
    scheduler.update("fine", load=0.95)
    with pytest.raises(InfeasibleError) as error:
        scheduler.schedule(task)
    for name, refusal in refusals.items():
        assert f"{name}: {refusal or 'its load 0.95 is above max_load 0.8'}" in str(error.value)


def test_a_node_filled_by_tasks_says_what_is_left() -> None:
    node = Node("one", cpu_cores=1, memory_mb=100, power_w=5, intensity_g_per_kwh=9)
    scheduler = Scheduler([node])
    scheduler.schedule_many([0.7], [30.0])
    [own] = scheduler.explain(Task(cpu_cores=0.5))
    assert own.refusal == "it has 0.3 of 1 CPU cores free and the task needs 0.5"
    [own] = scheduler.explain(Task(memory_mb=80.0))
    assert own.refusal == "it has 70 of 100 MB free and the task needs 80"


def test_a_node_without_merit_is_no_choice_of_the_papers() -> None:
    node = Node("one", cpu_cores=1, memory_mb=100, power_w=5, intensity_g_per_kwh=9, load=1.0)
    scheduler = Scheduler([node], mode=Weights(0, 1, 0, 0, 0), scoring="paper", max_load=1.0)
    task = Task(cpu_cores=0.0)
    assert scheduler.explain(task)[0].refusal == "its score is not above 0"
    with pytest.raises(InfeasibleError, match="one: its score is not above 0"):
        scheduler.schedule(task)


def test_explaining_reserves_nothing() -> None:
    nodes = {"cpu_cores": np.ones(2), "memory_mb": 64, "power_w": 1, "intensity_g_per_kwh": 1}
    scheduler = Scheduler(nodes)
    before = scheduler.snapshot()
    assert [own.node for own in scheduler.explain(Task())] == ["0", "1"]
    assert scheduler.snapshot() == before
