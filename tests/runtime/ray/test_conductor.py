from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from carbonedge import CarbonEdgeError, Cluster, InfeasibleError, Link, Node, Plan, Stage
from carbonedge.planning import OperatorCosts
from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.deployment import Deployed, Deployment
from carbonedge.runtime.placement import Placement
from carbonedge.runtime.ray.conductor import Conductor
from carbonedge.runtime.ray.observed import Observed, View
from carbonedge.runtime.ray.stages import NodeLostError
from carbonedge.runtime.ray.worker import OutgrownError, TooLargeError

NODES = [
    Node(name, cpu_cores=1, memory_mb=100, power_w=5, intensity_g_per_kwh=100) for name in "abc"
]
CLUSTER = Cluster(NODES, [Link(*pair, bandwidth_mbps=1000) for pair in ("ab", "bc", "ac")])
COSTS = OperatorCosts("measured", np.ones((4, 3)), np.zeros(3), frozenset(range(5)))
QUICKLY = Adaptation(every_s=0.02)


def plan(nodes: str) -> Plan:
    """Two operators on each node."""
    stages = tuple(Stage(name, 2 * k, 2 * k + 2, 2, 1, 1, 50.0) for k, name in enumerate(nodes))
    return Plan(stages, (), 4, 2, 2, 1, True, 0.0, "latency", "macs")


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.005)


class Stages:
    def __init__(self, one: Plan) -> None:
        self.plan = one
        self.dropped = 0

    def drop(self) -> None:
        self.dropped += 1


class Scene:
    """A conductor with its nodes and plans in the hands of a test."""

    def __init__(self, kind: str = "partitioned", adaptation: Adaptation | None = None) -> None:
        self.deployment = Deployment(NODES, Placement(kind))
        self.observed = Observed(CLUSTER, COSTS, scaled=False)
        self.names = "abc"
        self.intensities = dict.fromkeys("abc", 100.0)
        self.made: list[Stages] = []
        self.troubles: list[Exception] = []
        self.wanted: Callable[[View], list[Plan]] = lambda view: [plan("ab")]
        self.better: list[Plan] = []
        self.asked: list[tuple[list[Plan], float]] = []
        self.conductor = Conductor(
            self.deployment,
            look=lambda: self.observed.view(self.names, self.intensities),
            plans=lambda view: self.wanted(view),
            move=self._move,
            put_up=self._put_up,
            lacks=self.observed.lacks,
            adaptation=adaptation,
        )

    @property
    def up(self) -> list[str]:
        return ["".join(one.nodes) for one in self.deployment.up]

    @property
    def held(self) -> list[str]:
        """Plans whose stages are on the workers."""
        return ["".join(s.node for s in one.plan.stages) for one in self.made if not one.dropped]

    def lose(self, *names: str) -> None:
        self.names = "".join(name for name in "abc" if name not in names)
        self.deployment.withdraw(dict.fromkeys(names, "it is cut off"))
        self.conductor.wake()

    def _move(self, plans: Sequence[Plan], view: View, per_s: float) -> list[Plan]:
        self.asked.append((list(plans), per_s))
        return self.better

    def _put_up(self, one: Plan) -> Deployed:
        if self.troubles:
            raise self.troubles.pop(0)
        self.made.append(Stages(one))
        return Deployed(one, self.made[-1], cast(Any, None))


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.conductor.close()
    scene.conductor.join()


@pytest.fixture
def adaptive() -> Iterator[Scene]:
    scene = Scene(adaptation=QUICKLY)
    yield scene
    scene.conductor.close()
    scene.conductor.join()


def without(names: str) -> Callable[[View], list[Plan]]:
    """The first two nodes there are."""
    return lambda view: [plan("".join(view.factors)[:2])]


def test_plans_are_up_when_it_has_started(scene: Scene) -> None:
    assert not scene.conductor.started
    scene.conductor.start()
    assert scene.conductor.started
    assert scene.up == ["ab"]


def test_nothing_starts_where_there_is_no_plan(scene: Scene) -> None:
    def none(view: View) -> list[Plan]:
        raise InfeasibleError("the nodes are too small")

    scene.wanted = none
    with pytest.raises(InfeasibleError, match="too small"):
        scene.conductor.start()


def test_a_plan_whose_worker_was_started_anew_while_another_was_made_is_made_again(
    scene: Scene,
) -> None:
    def lose_and_find(one: Plan) -> Deployed:
        if len(scene.made) == 1:
            scene.deployment.withdraw({"a": "its worker was started anew"})
            scene.deployment.withdraw({})
            scene.conductor.wake()
        return put_up(one)

    put_up, scene.conductor._put_up = scene._put_up, lose_and_find
    scene.wanted = lambda view: [plan("ab"), plan("bc")]
    scene.conductor.start()
    wait_for(lambda: sorted(scene.up) == ["ab", "bc"] == sorted(scene.held))
    assert [stages.dropped for stages in scene.made if stages.plan == plan("ab")] == [1, 0]


def test_a_plan_that_loses_a_node_is_replaced_and_returned_to(scene: Scene) -> None:
    scene.wanted = without("b")
    scene.conductor.start()
    scene.lose("b")
    wait_for(lambda: scene.up == ["ac"] == scene.held)
    scene.lose()
    wait_for(lambda: scene.up == ["ab"] == scene.held)
    assert all(one.dropped == 1 for one in scene.made[:2])


def test_a_node_that_no_plan_needs_may_go_and_come_without_ado(scene: Scene) -> None:
    scene.conductor.start()
    scene.wanted = lambda view: [plan("ba")]
    scene.lose("c")
    time.sleep(0.1)
    assert (scene.up, len(scene.made)) == (["ab"], 1)


def test_replicas_stay_while_others_go_and_come() -> None:
    scene = Scene("replicated")
    scene.wanted = lambda view: [plan(name) for name in view.factors]
    scene.conductor.start()
    try:
        first = scene.deployment.up
        scene.lose("b")
        wait_for(lambda: scene.up == ["a", "c"] == scene.held)
        scene.lose()
        wait_for(lambda: sorted(scene.up) == ["a", "b", "c"] == sorted(scene.held))
        assert {first[0], first[2]} < set(scene.deployment.up)
        assert len(scene.made) == 4
    finally:
        scene.conductor.close()
    scene.conductor.join()


def test_what_could_not_be_put_up_is_tried_again_though_other_plans_are_up() -> None:
    scene = Scene("replicated")
    scene.wanted = lambda view: [plan(name) for name in view.factors]
    scene.conductor.start()
    try:
        scene.lose("b")
        wait_for(lambda: scene.up == ["a", "c"])
        scene.troubles = [CarbonEdgeError("not now")]
        scene.lose()
        wait_for(lambda: sorted(scene.up) == ["a", "b", "c"])
        assert scene.troubles == []
    finally:
        scene.conductor.close()
    scene.conductor.join()


def test_what_was_left_is_dropped_when_it_has_answered_its_last_request(adaptive: Scene) -> None:
    adaptive.conductor.start()
    found = adaptive.deployment.take(adaptive.deployment.task(None), time.monotonic())
    assert found is not None
    adaptive.better = [plan("ca")]
    adaptive.intensities["a"] = 900.0
    wait_for(lambda: adaptive.up == ["ca"])
    time.sleep(0.1)
    assert sorted(adaptive.held) == ["ab", "ca"]
    adaptive.deployment.give_back(*found, 1.0)
    wait_for(lambda: adaptive.held == ["ca"])


def test_whether_a_move_pays_is_asked_only_where_figures_drift(adaptive: Scene) -> None:
    adaptive.conductor.start()
    adaptive.better = [plan("ca")]
    adaptive.intensities["a"] = 109.0
    time.sleep(0.15)
    assert adaptive.asked == []
    adaptive.better = []
    adaptive.intensities["a"] = 111.0
    wait_for(lambda: len(adaptive.asked) > 3)
    assert adaptive.up == ["ab"]  # a move does not pay: it stays
    assert {per_s for _, per_s in adaptive.asked} == {0.0}
    adaptive.better = [plan("ca")]
    wait_for(lambda: adaptive.up == ["ca"] == adaptive.held)
    count = len(adaptive.asked)
    time.sleep(0.15)
    assert len(adaptive.asked) == count  # what was decided on holds from then on


def test_requests_per_second_are_those_since_it_was_asked_last(adaptive: Scene) -> None:
    adaptive.conductor.start()
    adaptive.intensities["a"] = 900.0
    while not any(per_s > 0 for _, per_s in adaptive.asked):
        found = adaptive.deployment.take(adaptive.deployment.task(None), time.monotonic())
        assert found is not None
        adaptive.deployment.give_back(*found, 1.0)
        time.sleep(0.001)
    wait_for(lambda: adaptive.asked[-1][1] == 0.0)
    assert max(per_s for _, per_s in adaptive.asked) < 1e4


def test_without_adaptation_plans_change_only_with_the_nodes(scene: Scene) -> None:
    scene.conductor.start()
    scene.better = [plan("ca")]
    scene.intensities["a"] = 900.0
    time.sleep(0.1)
    assert (scene.asked, scene.up) == ([], ["ab"])


def test_a_plan_that_is_too_large_gives_way_to_one_that_fits(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.troubles = [TooLargeError("b", 50.0, 20.0)]
    scene.wanted = lambda view: [plan("ab" if view.holds(plan("ab")) else "ac")]
    scene.conductor.start()
    assert scene.up == ["ac"] == scene.held
    assert "node 'b' has 20 MB free and its stage takes 50 MB" in caplog.text


def test_a_stage_that_took_more_than_was_planned_goes_elsewhere_for_good(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.troubles = [OutgrownError("b", 50.0, 60.0)]
    scene.wanted = lambda view: [plan("ab" if view.holds(plan("ab")) else "ac")]
    scene.conductor.start()
    assert scene.up == ["ac"] == scene.held
    assert "node 'b' has 60 MB, and its stage, planned to take 50 MB, took more" in caplog.text
    nodes = {node.name: node for node in scene.conductor._look().cluster.nodes}
    assert nodes["b"].memory_mb < 50.0


def test_a_node_that_stages_outgrew_twice_gets_none(scene: Scene) -> None:
    """Whatever less the next one is planned to take."""
    scene.troubles = [OutgrownError("b", 50.0, 60.0), OutgrownError("b", 25.0, 60.0)]
    small = dataclasses.replace(plan("b"), stages=(Stage("b", 0, 4, 1, 1, 1, 1.0),))
    scene.wanted = lambda view: [plan("ab" if view.holds(small) else "ac")]
    scene.conductor.start()
    assert scene.up == ["ac"] == scene.held


def test_where_it_has_nowhere_to_go_it_is_tried_once(scene: Scene) -> None:
    def fits(view: View) -> list[Plan]:
        if not view.holds(plan("ab")):
            raise InfeasibleError("add memory or nodes")
        return [plan("ab")]

    scene.troubles = [OutgrownError("b", 50.0, 60.0)]
    scene.wanted = fits
    with pytest.raises(InfeasibleError, match=r"node 'b' has 60 MB.*; now add memory or nodes"):
        scene.conductor.start()
    assert scene.held == []


def test_when_nothing_fits_it_is_said_and_nothing_stays_behind(scene: Scene) -> None:
    scene.wanted = lambda view: [plan("ab"), plan("ac")]

    def first_fits(one: Plan) -> Deployed:
        if one.stages[1].node == "c":
            raise TooLargeError("c", 50.0, 20.0)
        scene.made.append(Stages(one))
        return Deployed(one, scene.made[-1], cast(Any, None))

    scene.conductor._put_up = first_fits
    with pytest.raises(InfeasibleError, match="no plan fits its nodes: node 'c' has 20 MB"):
        scene.conductor.start()
    assert scene.held == []


def test_what_is_left_for_several_plans_holds_what_some_of_them_took(scene: Scene) -> None:
    """Each plan takes 50 MB of its nodes: of b, where 20 MB are left, 70 MB may be taken."""
    scene.wanted = lambda view: [plan("ab"), plan("cb")] if view.holds(big) else [plan("ab")]
    big = dataclasses.replace(plan("b"), stages=(Stage("b", 0, 4, 1, 1, 1, 80.0),))
    put_up = scene.conductor._put_up

    def second_is_too_large(one: Plan) -> Deployed:
        if one == plan("cb"):
            raise TooLargeError("b", 50.0, 20.0)
        return put_up(one)

    scene.conductor._put_up = second_is_too_large
    scene.conductor.start()
    assert scene.up == ["ab"] == scene.held
    nodes = {node.name: node for node in scene.conductor._look().cluster.nodes}
    assert nodes["b"].memory_mb == pytest.approx(70.0, rel=1e-3)


def test_a_node_lost_at_the_start_is_gone_without(scene: Scene) -> None:
    scene.wanted = without("b")
    scene.troubles = [NodeLostError("b")]
    scene.lose("b")
    scene.conductor.start()
    assert scene.up == ["ac"]


def test_a_stage_that_is_lost_on_its_way_leaves_what_is_up_and_is_brought_again(
    adaptive: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    adaptive.conductor.start()
    adaptive.troubles = [NodeLostError("c")]
    adaptive.better = [plan("ca")]
    adaptive.intensities["a"] = 900.0
    wait_for(lambda: adaptive.up == ["ca"] == adaptive.held)
    assert "node c was lost while a stage was brought to it" in caplog.text


def test_a_move_that_does_not_fit_leaves_what_is_up(adaptive: Scene) -> None:
    adaptive.conductor.start()
    adaptive.troubles = [TooLargeError("c", 50.0, 20.0)]
    adaptive.better = [plan("ca")]
    adaptive.wanted = lambda view: [plan("bc")]
    adaptive.intensities["a"] = 900.0
    wait_for(lambda: not adaptive.troubles)
    assert adaptive.conductor.why_none.startswith("node 'c' has 20 MB free")
    wait_for(lambda: adaptive.up == ["ca"])  # the next time it does
    assert "bc" not in adaptive.held


def test_while_no_plan_is_possible_the_reason_is_at_hand_and_it_is_tried_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.conductor.start()

    def only_with_b(view: View) -> list[Plan]:
        if "b" not in view.factors:
            raise InfeasibleError("it takes b")
        return [plan("ab")]

    scene.wanted = only_with_b
    with caplog.at_level(logging.WARNING):
        scene.lose("b")
        wait_for(lambda: scene.conductor.why_none == "it takes b")
        scene.conductor.wake()
        time.sleep(0.1)
        assert scene.up == []
        assert [record.message for record in caplog.records] == ["it takes b"]
    scene.lose()
    wait_for(lambda: scene.up == ["ab"])


def test_what_goes_wrong_is_logged_and_ends_nothing(
    adaptive: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    adaptive.conductor.start()
    adaptive.troubles = [RuntimeError("out of luck"), CarbonEdgeError("not now")]
    adaptive.better = [plan("ca")]
    adaptive.intensities["a"] = 900.0
    wait_for(lambda: adaptive.up == ["ca"])
    assert "out of luck" in caplog.text
    assert "not now" in caplog.text


def test_a_conductor_that_is_closed_changes_nothing(scene: Scene) -> None:
    scene.conductor.start()
    scene.conductor.close()
    scene.conductor.join()
    scene.wanted = without("b")
    scene.lose("b")
    time.sleep(0.1)
    assert scene.up == []
