from __future__ import annotations

from pathlib import Path

import made_up_grids
import numpy as np
import pytest
from made_up_grids import node

from carbonedge import Cluster, ClusterError, Node
from carbonedge.experiments.replay import Fleet, Zones, read_zones

ROOT = Path(__file__).parents[3]
NODE = '[[node]]\nname = "a"\ncpu_cores = 1\nmemory_mb = 64\npower_w = 1\nzone = "A"\n'


def test_requests_travel_between_zones_and_to_the_node() -> None:
    near, far = node("A", "near"), node("B", "far", network_latency_ms=7.0)
    fleet = Fleet.of([near, far, node("C")], zones=Zones({("A", "B"): 20.0}), zone_latency_ms=33.0)
    assert fleet.zones == ("A", "B", "C")
    assert fleet.round_trip_ms.tolist() == [[5, 27, 38], [25, 7, 38], [38, 40, 5]]
    assert fleet.least_latency_ms().tolist() == [105, 107, 105]


def test_each_node_stands_for_as_many_as_are_asked_for() -> None:
    fleet = made_up_grids.fleet(node("A"), node("B"), copies=3)
    assert [n.name for n in fleet.nodes] == ["a 1", "a 2", "a 3", "b 1", "b 2", "b 3"]
    assert fleet.zone.tolist() == [0, 0, 0, 1, 1, 1]
    assert fleet.round_trip_ms.shape == (2, 6)


def test_a_node_without_a_time_gets_that_of_speed_1_divided_by_its_own() -> None:
    slow = Node("slow", cpu_cores=1, memory_mb=64, power_w=1, zone="A", speed=0.5)
    assert Fleet.of([slow], time_ms=40).numbers("avg_time_ms").tolist() == [80]
    with pytest.raises(ValueError, match="avg_time_ms of 'slow' is 0"):
        Fleet.of([slow])


def test_the_example_cluster_has_a_latency_for_each_pair_and_an_offset_for_each_zone() -> None:
    path = ROOT / "grids.toml"
    fleet = Fleet.of(Cluster.from_toml(path).nodes, zones=read_zones(path), zone_latency_ms=0)
    assert fleet.zones == ("US-CISO", "US-BPAT", "US-ERCO", "US-PJM")
    assert (fleet.round_trip_ms == fleet.round_trip_ms.T).all()
    assert (fleet.round_trip_ms[~np.eye(4, dtype=bool)] >= 25).all()
    assert fleet.utc_offset_h.tolist() == [-8, -8, -6, -5]


@pytest.mark.parametrize(
    ("nodes", "more", "message"),
    [
        ([Node("n", cpu_cores=1, memory_mb=1, power_w=1, avg_time_ms=1)], {}, "'n' has no zone"),
        ([node("A")], {"copies": 200_000}, "are more than 100,000: take fewer copies"),
        ([node("A")], {"zone_latency_ms": -1.0}, "zone_latency_ms is -1"),
        ([node("A")], {"zones": Zones({("A", "B"): 1.0})}, "there is no node in zone 'B'"),
        ([node("A")], {"zones": Zones({}, {"C": 1.0})}, "there is no node in zone 'C'"),
    ],
)
def test_nodes_that_make_no_fleet_are_refused(
    nodes: list[Node], more: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Fleet.of(nodes, **more)


def latency(text: str) -> str:
    return f"[[zone_latency]]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (latency('zones = ["A"]\nround_trip_ms = 1'), r"zones of a zone_latency is \['A'\]: name"),
        (latency('zones = ["A", "A"]\nround_trip_ms = 1'), "name two zones"),
        (latency('zones = ["A", 1]\nround_trip_ms = 1'), "name two zones"),
        (latency('zones = "AB"\nround_trip_ms = 1'), "name two zones"),
        (latency('zones = ["A", "B"]\nround_trip_ms = -1'), "round_trip_ms between A and B is -1"),
        (
            latency('zones = ["A", "B"]\nround_trip_ms = "1"'),
            "between A and B is '1': give a number",
        ),
        (
            latency('zones = ["A", "B"]\nround_trip = 1'),
            "a zone_latency has zones, round_trip: give",
        ),
        (latency('zones = ["A", "B"]\nround_trip_ms = 1') * 2, "between A and B is given twice"),
        ("[zone_latency]\nround_trip_ms = 1\n", r"single table: write \[\[zone_latency\]\]"),
        ('[[zone]]\nname = " "\nutc_offset_h = 1\n', "the name of a zone is ' '"),
        ('[[zone]]\nname = "A"\nutc_offset_h = 1\n' * 2, "name each once"),
        ('[[zone]]\nname = "A"\nutc_offset_h = 15\n', "'A' is 15: it must lie between -14 and 14"),
        ('[[zone]]\nname = "A"\nutc_offset_h = nan\n', "'A' is nan: it must lie"),
        ('[[zone]]\nname = "A"\nutc_offset_h = true\n', "'A' is True: give a number"),
        ('[[zone]]\nname = "A"\n', "a zone has name: give name, utc_offset_h"),
    ],
)
def test_wrong_tables_of_zones_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(NODE + text)
    Cluster.from_toml(path)
    with pytest.raises(ClusterError, match=message):
        read_zones(path)
