from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonedge import MODES, Node, Task, Weights
from carbonedge._backend import NAMES, Backend, load
from carbonedge._kernels import FIELDS

PAPER, NORMALIZED, CONSTRAINED = range(3)
BACKENDS = {name: load(name) for name in NAMES}


def table(
    backend: Backend,
    nodes: Sequence[Node],
    weights: Weights = MODES["green"],
    scoring: int = NORMALIZED,
) -> Any:
    names = [node.name for node in nodes]
    return backend.NodeTable(nodes, names, tuple(weights), scoring, 0.8, math.inf, 0.2)


def refusals(table: Any, cpu_cores: float, memory_mb: float, slo_ms: float | None) -> list[int]:
    return table.explain(cpu_cores, memory_mb, slo_ms)[0].tolist()


def value(table: Any, index: int, field: str) -> float:
    return table.state(index)[FIELDS.index(field)]


def needs(task: Task) -> tuple[float, float, float | None]:
    return task.cpu_cores, task.memory_mb, task.slo_ms


def node(name: str = "n", **changes: Any) -> Node:
    values: dict[str, Any] = {
        "cpu_cores": 1.0,
        "memory_mb": 100.0,
        "power_w": 1.0,
        "intensity_g_per_kwh": 100.0,
        "avg_time_ms": 10.0,
    }
    return Node(name, **(values | changes))


@given(strategies.nodes(), strategies.tasks, strategies.weights)
def test_paper_scoring_takes_the_best_of_algorithm_1(
    nodes: list[Node], task: Task, weights: Weights
) -> None:
    scores = {
        index: oracle.paper_score(node, task, weights)
        for index, node in enumerate(nodes)
        if oracle.passes(node, task)
    }
    best = max(scores.values(), default=0.0)
    for backend in BACKENDS.values():
        placed = table(backend, nodes, weights, PAPER).select(*needs(task))
        if best > 1e-9:
            assert placed[2] == pytest.approx(best)
            assert scores[placed[1]] == pytest.approx(best)
        else:
            assert placed is None or placed[2] == pytest.approx(best)


@given(strategies.nodes(), strategies.tasks, strategies.weights)
def test_normalized_scoring_takes_the_best_scaled_sum(
    nodes: list[Node], task: Task, weights: Weights
) -> None:
    scores = oracle.scaled_scores(nodes, task, weights)
    for backend in BACKENDS.values():
        placed = table(backend, nodes, weights).select(*needs(task))
        if not scores:
            assert placed is None
            continue
        # What differs by a rounding only may be scaled to anything, so near ties of
        # a whole column are left to the comparison between backends.
        if oracle.spreads_are_clear(oracle.traits(nodes, task).values()):
            assert scores[placed[1]] == pytest.approx(max(scores.values()), abs=1e-6)


@given(strategies.nodes(), strategies.tasks)
def test_constrained_scoring_takes_the_least_emissions_in_time(
    nodes: list[Node], task: Task
) -> None:
    best = oracle.constrained(nodes, task)
    for backend in BACKENDS.values():
        placed = table(backend, nodes, scoring=CONSTRAINED).select(*needs(task))
        if best is None:
            assert placed is None
        else:
            assert placed[10] == pytest.approx(oracle.emissions_g(nodes[best]))
            assert placed[8] == pytest.approx(oracle.latency_ms(nodes[placed[1]]))


@given(
    strategies.nodes(most=70),
    strategies.tasks,
    strategies.weights,
    st.sampled_from([PAPER, NORMALIZED, CONSTRAINED]),
)
def test_backends_agree_to_the_last_bit(
    nodes: list[Node], task: Task, weights: Weights, scoring: int
) -> None:
    native, *others = (
        table(backend, nodes, weights, scoring).select(*needs(task))
        for backend in BACKENDS.values()
    )
    for other in others:
        assert other == native


@pytest.mark.parametrize("scoring", [PAPER, NORMALIZED, CONSTRAINED])
def test_backends_agree_on_a_thousand_nodes_as_their_state_moves(scoring: int) -> None:
    generator = np.random.default_rng(scoring)
    nodes = [
        node(
            f"n{i}",
            cpu_cores=float(generator.integers(1, 9)),
            memory_mb=float(generator.integers(100, 900)),
            load=float(generator.integers(0, 10)) / 10,
            intensity_g_per_kwh=float(generator.integers(0, 5) * 100),
            avg_time_ms=float(generator.integers(1, 5)),
        )
        for i in range(1000)
    ]
    tables = [table(BACKENDS[name], nodes, scoring=scoring) for name in ("native", "numba")]
    tickets: list[tuple[int, ...]] = []
    for step in range(400):
        cpu_cores = (0.5, 0.5, 2.0)[step % 3]
        placed = [t.place(cpu_cores, 30.0, 12.0) for t in tables]
        assert placed[0][:11] == placed[1][:11]
        tickets.append(tuple(p[11] for p in placed))
        if step % 3 == 0:
            done = tickets.pop(int(generator.integers(len(tickets))))
            for t, ticket in zip(tables, done, strict=True):
                t.complete(ticket, float(step))
        if step % 5 == 0:
            index, load = int(generator.integers(1000)), float(generator.integers(0, 10)) / 10
            for t in tables:
                t.set(index, FIELDS.index("load"), load)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("scoring", [PAPER, NORMALIZED, CONSTRAINED])
def test_the_first_of_equals_wins(any_backend: Backend, scoring: int, count: int) -> None:
    alike = [node(f"n{i}") for i in range(count)]
    assert table(any_backend, alike, scoring=scoring).select(0.1, 1.0, None)[1] == 0


@pytest.mark.parametrize("best", [0, 14, 15, 16, 31, 32])
@pytest.mark.parametrize("scoring", [PAPER, NORMALIZED, CONSTRAINED])
def test_the_best_is_found_at_either_side_of_a_block(
    any_backend: Backend, scoring: int, best: int
) -> None:
    nodes = [node(f"n{i}") for i in range(33)]
    nodes[best] = node("best", intensity_g_per_kwh=1.0)
    assert table(any_backend, nodes, scoring=scoring).select(0.1, 1.0, None)[0] == "best"


@pytest.mark.parametrize("scoring", [PAPER, NORMALIZED, CONSTRAINED])
def test_a_placement_is_of_plain_python_numbers(any_backend: Backend, scoring: int) -> None:
    placed = table(any_backend, [node()], scoring=scoring).place(0.1, 1.0, None)
    assert [type(value) for value in placed] == [str, int, *[float] * 9, int]


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e15])
def test_the_smallest_and_largest_nodes_leave_a_choice(any_backend: Backend, size: float) -> None:
    odd = node("odd", cpu_cores=size, memory_mb=size, power_w=size, avg_time_ms=size)
    placed = table(any_backend, [odd, node("fine"), odd]).select(0.0, 0.0, None)
    assert placed == table(BACKENDS["native"], [odd, node("fine"), odd]).select(0.0, 0.0, None)
    assert all(math.isfinite(value) for value in placed[1:])


@pytest.mark.parametrize("scoring", [PAPER, NORMALIZED, CONSTRAINED])
def test_a_table_with_a_past_answers_as_a_fresh_one(any_backend: Backend, scoring: int) -> None:
    shuffle = random.Random(scoring)
    nodes = [
        node(
            f"n{i}",
            cpu_cores=shuffle.choice([0.5, 1.0, 4.0]),
            memory_mb=shuffle.choice([50.0, 100.0, 500.0]),
            avg_time_ms=shuffle.uniform(1, 9),
        )
        for i in range(40)
    ]
    lived = table(any_backend, nodes, scoring=scoring)
    for _ in range(15):
        index = shuffle.randrange(len(nodes))
        changes = {
            "load": shuffle.choice([0.0, 0.5, 0.9]),
            "power_w": shuffle.uniform(1, 50),
            "intensity_g_per_kwh": shuffle.uniform(0, 800),
        }
        for field, value in changes.items():
            lived.set(index, FIELDS.index(field), value)
        nodes[index] = replace(nodes[index], **changes)
        for needed in ((0.1, 1.0, None), (0.1, 45.0, 8.0), (3.9, 45.0, None)):
            fresh = table(any_backend, nodes, scoring=scoring)
            assert lived.select(*needed) == fresh.select(*needed)


def test_a_tie_goes_to_the_first_though_a_later_block_promised_more(
    any_backend: Backend,
) -> None:
    """The later block holds a fastest and a cleanest node, neither the best at both."""
    both = node("both", network_latency_ms=10.0, intensity_g_per_kwh=10.0)
    fastest = node("fastest", network_latency_ms=0.0, intensity_g_per_kwh=40.0)
    cleanest = node("cleanest", network_latency_ms=40.0, intensity_g_per_kwh=0.0)
    nodes = [*[both] * 16, both, fastest, cleanest]
    assert table(any_backend, nodes, Weights(0, 0, 1, 0, 1)).select(0.1, 1.0, None)[1] == 0


def test_filled_to_the_last_tenth_of_a_core(any_backend: Backend) -> None:
    full = table(any_backend, [node()])
    for _ in range(10):
        assert full.place(0.1, 10.0, None) is not None
    assert full.place(0.1, 10.0, None) is None
    assert refusals(full, 0.1, 10.0, None) == [3]
    assert full.free(0) == (0.0, 0.0)


def test_nothing_drifts(any_backend: Backend) -> None:
    one = table(any_backend, [node()])
    shuffle = random.Random(0)
    tickets: list[int] = []
    for _ in range(2000):
        if tickets and (shuffle.random() < 0.5 or refusals(one, 0.07, 0.3, None) != [0]):
            one.complete(tickets.pop(shuffle.randrange(len(tickets))), 10.0)
        else:
            tickets.append(one.place(0.07, 0.3, None)[11])
    for ticket in tickets:
        one.complete(ticket, 10.0)
    assert one.free(0) == (1.0, 100.0)
    assert value(one, 0, "running_tasks") == 0
    assert value(one, 0, "avg_time_ms") == 10.0


def test_completing_twice_or_the_unknown_changes_nothing(any_backend: Backend) -> None:
    one = table(any_backend, [node()])
    first, second = one.place(0.1, 1.0, None)[11], one.place(0.1, 1.0, None)[11]
    one.complete(first, 20.0)
    before = (one.free(0), value(one, 0, "avg_time_ms"), value(one, 0, "running_tasks"))
    for ticket in (first, 12345):
        with pytest.raises(ValueError, match="holds no reservation"):
            one.complete(ticket, 99.0)
    assert before == (one.free(0), value(one, 0, "avg_time_ms"), value(one, 0, "running_tasks"))
    # The slot is used again; the old name for it is still not.
    third = one.place(0.1, 1.0, None)[11]
    assert third not in (first, second)
    with pytest.raises(ValueError, match="holds no reservation"):
        one.complete(first, 99.0)


def test_a_ticket_of_another_table_is_unknown(any_backend: Backend) -> None:
    ours, theirs = table(any_backend, [node()]), table(any_backend, [node()])
    ticket = ours.place(0.1, 1.0, None)[11]
    theirs.place(0.1, 1.0, None)
    with pytest.raises(ValueError, match="holds no reservation"):
        theirs.complete(ticket, 1.0)
    ours.complete(ticket, 1.0)


def test_the_mean_time_follows_what_is_observed(any_backend: Backend) -> None:
    one = table(any_backend, [node(avg_time_ms=0.0)])
    one.complete(one.place(0.1, 1.0, None)[11], 100.0)
    assert value(one, 0, "avg_time_ms") == 100.0
    one.complete(one.place(0.1, 1.0, None)[11], 200.0)
    assert value(one, 0, "avg_time_ms") == pytest.approx(120.0)


def test_each_refusal_has_its_reason(any_backend: Backend) -> None:
    nodes = [
        node("loaded", load=0.9),
        node("far", network_latency_ms=50.0),
        node("small", cpu_cores=0.05),
        node("forgetful", memory_mb=1.0),
        node("slow", avg_time_ms=500.0),
        node("fine"),
    ]
    names = [n.name for n in nodes]
    constrained = any_backend.NodeTable(
        nodes, names, tuple(MODES["green"]), CONSTRAINED, 0.8, 20.0, 0.2
    )
    assert refusals(constrained, 0.1, 10.0, 100.0) == [1, 2, 3, 4, 5, 0]
    assert constrained.select(0.1, 10.0, 100.0)[0] == "fine"


@settings(max_examples=30)
@given(strategies.nodes(most=20), st.lists(strategies.tasks, max_size=20))
def test_many_at_once_are_as_many_one_by_one(nodes: list[Node], tasks: list[Task]) -> None:
    cpu = np.array([task.cpu_cores for task in tasks])
    memory = np.array([task.memory_mb for task in tasks])
    for backend in BACKENDS.values():
        one_by_one = table(backend, nodes)
        placed = [one_by_one.place(c, m, None) for c, m in zip(cpu, memory, strict=True)]
        expected = [-1 if p is None else p[1] for p in placed]
        assert table(backend, nodes).place_many(cpu, memory, False)[0].tolist() == expected
