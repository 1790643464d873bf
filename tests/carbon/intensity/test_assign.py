from __future__ import annotations

from typing import Any

import pytest
from signals import Told

from carbonedge import Cluster, IntensityUnavailableError, Link, Node
from carbonedge.carbon.intensity.assign import with_intensities
from carbonedge.carbon.intensity.chain import Chain
from carbonedge.carbon.intensity.signal import Intensity
from carbonedge.carbon.intensity.static import Static
from carbonedge.carbon.intensity.trace import Trace


def node(name: str, **more: Any) -> Node:
    return Node(name, cpu_cores=1, memory_mb=1, power_w=1, **more)


LINK = Link("a", "b", bandwidth_mbps=1)
SIGNAL = Static({"DE": 380, "FR": 56}, source="me")


def test_nodes_get_the_intensities_of_their_zones_and_keep_all_else() -> None:
    cluster = Cluster([node("a", zone="DE", pue=2), node("b", zone="FR")], [LINK])
    assigned, origins = with_intensities(cluster, SIGNAL)
    assert assigned == Cluster(
        [
            node("a", zone="DE", pue=2, intensity_g_per_kwh=380),
            node("b", zone="FR", intensity_g_per_kwh=56),
        ],
        [LINK],
    )
    assert origins == {"a": SIGNAL.at("DE"), "b": SIGNAL.at("FR")}


def test_a_zone_outweighs_what_is_given_and_what_is_given_stays_without_one() -> None:
    cluster = Cluster(
        [node("a", zone="DE", intensity_g_per_kwh=1), node("b", intensity_g_per_kwh=2)]
    )
    assigned, origins = with_intensities(cluster, SIGNAL)
    assert [node.intensity_g_per_kwh for node in assigned.nodes] == [380, 2]
    assert origins["b"] == Intensity(2, "", "given per node", "static")


def test_each_zone_is_asked_once_and_for_one_moment() -> None:
    source = Told(SIGNAL.at("DE"))
    with_intensities(Cluster([node("a", zone="DE"), node("b", zone="DE")]), source)
    assert source.asked == 1
    trace = Trace({"DE": [1, 2]}, start=0, step_s=60)
    assigned, _ = with_intensities(Cluster([node("a", zone="DE")]), trace, 60)
    assert assigned.nodes[0].intensity_g_per_kwh == 2


def test_a_node_with_neither_zone_nor_intensity_is_an_error() -> None:
    with pytest.raises(
        IntensityUnavailableError, match=r"'b' has no carbon intensity: set .*, or its zone"
    ):
        with_intensities(Cluster([node("a", zone="DE"), node("b")]), SIGNAL)


def test_an_unknown_zone_is_an_error_though_an_intensity_is_given() -> None:
    with pytest.raises(IntensityUnavailableError, match="'PL'"):
        with_intensities(Cluster([node("a", zone="PL", intensity_g_per_kwh=1)]), SIGNAL)


def test_different_sorts_are_refused_unless_asked_for() -> None:
    cluster = Cluster([node("a", zone="DE"), node("b", intensity_g_per_kwh=2)])
    direct = Static(300, factors="direct")
    with pytest.raises(ValueError, match=r"direct: 'DE' .*lifecycle: 'node b' \(given per node\)"):
        with_intensities(cluster, direct)
    assigned, _ = with_intensities(cluster, direct, mixed=True)
    assert [node.intensity_g_per_kwh for node in assigned.nodes] == [300, 2]


def test_a_chain_that_may_mix_lets_nodes_mix() -> None:
    cluster = Cluster([node("a", zone="DE"), node("b", intensity_g_per_kwh=2)])
    direct = Static(300, factors="direct")
    with pytest.raises(ValueError, match="do not compare"):
        with_intensities(cluster, Chain([direct]))
    assigned, _ = with_intensities(cluster, Chain([direct], mixed=True))
    assert assigned.nodes[0].intensity_g_per_kwh == 300
    with pytest.raises(ValueError, match="do not compare"):
        with_intensities(cluster, Chain([direct], mixed=True), mixed=False)


def test_a_signal_that_no_node_has_a_zone_for_is_refused() -> None:
    """Otherwise a run would count other intensities than were asked for, and not say so."""
    cluster = Cluster([node("a", intensity_g_per_kwh=1)])
    with pytest.raises(ValueError, match=r"no node has a zone, .* give nodes a zone, or leave"):
        with_intensities(cluster, SIGNAL)
