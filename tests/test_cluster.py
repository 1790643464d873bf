from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from carbonedge import Cluster, ClusterError, Link, Node
from carbonedge.experiments import paper_cluster


def node(name: str = "a", **changes: Any) -> Node:
    return Node(name, **({"cpu_cores": 1, "memory_mb": 1, "power_w": 1} | changes))


@pytest.mark.parametrize("field", ["cpu_cores", "memory_mb", "power_w", "speed"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0, -1])
def test_capacities_and_powers_are_finite_and_above_zero(field: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=f"{field} of node 'a' is .*: it must be finite and above"):
        node(**{field: wrong})


@pytest.mark.parametrize("field", ["intensity_g_per_kwh", "idle_power_w", "avg_time_ms"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1])
def test_intensities_and_times_are_finite_and_not_negative(field: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=f"{field} of node 'a' is"):
        node(**{field: wrong})


@pytest.mark.parametrize("field", ["cpu_cores", "memory_mb", "power_w", "avg_time_ms"])
def test_no_machine_is_that_large(field: str) -> None:
    with pytest.raises(
        ValueError, match=f"{field} of node 'a' is 1e\\+300: .* at most 1e\\+15; check"
    ):
        node(**{field: 1e300})


@pytest.mark.parametrize("field", ["cpu_cores", "running_tasks", "parallelism"])
def test_what_no_float_holds_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} of node 'a' is inf"):
        node(**{field: 10**400})


def test_some_grids_emit_nothing() -> None:
    assert node(intensity_g_per_kwh=0).known_intensity() == 0


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"load": 1.01}, ValueError),
        ({"pue": 0.99}, ValueError),
        ({"parallelism": 0}, ValueError),
        ({"running_tasks": -1}, ValueError),
        ({"running_tasks": 1.5}, TypeError),
        ({"cpu_cores": "4"}, TypeError),
        ({"cpu_cores": True}, TypeError),
        ({"zone": ""}, ValueError),
        ({"name": " "}, ValueError),
    ],
)
def test_other_wrong_values(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        node(**changes)


def test_a_link_serves_both_ways_unless_each_is_given() -> None:
    there = Link("a", "b", bandwidth_mbps=10)
    back = Link("b", "a", bandwidth_mbps=5)
    assert Cluster([node("a"), node("b")], [there]).link("b", "a") is there
    assert Cluster([node("a"), node("b")], [there, back]).link("b", "a") is back
    assert Cluster([node("a"), node("b")]).link("a", "b") is None


def test_a_link_leads_somewhere_else() -> None:
    with pytest.raises(ValueError, match="'a' to itself"):
        Link("a", "a", bandwidth_mbps=1)


@pytest.mark.parametrize(
    ("nodes", "links", "message"),
    [
        ([], [], "no nodes"),
        (["a", "a"], [], "two nodes are named 'a'"),
        (["a", "b"], [("a", "c")], "names 'c', which is not a node: the cluster has a, b"),
        (["a", "b"], [("a", "b"), ("a", "b")], "given twice"),
    ],
)
def test_contradictions_are_refused(
    nodes: list[str], links: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        Cluster([node(n) for n in nodes], [Link(*ends, bandwidth_mbps=1) for ends in links])


def test_the_papers_file_is_read() -> None:
    cluster = paper_cluster()
    assert [n.name for n in cluster.nodes] == ["node-high", "node-medium", "node-green"]
    assert [n.intensity_g_per_kwh for n in cluster.nodes] == [620, 530, 380]
    assert [n.cpu_cores for n in cluster.nodes] == [1.0, 0.6, 0.4]
    assert len(cluster.links) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[node]]\nname = 'a'\ncpu_core = 1", r"node 'a' has an unknown key 'cpu_core': did you"),
        ("[[node]]\nname = 'a'", "node 'a' has no 'cpu_cores'"),
        ("[[node]]\ncpu_cores = 1", "node 1 has no 'name'"),
        ("[node]\nname = 'a'", r"write \[\[node\]\]"),
        ("node = [1]", r"node 1 is 1: write \[\[node\]\]"),
        ("[[link]]\nsource = 'a'", "link 1 has no 'target'"),
        ("[battery]\n", "unknown key 'battery': known are node, link, meter, intensity"),
        ("[[node]]\nname = 'a'\ncpu_cores = 'four'\nmemory_mb = 1\npower_w = 1", "is 'four'"),
        ("= 3", "Invalid"),
    ],
)
def test_wrong_files_say_where_and_why(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ClusterError, match=rf"wrong\.toml: .*{message}"):
        Cluster.from_toml(path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"cannot read .*none\.toml.*No such file"):
        Cluster.from_toml(tmp_path / "none.toml")
    with pytest.raises(ClusterError, match="cannot read"):
        Cluster.from_toml(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClusterError, match="not UTF-8"):
        Cluster.from_toml(tmp_path / "binary.toml")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ClusterError, match="no node 'z': the cluster has a"):
        Cluster([node()]).index("z")
