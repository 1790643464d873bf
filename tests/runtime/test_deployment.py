from __future__ import annotations

import collections
import dataclasses
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from carbonedge import InfeasibleError, Node, Plan, Stage
from carbonedge.carbon.emissions import stage_emissions_g, transfer_emissions_g
from carbonedge.planning import Transfer
from carbonedge.runtime import deployment as module
from carbonedge.runtime.deployment import Deployed, Deployment
from carbonedge.runtime.placement import Placement

NODES = {
    "quick": Node("quick", cpu_cores=4, memory_mb=1, power_w=40, intensity_g_per_kwh=600),
    "clean": Node(
        "clean",
        cpu_cores=1,
        memory_mb=1,
        power_w=10,
        intensity_g_per_kwh=100,
        pue=1.5,
        embodied_g_per_hour=0.02,
    ),
}


def whole(name: str, time_ms: float) -> Plan:
    node = NODES[name]
    energy_j = node.power_w * time_ms / 1e3
    grams = stage_emissions_g(node, energy_j, time_ms)
    stage = Stage(name, 0, 8, time_ms, energy_j, grams)
    return Plan((stage,), (), time_ms, energy_j, grams, 1e3 / time_ms, True, 0.0, "latency", "macs")


def parted() -> Plan:
    """4 ms on the quick node, 5 ms on the way and 12 ms on the clean one."""
    stages = (whole("quick", 4.0).stages[0], whole("clean", 12.0).stages[0])
    stages = (dataclasses.replace(stages[0], stop=4), dataclasses.replace(stages[1], start=4))
    sent_g = transfer_emissions_g(NODES["quick"], NODES["clean"], 0.004)
    way = Transfer("quick", "clean", ("t",), 0.002, 5.0, 0.004, sent_g)
    energy_j = sum(stage.energy_j for stage in stages) + way.energy_j
    grams = sum(stage.emissions_g for stage in stages) + sent_g
    return Plan(stages, (way,), 21.0, energy_j, grams, 1e3 / 12, True, 0.0, "latency", "macs")


def up(plan: Plan) -> Deployed:
    return Deployed(plan, SimpleNamespace(), cast(Any, None))


def deployment(placement: Placement, *plans: Plan) -> Deployment:
    made = Deployment(list(NODES.values()), placement)
    made.replace([up(plan) for plan in plans])
    return made


def two(**placement: Any) -> Deployment:
    return deployment(
        Placement("replicated", **placement), whole("quick", 8.0), whole("clean", 20.0)
    )


def taken(made: Deployment, slo_ms: float | None = None) -> Deployed:
    """The plan of a request that is answered in the time it is expected to take."""
    found = made.take(made.task(slo_ms), time.monotonic())
    assert found is not None
    made.give_back(*found, found[0].plan.latency_ms)
    return found[0]


@pytest.mark.parametrize(("mode", "name"), [("performance", "quick"), ("green", "clean")])
def test_the_mode_chooses(mode: str, name: str) -> None:
    assert [taken(two(mode=mode)).name for _ in range(3)] == [name] * 3


def test_a_latency_chooses_the_greenest_plan_within_it() -> None:
    made = deployment(
        Placement("auto", slo_ms=100.0), whole("quick", 8.0), parted(), whole("clean", 40.0)
    )
    assert taken(made).name == "clean"
    assert taken(made, 30.0).plan == parted()
    assert taken(made, 20.0).name == "quick"
    assert taken(made).name == "clean"
    soonest = r"no plan meets slo_ms=7 now: the soonest, quick, takes 8 ms"
    with pytest.raises(InfeasibleError, match=soonest):
        made.take(made.task(7.0), time.monotonic())
    made.replace([one for one in made.up if len(one.nodes) > 1])
    with pytest.raises(InfeasibleError, match=r"the soonest, \w+ -> \w+, takes 2\d"):
        made.take(made.task(7.0), time.monotonic())
    assert all(one.under_way == 0 for one in made.up)


@pytest.mark.parametrize(
    "placement",
    [
        Placement(),
        Placement(slo_ms=9.0),
        Placement("replicated"),
        Placement("auto", scoring="paper"),
    ],
)
def test_a_latency_that_would_choose_nothing_is_refused(placement: Placement) -> None:
    made = deployment(placement, whole("quick", 8.0))
    assert taken(made).name == "quick"
    with pytest.raises(ValueError, match="chooses among plans: open the session with"):
        made.task(5.0)


def test_the_latency_of_the_one_plan_is_no_matter_of_requests() -> None:
    made = deployment(Placement(slo_ms=9.0), whole("quick", 80.0))
    assert taken(made).name == "quick"


def test_a_plan_is_scheduled_for_what_it_is_predicted_to_cost() -> None:
    plan = parted()
    made = deployment(Placement("auto", scoring="constrained"), plan)
    found = made.take(made.task(None), time.monotonic())
    assert found is not None
    decision = found[1]
    assert decision is not None
    assert decision.node == plan.identity
    assert decision.latency_ms == pytest.approx(plan.latency_ms)
    assert decision.energy_j == pytest.approx(plan.energy_j)
    assert decision.emissions_g == pytest.approx(plan.emissions_g)
    after = made.take(made.task(None), time.monotonic())
    assert after is not None
    assert after[1] is not None
    # While the first is in one stage, the second may be in the other.
    assert after[1].latency_ms == pytest.approx(1.5 * plan.latency_ms)


def test_the_way_to_a_plan_counts_and_intensities_of_all_its_nodes_do() -> None:
    made = deployment(Placement("auto", scoring="constrained"), parted())
    made.observe(
        dataclasses.replace(NODES["quick"], network_latency_ms=7.0, intensity_g_per_kwh=0.0)
    )
    found = made.take(made.task(None), time.monotonic())
    assert found is not None
    assert found[1] is not None
    assert found[1].latency_ms == pytest.approx(parted().latency_ms + 7.0)
    clean_g = parted().stages[1].emissions_g
    between_g = 0.004 * 100 / 2 / 3.6e6
    assert found[1].emissions_g == pytest.approx(clean_g + between_g)


def test_a_grid_that_turns_dirty_is_left_and_returned_to() -> None:
    made = two(mode="green", scoring="constrained")
    assert taken(made).name == "clean"
    made.observe(dataclasses.replace(NODES["clean"], intensity_g_per_kwh=5000.0))
    assert taken(made).name == "quick"
    made.observe(NODES["clean"])
    assert taken(made).name == "clean"


def test_load_makes_a_node_less_wanted_and_refuses_nothing() -> None:
    nodes = [dataclasses.replace(NODES["quick"], name=name) for name in ("one", "two")]
    made = Deployment(nodes, Placement("replicated", mode="performance"))
    plans = [whole("quick", 8.0)] * 2
    made.replace(
        [
            up(
                dataclasses.replace(
                    plan, stages=(dataclasses.replace(plan.stages[0], node=n.name),)
                )
            )
            for plan, n in zip(plans, nodes, strict=True)
        ]
    )
    assert taken(made).name == "one"
    made.observe(dataclasses.replace(nodes[0], load=1.0))
    assert taken(made).name == "two"
    made.observe(dataclasses.replace(nodes[1], load=1.0))
    assert taken(made).name == "one"


def test_what_is_observed_while_a_plan_is_not_up_holds_when_it_is() -> None:
    made = two(mode="green", scoring="constrained")
    [_, clean] = made.up
    made.replace(made.up[:1])
    made.observe(dataclasses.replace(NODES["clean"], intensity_g_per_kwh=5000.0))
    made.replace([*made.up, clean])
    assert taken(made).name == "quick"


def test_requests_under_way_spread_over_the_nodes() -> None:
    made = two(mode="performance", scoring="constrained", slo_ms=25.0)
    names = []
    for _ in range(4):
        found = made.take(made.task(None), time.monotonic())
        assert found is not None
        names.append(found[0].name)
        if len(names) == 3:
            break
    assert sorted(names) == ["clean", "quick", "quick"]  # a third would take 24 ms, a fourth 32
    made.take(made.task(None), time.monotonic())
    with pytest.raises(InfeasibleError):
        made.take(made.task(None), time.monotonic())


def test_a_plan_that_turns_out_slow_is_taken_less() -> None:
    made = two(scoring="constrained", slo_ms=30.0)
    found = made.take(made.task(None), time.monotonic())
    assert found is not None
    assert found[0].name == "clean"
    made.give_back(*found, 200.0)
    assert taken(made).name == "quick"


def test_a_plan_that_was_slow_is_tried_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused for being slow, it would never show that it is no longer."""
    made = two(scoring="constrained", slo_ms=30.0)
    for name in ("clean", "quick"):
        found = made.take(made.task(25.0), time.monotonic())
        assert found is not None
        assert found[0].name == name
        made.give_back(*found, 1e4)
    with pytest.raises(InfeasibleError):
        made.take(made.task(25.0), time.monotonic())
    monkeypatch.setattr(module, "FORGET_S", 0.0)
    time.sleep(0.01)
    assert taken(made, 25.0).name == "clean"


def test_a_request_that_is_not_answered_teaches_nothing() -> None:
    made = two(scoring="constrained", slo_ms=25.0)
    for _ in range(20):
        found = made.take(made.task(None), time.monotonic())
        assert found is not None
        assert found[0].name == "clean"
        made.observe(dataclasses.replace(NODES["clean"], network_latency_ms=4.0))
        made.give_back(*found)
    assert made.answered == 0
    assert taken(made, 24.5).name == "clean"


def test_the_first_plan_takes_all_where_nothing_chooses() -> None:
    made = deployment(Placement(), parted())
    found = made.take(made.task(None), time.monotonic())
    assert found is not None
    deployed, decision = found
    assert (deployed.plan, decision, deployed.under_way) == (parted(), None, 1)
    made.observe(NODES["quick"])
    made.give_back(deployed, decision, 1.0)
    assert (deployed.under_way, made.answered) == (0, 1)


def test_a_plan_that_is_left_finishes_what_it_took() -> None:
    made = two(mode="green")
    found = made.take(made.task(None), time.monotonic())
    assert found is not None
    deployed, decision = found
    new = up(parted())
    made.replace([made.up[0], new])
    assert made.up[1] is new
    assert made.finished() == []
    assert deployed.lost is None
    made.give_back(deployed, decision, 20.0)
    assert made.finished() == [deployed]
    assert made.finished() == []


def test_a_decision_is_completed_though_plans_changed_meanwhile() -> None:
    """The plan that took the request stays up, and what it has under way is still known."""
    made = two(scoring="constrained", slo_ms=45.0)
    found = [made.take(made.task(None), time.monotonic()) for _ in range(2)]
    assert [one[0].name for one in found if one] == ["clean", "clean"]
    made.replace([made.up[1], up(parted())])
    third = made.take(made.task(40.0), time.monotonic())
    assert third is not None
    assert third[0].plan == parted()  # on the clean node two requests are before it
    for one in (*found, third):
        assert one is not None
        made.give_back(*one, one[0].plan.latency_ms)
    assert taken(made).name == "clean"
    assert [one.under_way for one in made.up] == [0, 0]


def test_a_plan_of_which_a_node_is_down_takes_no_more_and_says_why() -> None:
    made = deployment(Placement("auto"), whole("quick", 8.0), parted())
    for _ in range(2):
        made.take(made.task(None), time.monotonic())
    quick, both = made.up
    made.withdraw({"clean": "it is cut off", "elsewhere": "it is another's"})
    assert made.up == (quick,)
    assert (quick.lost, both.lost) == (None, "it is cut off")
    assert made.finished() == [both]  # at once: nobody waits for its answers
    assert {taken(made).name for _ in range(4)} == {"quick"}


def test_a_node_that_goes_down_is_lost_to_plans_that_were_left_too() -> None:
    """Their requests would else wait for it until they time out."""
    made = deployment(Placement(), parted())
    found = made.take(made.task(None), time.monotonic())
    assert found is not None
    made.replace([up(whole("quick", 8.0))])
    made.withdraw({"clean": "it is cut off"})
    assert found[0].lost == "it is cut off"
    made.give_back(*found)
    assert taken(made).name == "quick"


def test_a_plan_whose_node_went_down_while_it_was_made_is_not_put_up() -> None:
    made = deployment(Placement(), whole("quick", 8.0))
    made.withdraw({"clean": "it is cut off"})
    late = up(parted())
    made.replace([late])
    assert made.up == ()
    assert late.lost == "it is cut off"
    assert late in made.finished()
    made.withdraw({})
    made.replace([late])  # what it held may be gone: it is not used again
    assert made.up == ()
    made.replace([up(parted())])
    assert taken(made).plan == parted()


def test_a_plan_whose_node_went_down_and_came_back_while_it_was_made_is_not_put_up() -> None:
    """Its worker was started anew, without stages."""
    made = deployment(Placement(), whole("quick", 8.0))
    made.withdraw({"clean": "it was cut off before"})
    made.withdraw({})
    since = made.losses
    made.replace([kept := up(whole("quick", 8.0))], since)
    made.withdraw({"clean": "its worker was started anew"})
    made.withdraw({})
    made.replace([kept, late := up(parted())], since)
    assert made.up == (kept,)
    assert late.lost == "its worker was started anew"
    assert late in made.finished()
    made.replace([kept, new := up(parted())], made.losses)
    assert made.up == (kept, new)


@pytest.mark.parametrize("kind", ["partitioned", "replicated"])
def test_a_request_waits_for_a_plan_and_gives_up_in_time(kind: str) -> None:
    made = deployment(Placement(kind), whole("quick", 8.0))
    made.withdraw({"quick": "it is cut off"})
    began = time.monotonic()
    assert made.take(made.task(None), began + 0.1) is None
    assert time.monotonic() - began >= 0.1
    found: list[Any] = []
    waiting = threading.Thread(
        target=lambda: found.append(made.take(made.task(None), time.monotonic() + 30))
    )
    waiting.start()
    made.withdraw({})
    new = up(whole("quick", 8.0))
    made.replace([new])
    waiting.join()
    assert found[0][0] is new


def test_whoever_waits_for_a_change_is_told() -> None:
    made = deployment(Placement(), whole("quick", 8.0))
    waiting = threading.Thread(target=made.wait, args=(30.0,))
    waiting.start()
    while waiting.is_alive():
        made.replace([up(whole("quick", 8.0))])
        waiting.join(0.01)


@pytest.mark.parametrize("kind", ["partitioned", "replicated"])
def test_counts_hold_under_threads_while_plans_change(kind: str) -> None:
    made = deployment(Placement(kind), whole("quick", 8.0), whole("clean", 20.0))
    everyone = list(made.up)
    taken_by: collections.Counter[int] = collections.Counter()
    lock = threading.Lock()

    def ask() -> None:
        for number in range(300):
            found = made.take(made.task(None), time.monotonic() + 30)
            assert found is not None
            with lock:
                taken_by[id(found[0])] += 1
            made.give_back(*found, None if number % 10 == 0 else 1.0)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    gone: list[Deployed] = []
    while any(thread.is_alive() for thread in threads):
        new = [up(whole("quick", 8.0)), up(whole("clean", 20.0))]
        everyone += new
        made.replace(new)
        gone += made.finished()
        made.withdraw({"clean": "for a moment"})
        made.withdraw({})
        time.sleep(0.001)
    made.replace([])
    gone += made.finished()
    assert made.answered == 4 * 270
    assert taken_by.total() == 4 * 300
    assert all(one.under_way == 0 for one in everyone)
    assert len(gone) == len({id(one) for one in gone}) == len(everyone)
