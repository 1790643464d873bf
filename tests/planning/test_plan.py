from __future__ import annotations

import copy
import json
from typing import Any

import models
import pytest

from carbonedge import Cluster, Plan, pareto, partition
from carbonedge.planning.plan import Stage, Transfer


def made(*stages: tuple[str, int, int], hops: tuple[tuple[str, str], ...] = ()) -> Plan:
    return Plan(
        tuple(Stage(node, start, stop, 1.0, 1.0, 1.0) for node, start, stop in stages),
        tuple(Transfer(source, target, ("x",), 1.0, 1.0, 1.0, 1.0) for source, target in hops),
        latency_ms=1.0,
        energy_j=1.0,
        emissions_g=1.0,
        throughput_rps=1.0,
        optimal=True,
        gap=0.0,
        objective="latency",
        costs="macs",
    )


HOSTILE = json.loads(made(("a", 0, 2), ("b", 2, 3), hops=(("a", "b"),)).to_json())


def hostile(*path: str | int, value: Any) -> str:
    """A plan with one value changed."""
    document = copy.deepcopy(HOSTILE)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document)


def test_a_plan_survives_json(cluster: Cluster) -> None:
    plan = partition(models.layers(), cluster, slo_ms=20, costs="macs")
    assert len(plan.transfers) == 1
    assert Plan.from_json(plan.to_json()) == plan


def test_plans_of_a_front_survive_json(cluster: Cluster) -> None:
    for plan in pareto(models.layers(), cluster, source="fast", costs="macs"):
        assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_of_version_1_is_read(cluster: Cluster) -> None:
    plan = partition(models.layers(), cluster, costs="macs")
    document = json.loads(plan.to_json())
    assert document["version"] == 2
    for name in ("weights", "strategy", "source", "inputs", "outputs"):
        del document[name]
    for stage in document["stages"]:
        del stage["memory_mb"]
    old = Plan.from_json(json.dumps(document | {"version": 1}))
    assert old.latency_ms == plan.latency_ms
    assert old.source is None
    assert old.stages[0].memory_mb == 0


def test_a_node_may_have_consecutive_stages() -> None:
    assert made(("a", 0, 1), ("a", 1, 2), ("b", 2, 3)).cuts == (1, 2)


@pytest.mark.parametrize(
    ("stages", "hops", "message"),
    [
        ((), (), "has no stages"),
        ((("a", 1, 2),), (), "stage 0 of the plan runs operators 1 to 2 after 0"),
        ((("a", 0, 4), ("b", 5, 8)), (), "stage 1 of the plan runs operators 5 to 8 after 4"),
        ((("a", 0, 4), ("b", 4, 4)), (), "each with an operator or more"),
        ((("a", 0, 1), ("b", 1, 2), ("a", 2, 3)), (), "stage 2 of the plan returns to node 'a'"),
        (
            (("a", 0, 1), ("b", 1, 2)),
            (("b", "a"),),
            "transfer 0 .* from 'b' to 'a', and its stages",
        ),
        ((("a", 0, 1),), (("a", "b"),), "1 stages and 1 transfers: give one fewer"),
    ],
)
def test_stages_must_follow_one_another(
    stages: tuple[Any, ...], hops: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        made(*stages, hops=hops)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "version None"),
        ('{"version": 9}', "version 9"),
        ('{"version": 1}', "missing required field `stages`"),
        (hostile("stages", value="a poem"), "Expected `array`, got `str`"),
        (hostile("stages", 1, "start", value="2"), r"Expected `int`, got `str` - at `\$.stages"),
        (hostile("stages", 1, "start", value=True), "Expected `int`, got `bool`"),
        (hostile("stages", 1, "node", value=None), "Expected `str`, got `null`"),
        (hostile("stages", 1, "node", value="a"), "transfer 0 .* and its stages from 'a' to 'a'"),
        (hostile("stages", 1, "start", value=1), "operators 1 to 3 after 2"),
        (hostile("stages", value=[]), "has no stages"),
        (hostile("transfers", 0, "tensors", value="x"), "Expected `array`, got `str`"),
        (hostile("latency_ms", value=[1]), "Expected `float`, got `array`"),
        (hostile("inputs", value=3), "got `int` - at `\\$.inputs`"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        Plan.from_json(text)
