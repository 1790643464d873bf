from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st

from carbonedge import (
    MODES,
    Cluster,
    InfeasibleError,
    IntensityUnavailableError,
    Node,
    Scheduler,
    Task,
    Weights,
    schedule,
)
from carbonedge.scheduling.scheduler import UPDATABLE

TABLE_V = {"performance": "node-high", "balanced": "node-high", "green": "node-green"}


@pytest.mark.parametrize(("mode", "expected"), TABLE_V.items())
def test_the_papers_choices_one_task_after_another(
    mode: str, expected: str, paper_nodes: list[Node]
) -> None:
    scheduler = Scheduler(paper_nodes, mode=mode, scoring="paper")
    times = {node.name: node.avg_time_ms for node in paper_nodes}
    for _ in range(50):
        decision = scheduler.schedule(Task())
        assert decision.node == expected
        scheduler.complete(decision, times[decision.node])


def test_the_papers_published_ranges(paper_nodes: list[Node]) -> None:
    components = [schedule(Task(), [node], scoring="paper").components for node in paper_nodes]
    for component, spread in (("performance", 0.166), ("carbon", 0.054)):
        values = [each[component] for each in components]
        assert max(values) - min(values) == pytest.approx(spread, abs=5e-4)


def test_a_decision_by_hand(paper_nodes: list[Node]) -> None:
    decision = schedule(Task(), paper_nodes, mode="green", scoring="paper")
    assert (decision.node, decision.index) == ("node-green", 2)
    assert decision.latency_ms == 585
    assert decision.energy_j == pytest.approx(1.42 * 0.585)
    assert decision.emissions_g == pytest.approx(1.42 * 0.585 * 380 / 3.6e6)
    milligrams = 380 * 1.42 * 585 / 3.6e6
    assert decision.components == pytest.approx(
        {
            "resource": 1.0,
            "load": 1.0,
            "performance": 1 / 1.585,
            "balance": 1.0,
            "carbon": 1 / (1 + milligrams),
        }
    )
    assert decision.score == pytest.approx(
        sum(w * c for w, c in zip(MODES["green"], decision.components.values(), strict=True))
    )


@given(strategies.nodes(), strategies.weights, st.floats(1, 100))
def test_more_weight_on_carbon_never_raises_emissions(
    nodes: list[Node], weights: Weights, factor: float
) -> None:
    heavier = replace(weights, carbon=weights.carbon * factor + 0.01)
    try:
        before = schedule(Task(), nodes, mode=weights)
    except InfeasibleError:
        return
    after = schedule(Task(), nodes, mode=heavier)
    assert after.emissions_g <= before.emissions_g * (1 + 1e-9)


@given(
    strategies.nodes(embodied=False),
    strategies.weights,
    st.sampled_from(["power_w", "intensity_g_per_kwh"]),
    st.sampled_from([0.25, 2.0, 1024.0]),
)
def test_only_proportions_of_power_and_intensity_matter(
    nodes: list[Node], weights: Weights, field: str, factor: float
) -> None:
    assume(all(n.known_intensity() == 0 or n.known_intensity() > 1e-100 for n in nodes))
    assume(all(n.avg_time_ms == 0 or n.avg_time_ms > 1e-100 for n in nodes))
    scaled = [replace(node, **{field: getattr(node, field) * factor}) for node in nodes]
    try:
        before = schedule(Task(), nodes, mode=weights)
    except InfeasibleError:
        return
    assert schedule(Task(), scaled, mode=weights).node == before.node


def test_constrained_takes_the_cleanest_in_time(paper_nodes: list[Node]) -> None:
    chosen = {
        slo_ms: schedule(Task(slo_ms=slo_ms), paper_nodes, scoring="constrained").node
        for slo_ms in (300, 500, 600)
    }
    assert chosen == {300: "node-high", 500: "node-medium", 600: "node-green"}
    with pytest.raises(
        InfeasibleError, match=r"node-high: its predicted latency 254.85 ms is above slo_ms 200"
    ):
        schedule(Task(slo_ms=200), paper_nodes, scoring="constrained")


def test_reservations_are_felt_and_given_back(paper_nodes: list[Node]) -> None:
    scheduler = Scheduler(paper_nodes, mode="green")
    task = Task(cpu_cores=0.4)
    decisions = [scheduler.schedule(task) for _ in range(4)]
    assert sorted(d.node for d in decisions).count("node-green") == 1
    with pytest.raises(InfeasibleError, match=r"node-green: it has 0 of 0.4 CPU cores free"):
        scheduler.schedule(task)
    scheduler.complete(decisions[0], 500.0)
    assert scheduler.schedule(task).node == decisions[0].node


def test_infeasible_says_why_for_each_node(paper_nodes: list[Node]) -> None:
    nodes = [replace(paper_nodes[0], load=0.9), *paper_nodes[1:]]
    with pytest.raises(InfeasibleError) as error:
        schedule(Task(cpu_cores=0.5, memory_mb=600), nodes)
    message = str(error.value)
    assert "node-high: its load 0.9 is above max_load 0.8" in message
    assert "node-medium: it has 512 of 512 MB free and the task needs 600" in message
    assert "node-green: it has 0.4 of 0.4 CPU cores free and the task needs 0.5" in message


def test_infeasible_stays_short_among_many(paper_nodes: list[Node]) -> None:
    many = [replace(paper_nodes[0], name=f"n{i}") for i in range(1000)]
    with pytest.raises(InfeasibleError, match="and 992 more"):
        schedule(Task(memory_mb=1e6), many)


def test_distance_bars_a_node(paper_nodes: list[Node]) -> None:
    far = replace(paper_nodes[2], network_latency_ms=30)
    nodes = [*paper_nodes[:2], far]
    assert schedule(Task(), nodes, mode="green").node == "node-green"
    near_only = schedule(Task(), nodes, mode="green", max_network_latency_ms=20)
    assert near_only.node != "node-green"


def test_updates_change_the_choice(paper_nodes: list[Node]) -> None:
    scheduler = Scheduler(Cluster(paper_nodes), mode="green")
    assert scheduler.schedule(Task()).node == "node-green"
    scheduler.update("node-green", intensity_g_per_kwh=2000.0)
    assert scheduler.schedule(Task()).node != "node-green"
    scheduler.update("node-high", load=0.95)
    scheduler.update("node-medium", load=0.95)
    assert scheduler.schedule(Task()).node == "node-green"


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("nowhere", {"load": 0.1}, "no node 'nowhere': known are node-high"),
        ("node-high", {"load": 0.1, "colour": 3}, "'colour' cannot be updated: give any of load"),
        ("node-high", {"intensity_g_per_kwh": -1}, "intensity_g_per_kwh of node 'node-high' is -1"),
        ("node-high", {"load": 0.5, "power_w": math.nan}, "power_w of node 'node-high' is nan"),
        ("node-high", {"load": 1.5}, "must lie between 0 and 1"),
    ],
)
def test_a_wrong_update_changes_nothing(
    name: str, state: dict[str, Any], message: str, paper_nodes: list[Node]
) -> None:
    scheduler, untouched = (Scheduler(paper_nodes) for _ in range(2))
    with pytest.raises(ValueError, match=message):
        scheduler.update(name, **state)
    assert scheduler.schedule(Task())[:-1] == untouched.schedule(Task())[:-1]


@pytest.mark.parametrize("elapsed_ms", [-1.0, math.nan, math.inf])
def test_a_wrong_time_completes_nothing(elapsed_ms: float, paper_nodes: list[Node]) -> None:
    scheduler = Scheduler(paper_nodes)
    decision = scheduler.schedule(Task())
    with pytest.raises(ValueError, match="elapsed_ms"):
        scheduler.complete(decision, elapsed_ms)
    scheduler.complete(decision, 1.0)


def test_a_decision_without_a_reservation_completes_none(paper_nodes: list[Node]) -> None:
    scheduler = Scheduler(paper_nodes)
    reserved = scheduler.schedule(Task())
    with pytest.raises(ValueError, match="holds no reservation here"):
        scheduler.complete(schedule(Task(), paper_nodes), 1.0)
    scheduler.complete(reserved, 1.0)


def test_an_unknown_intensity_is_no_zero(paper_nodes: list[Node]) -> None:
    nodes = [replace(paper_nodes[0], intensity_g_per_kwh=None)]
    with pytest.raises(IntensityUnavailableError, match="'node-high' has no carbon intensity"):
        schedule(Task(), nodes)
    with pytest.raises(IntensityUnavailableError):
        Scheduler(nodes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "eco"}, "performance, balanced, green"),
        ({"scoring": "best"}, "paper, normalized, constrained"),
        ({"max_load": 1.5}, "max_load is 1.5"),
        ({"max_network_latency_ms": 0}, "max_network_latency_ms is 0"),
        ({"smoothing": 0}, "smoothing is 0"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], message: str, paper_nodes: list[Node]
) -> None:
    with pytest.raises(ValueError, match=message):
        Scheduler(paper_nodes, **arguments)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_load": math.nan}, "max_load is nan"),
        ({"max_network_latency_ms": -1}, "max_network_latency_ms is -1"),
    ],
)
def test_a_single_decision_checks_its_limits_too(
    limit: dict[str, float], message: str, paper_nodes: list[Node]
) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(Task(), paper_nodes, **limit)  # type: ignore[arg-type]


def test_nodes_are_needed_and_their_names_differ(paper_nodes: list[Node]) -> None:
    with pytest.raises(ValueError, match="no nodes"):
        schedule(Task(), [])
    with pytest.raises(ValueError, match="no nodes"):
        Scheduler([])
    with pytest.raises(ValueError, match="two nodes are named 'node-high'"):
        Scheduler([paper_nodes[0], paper_nodes[0]])


def test_many_tasks_are_placed_as_one_by_one(paper_nodes: list[Node]) -> None:
    count = 30
    many = Scheduler(paper_nodes, mode="green").schedule_many(
        np.full(count, 0.1), np.full(count, 10.0)
    )
    one_by_one = Scheduler(paper_nodes, mode="green")
    expected = []
    for _ in range(count):
        try:
            expected.append(one_by_one.schedule(Task(memory_mb=10.0)).index)
        except InfeasibleError:
            expected.append(-1)
    assert many.dtype == np.int64
    assert many.tolist() == expected
    assert -1 in expected


@pytest.mark.parametrize(
    ("cpu", "memory", "message"),
    [
        ([0.1], [1, 2], "one length"),
        ([[0.1]], [[1]], "one-dimensional"),
        ([0.1, math.nan], [1, 1], r"cpu_cores\[1\] is nan"),
        ([0.1], [-1], r"memory_mb\[0\] is -1"),
        ([1e300], [1], r"cpu_cores\[0\] is 1e\+300"),
    ],
)
def test_wrong_arrays_place_nothing(
    cpu: Any, memory: Any, message: str, paper_nodes: list[Node]
) -> None:
    with pytest.raises(ValueError, match=message):
        Scheduler(paper_nodes).schedule_many(cpu, memory)


def one(name: str, **changes: Any) -> Node:
    fine: dict[str, Any] = {"cpu_cores": 1, "memory_mb": 100, "power_w": 5, "avg_time_ms": 10}
    return Node(name, **{**fine, "intensity_g_per_kwh": 100.0, **changes})


def unnamed(count: int) -> Scheduler:
    columns = {"memory_mb": 100, "power_w": 5, "intensity_g_per_kwh": 100, "avg_time_ms": 10}
    return Scheduler({"cpu_cores": np.ones(count), **columns}, mode="green")


@pytest.mark.usefixtures("each_backend")
def test_nodes_come_and_go_and_keep_their_positions() -> None:
    scheduler = Scheduler([one("a"), one("b", power_w=4), one("c", power_w=3)], mode="green")
    running = scheduler.schedule(Task())
    assert (running.node, running.index) == ("c", 2)
    scheduler.remove("c")
    assert scheduler.schedule(Task())[:2] == ("b", 1)
    assert scheduler.add(one("d", power_w=2)) == 3
    assert scheduler.add(one("c", power_w=1)) == 4
    assert scheduler.schedule(Task())[:2] == ("c", 4)
    assert len(scheduler) == 5
    before = scheduler.snapshot()["columns"]
    scheduler.complete(running, 1e6)
    assert scheduler.snapshot()["columns"] == before
    with pytest.raises(ValueError, match="holds no reservation here"):
        scheduler.complete(running, 1e6)
    assert [own.index for own in scheduler.explain(Task())] == [0, 1, 3, 4]


@pytest.mark.usefixtures("each_backend")
def test_a_removed_node_is_unknown_and_stays_as_it_was() -> None:
    named, by_position = Scheduler([one("0"), one("1"), one("2")]), unnamed(3)
    for scheduler, known in ((named, "known are 0, 2"), (by_position, "named '0' to '2'")):
        scheduler.remove("1")
        before = scheduler.snapshot()
        for ask in (
            lambda s=scheduler: s.update("1", load=0.5),
            lambda s=scheduler: s.update("1"),
            lambda s=scheduler: s.remove("1"),
        ):
            with pytest.raises(ValueError, match=f"there is no node '1': (nodes are )?{known}"):
                ask()
        assert scheduler.snapshot() == before


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize(
    "name", ["3", "-1", "1.0", "", "one", " 1", "9" * 19, "9" * 25, "9" * 5000]
)
def test_no_such_position_is_an_error(name: str) -> None:
    scheduler = unnamed(3)
    before = scheduler.snapshot()
    for ask in (
        lambda: scheduler.update(name, load=0.5),
        lambda: scheduler.update(name),
        lambda: scheduler.remove(name),
    ):
        with pytest.raises(ValueError, match=f"there is no node '{name}': nodes are named '0'"):
            ask()
    assert scheduler.snapshot() == before


@pytest.mark.usefixtures("each_backend")
def test_nodes_of_arrays_are_named_by_position() -> None:
    scheduler = unnamed(12)
    scheduler.update("11", power_w=1.0)
    assert scheduler.schedule(Task())[:2] == ("11", 11)
    scheduler.remove("11")
    assert scheduler.schedule(Task()).node == "0"
    with pytest.raises(ValueError, match="are named by position, not 'new': give that column"):
        scheduler.add(one("new"))
    assert len(scheduler) == 12


@pytest.mark.usefixtures("each_backend")
def test_a_node_that_cannot_be_added_changes_nothing() -> None:
    scheduler = Scheduler([one("a")])
    before = scheduler.snapshot()
    with pytest.raises(ValueError, match="there is a node 'a' already: names must differ"):
        scheduler.add(one("a"))
    with pytest.raises(IntensityUnavailableError, match="'b' has no carbon intensity"):
        scheduler.add(one("b", intensity_g_per_kwh=None))
    assert scheduler.snapshot() == before
    assert scheduler.add(one("b")) == 1


@pytest.mark.usefixtures("each_backend")
def test_a_scheduler_can_lose_all_its_nodes() -> None:
    scheduler = Scheduler([one("a")])
    scheduler.remove("a")
    with pytest.raises(InfeasibleError, match="a: it was removed"):
        scheduler.schedule(Task())
    assert scheduler.schedule_many([0.1], [1.0]).tolist() == [-1]
    assert scheduler.explain(Task()) == []
    assert Scheduler.restore(scheduler.snapshot()).add(one("a")) == 1


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        *((field, wrong, ValueError) for field in UPDATABLE for wrong in (math.nan, -1.0, 1e300)),
        *((field, math.inf, ValueError) for field in UPDATABLE),
        *((field, wrong, TypeError) for field in UPDATABLE for wrong in ("1", None, True, 1j, [1])),
        ("power_w", 0.0, ValueError),
        ("pue", 0.5, ValueError),
        ("running_tasks", 1, ValueError),
        ("parallelism", 0, ValueError),
        ("cpu_cores", 2, ValueError),
    ],
)
def test_no_number_of_an_update_is_set_where_one_is_wrong(
    field: str, value: Any, error: type[Exception]
) -> None:
    scheduler = Scheduler([one("a"), one("b")])
    before = scheduler.snapshot()
    first = {"load": 0.5, "pue": 1.5}
    with pytest.raises(error, match=rf"{field} of node 'a' is |'{field}' cannot be updated"):
        scheduler.update("a", **{**first, field: value})
    assert scheduler.snapshot() == before


@pytest.mark.usefixtures("each_backend")
def test_tickets_complete_what_many_at_once_began() -> None:
    scheduler = Scheduler([one("a"), one("b", cpu_cores=0.5)], mode="green")
    before = scheduler.snapshot()["columns"]
    chosen, tickets = scheduler.schedule_many([0.5, 0.5, 0.5, 0.5], [1.0] * 4, tickets=True)
    assert (chosen.dtype, tickets.dtype) == (np.int64, np.uint64)
    assert sorted(chosen.tolist()) == [-1, 0, 0, 1]
    assert tickets[chosen < 0].tolist() == [0]
    assert len(set(tickets.tolist())) == 4
    # A ticket is NumPy's number or Python's.
    for ticket in (tickets[0], int(tickets[1]), tickets[2]):
        scheduler.complete(ticket, 10.0)
        with pytest.raises(ValueError, match="holds no reservation here"):
            scheduler.complete(ticket, 10.0)
    assert scheduler.snapshot()["columns"] == before
    assert scheduler.snapshot()["reservations"] == []


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("wrong", [0, -1, 1, 2**32, 2**64, 2**70, np.uint64(2**64 - 1)])
def test_an_unknown_ticket_completes_nothing(wrong: Any) -> None:
    scheduler = Scheduler([one("a")])
    decision = scheduler.schedule(Task())
    with pytest.raises(ValueError, match="this decision holds no reservation here"):
        scheduler.complete(wrong, 1.0)
    scheduler.complete(decision, 1.0)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("kind", [float, str, bool, lambda ticket: None, lambda ticket: (ticket,)])
def test_a_ticket_is_a_whole_number(kind: Any) -> None:
    """As a float it would have lost the digits that tell it from others."""
    scheduler = Scheduler([one("a")])
    decision = scheduler.schedule(Task())
    with pytest.raises(TypeError, match=r"the ticket is .*: give a whole number"):
        scheduler.complete(kind(decision.ticket), 1.0)
    scheduler.complete(decision, 1.0)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize(
    "shaped",
    [
        lambda needs: np.array(needs)[::-1].copy()[::-1],
        lambda needs: np.repeat(needs, 3)[::3],
        lambda needs: np.array(needs, dtype=np.float32),
        lambda needs: np.array(needs, dtype=">f8"),
        tuple,
    ],
)
def test_needs_of_many_come_in_any_layout(shaped: Any) -> None:
    needs = [0.5, 0.25, 0.75, 0.125]
    nodes = [one("a"), one("b", power_w=3)]
    expected = Scheduler(nodes).schedule_many(needs, needs).tolist()
    given = shaped(needs)
    if isinstance(given, np.ndarray):
        given.flags.writeable = False
    assert Scheduler(nodes).schedule_many(given, given).tolist() == expected
    assert Scheduler(nodes).schedule_many([], []).tolist() == []


@pytest.mark.parametrize(
    "wrong",
    [["0.1"], [True], [0.1j], [None], np.array([0.1], dtype=object), [10**400]],
)
def test_needs_of_many_are_real_numbers(wrong: Any) -> None:
    scheduler = Scheduler([one("a")])
    for cpu, memory in ((wrong, [1.0]), ([1.0], wrong)):
        with pytest.raises(TypeError, match=r"holds \S+: give real numbers"):
            scheduler.schedule_many(cpu, memory)
    with pytest.raises(ValueError, match=r"has shape \(\) .* give two one-dimensional arrays"):
        scheduler.schedule_many(0.1, 1.0)


def test_all_nodes_are_updated_in_one_call(each_backend: str, paper_nodes: list[Node]) -> None:
    scheduler = Scheduler(paper_nodes, mode="green")
    scheduler.update_many(intensity_g_per_kwh=[100, 900, 900], load=0.5)
    assert scheduler.schedule(Task()).node == "node-high"
    columns = scheduler.snapshot()["columns"]
    assert columns["intensity_g_per_kwh"] == [100.0, 900.0, 900.0]
    assert columns["load"] == [0.5, 0.5, 0.5]
    assert columns["power_w"] == [node.power_w for node in paper_nodes]


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        ({"speed": 1.0}, ValueError, "'speed' cannot be updated: give any of load"),
        ({"load": [0.1, 0.2]}, ValueError, r"load has shape \(2,\) and there are 3 nodes"),
        ({"load": [[0.1, 0.2, 0.3]]}, ValueError, r"load has shape \(1, 3\)"),
        ({"load": [0.1, 0.2, 1.5]}, ValueError, r"load\[2\] is 1.5: it must lie between"),
        ({"power_w": [1.0, 0.0, 1.0]}, ValueError, r"power_w\[1\] is 0"),
        ({"pue": [1.0, math.nan, 1.0]}, ValueError, r"pue\[1\] is nan"),
        ({"load": ["a", "b", "c"]}, TypeError, "load holds <U1: give real numbers"),
    ],
)
def test_a_wrong_number_among_many_changes_none(
    each_backend: str,
    paper_nodes: list[Node],
    state: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    scheduler = Scheduler(paper_nodes)
    before = scheduler.snapshot()
    with pytest.raises(kind, match=message):
        scheduler.update_many(**({"intensity_g_per_kwh": 1.0} | state))
    assert scheduler.snapshot() == before


def test_a_task_that_something_else_placed_counts_like_others(
    each_backend: str, paper_nodes: list[Node]
) -> None:
    scheduler = Scheduler(paper_nodes, mode="green", scoring="paper")
    before = scheduler.snapshot()
    tickets = [scheduler.reserve("node-green", Task(cpu_cores=0.3)) for _ in range(2)]
    columns = scheduler.snapshot()["columns"]
    assert columns["running_tasks"] == [0, 0, 2]
    assert scheduler.explain(Task())[2].refusal is not None
    assert scheduler.schedule(Task()).node != "node-green"
    for ticket in tickets:
        scheduler.complete(ticket, None)
    after = scheduler.snapshot()
    assert after["columns"]["avg_time_ms"] == before["columns"]["avg_time_ms"]
    assert scheduler.schedule(Task()).node == "node-green"
    with pytest.raises(ValueError, match="holds no reservation"):
        scheduler.complete(tickets[0], None)
    with pytest.raises(ValueError, match="there is no node 'node-blue': known are node-high"):
        scheduler.reserve("node-blue", Task())
