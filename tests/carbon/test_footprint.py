from __future__ import annotations

import math
import threading

from carbonedge.carbon import Footprint, FootprintMeter, Share


def footprint(name: str = "a") -> Footprint:
    return Footprint(1, {name: Share(4.0, 2.0, 0.5)}, Share(1.0, 0.25, 0.125))


def test_sums_take_nodes_and_transfers() -> None:
    one = footprint()
    assert (one.latency_ms, one.energy_j, one.emissions_g) == (5.0, 2.25, 0.625)
    assert one.inferences_per_g == 1.6


def test_a_meter_adds_up_by_node() -> None:
    meter = FootprintMeter()
    for name in ("a", "b", "a"):
        meter.add(footprint(name))
    total = meter.total()
    assert total.inferences == 3
    assert total.by_node == {"a": Share(8.0, 4.0, 1.0), "b": Share(4.0, 2.0, 0.5)}
    assert total.energy_j == 6.75
    assert total.latency_ms == 5.0


def test_nothing_yet_is_no_error() -> None:
    empty = FootprintMeter().total()
    assert (empty.inferences, empty.energy_j, empty.emissions_g, empty.latency_ms) == (0, 0, 0, 0)
    assert math.isinf(empty.inferences_per_g)


def test_a_footprint_says_how_it_came_about() -> None:
    document = footprint().to_dict()
    assert "emulated" in document["time_source"]
    assert "modelled" in document["energy_source"]
    assert document["by_node"]["a"]["energy_j"] == 2.0


def test_threads_lose_nothing() -> None:
    meter = FootprintMeter()

    def add_many() -> None:
        for _ in range(2000):
            meter.add(footprint())

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.total().inferences == 8000
    assert meter.total().energy_j == 8000 * 2.25
