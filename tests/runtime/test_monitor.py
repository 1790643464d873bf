from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from by_hour import HOUR_S, ByHour
from ticking_meter import TickingMeter

from carbonedge import Cluster, IntensityUnavailableError, Node
from carbonedge.carbon.energy import Attribution, Meter, open_meter
from carbonedge.carbon.intensity import Static
from carbonedge.runtime.monitor import Monitor, stands_in

HOUR = int(time.time() // HOUR_S)
BOTH_HOURS = {HOUR: 250.0, HOUR + 1: 250.0}


def node(name: str, **more: object) -> Node:
    return Node(name, cpu_cores=1, memory_mb=1, power_w=1, **more)


ZONED = Cluster([node("a", zone="DE"), node("b", intensity_g_per_kwh=10)])


def test_nothing_is_watched_unless_asked_for() -> None:
    monitor = Monitor(Cluster([node("a", intensity_g_per_kwh=10)]))
    assert (monitor.attribution, monitor.signal, monitor.ledger) == (None, None, None)


def test_the_cluster_gets_the_intensities_of_its_zones() -> None:
    monitor = Monitor(ZONED, intensity=Static({"DE": 380.0}))
    assert [node.intensity_g_per_kwh for node in monitor.cluster.nodes] == [380.0, 10.0]
    assert Monitor(ZONED, intensity="static:42").cluster.nodes[0].intensity_g_per_kwh == 42.0


def test_a_signal_that_waits_is_asked_in_the_background() -> None:
    slow = ByHour(immediate=False, DE=BOTH_HOURS)
    monitor = Monitor(ZONED, intensity=slow)
    assert monitor.cluster.nodes[0].intensity_g_per_kwh == 250.0
    assert monitor.signal is not None
    assert monitor.signal.immediate
    asked = slow.asked
    for _ in range(100):
        assert monitor.signal.at("DE").g_per_kwh == 250.0
    assert slow.asked == asked
    monitor.close()


def test_an_intensity_that_is_not_to_be_had_is_an_error_at_once() -> None:
    with pytest.raises(IntensityUnavailableError, match="nothing is known of DE"):
        Monitor(ZONED, intensity=ByHour(immediate=False, DE={}))


def test_sessions_that_name_one_meter_share_it_until_the_last_lets_go() -> None:
    cluster = Cluster([node("a", intensity_g_per_kwh=10)])
    one, two = Monitor(cluster, meter="model"), Monitor(cluster, meter="model")
    assert one.attribution is two.attribution
    assert Monitor(cluster, meter={"kind": "model"}).attribution is one.attribution
    weak = one.attribution
    assert weak is not None
    meter = weak.meter
    one.close()
    meter.read_j()  # the other still needs it
    del one, two, weak
    gc.collect()
    assert Monitor(cluster, meter="model").attribution is not None


def test_sessions_opened_at_once_share_the_meter_that_they_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = threading.Barrier(2)

    def opened_slowly(kind: str) -> Meter:
        # Were both to open it, they would meet here.
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.2)
        return open_meter(kind)

    monkeypatch.setattr("carbonedge.runtime.attributions.open_meter", opened_slowly)
    cluster = Cluster([node("a", intensity_g_per_kwh=10)])
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: Monitor(cluster, meter="model"), range(2))
    assert one.attribution is two.attribution


@pytest.mark.parametrize("first", ["auto", "model"])
def test_what_auto_has_chosen_is_shared_with_those_who_name_it(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wherever this is run, "auto" is to choose the model.
    monkeypatch.setattr("carbonedge.carbon.energy.choice.AUTOMATIC", (("model",),))
    cluster = Cluster([node("a", intensity_g_per_kwh=10)])
    monitors = [Monitor(cluster, meter=meter) for meter in (first, "model", "auto")]
    assert len({id(monitor.attribution) for monitor in monitors}) == 1


def test_meters_that_are_not_shared_are_said_to_count_twice(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    none_yet: Any = weakref.WeakValueDictionary()
    monkeypatch.setattr("carbonedge.runtime.attributions._attributions", none_yet)
    cluster = Cluster([node("a", intensity_g_per_kwh=10)])
    one = Monitor(cluster, meter="model")
    assert not caplog.records
    two = Monitor(cluster, meter={"kind": "model", "share_by": "quota"})
    assert two.attribution is not None
    assert two.attribution.by == "quota"
    assert "what both cover is counted twice" in caplog.text
    one.close()
    two.close()
    del one, two
    gc.collect()
    caplog.clear()
    Monitor(cluster, meter={"kind": "model", "cores": 2})
    assert not caplog.records


def test_an_own_meter_or_attribution_may_be_given() -> None:
    cluster = Cluster([node("a", intensity_g_per_kwh=10)])
    meter = TickingMeter()
    given = Monitor(cluster, meter=meter, share_by="quota").attribution
    assert given is not None
    assert (given.meter, given.by) == (meter, "quota")
    assert Monitor(cluster, meter=meter, share_by="quota").attribution is given
    attribution = Attribution(meter)
    monitor = Monitor(cluster, meter=attribution)
    assert monitor.attribution is attribution
    monitor.close()
    assert not meter.closed  # it is its owner's


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"meter": "crystal"}, "crystal"),
        ({"intensity": "moonlight"}, "moonlight"),
        ({"meter": {"kind": "model", "color": "red"}}, "color"),
    ],
)
def test_unknown_words_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Monitor(Cluster([node("a", intensity_g_per_kwh=10)]), **arguments)


def test_a_ledger_may_be_named_by_its_file(tmp_path: Path) -> None:
    monitor = Monitor(Cluster([node("a", intensity_g_per_kwh=10)]), ledger=tmp_path / "l.db")
    assert monitor.ledger is not None
    monitor.close()
    assert (tmp_path / "l.db").exists()


def test_only_a_single_node_of_speed_1_may_be_this_machine() -> None:
    assert not stands_in(Cluster([node("a")]))
    assert stands_in(Cluster([node("a", speed=0.5)]))
    assert stands_in(Cluster([node("a"), node("b")]))
