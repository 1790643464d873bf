from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from by_hour import HOUR_S, ByHour
from hypothesis import given
from hypothesis import strategies as st

from carbonedge import ClusterError, IntensityUnavailableError, Node
from carbonedge.carbon import Accounting, Hop, Metered, Share
from carbonedge.carbon.energy import Attribution, Counter, Portion
from carbonedge.carbon.entry import Entry, EntryValues
from carbonedge.carbon.footprint import NODE_POWER
from carbonedge.units import J_PER_KWH

NOW_HOUR = int(time.time() // HOUR_S)
TOP_S = NOW_HOUR * HOUR_S
"""When this hour began, and the intensities of before end."""


@pytest.fixture(autouse=True, scope="module")
def _within_the_hour() -> Iterator[None]:
    """No test is to see the hour end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: TOP_S + 60)
        yield


RAPL = Metered("measured", "rapl (package-0), shared by cpu time")
NVML = Metered("measured", "nvml (gpu-0), shared by quota")
MODEL = Metered("modelled", "model (cpu), shared by cpu time")


def node(name: str, intensity: float | None = None, **more: object) -> Node:
    more = {"power_w": 10.0, **more}
    return Node(name, cpu_cores=1, memory_mb=1, intensity_g_per_kwh=intensity, **more)


class Written(list[Entry]):
    """A ledger that is read at once."""

    def append(self, entry: EntryValues) -> None:
        super().append(Entry._make(entry))


class SensorOnPackage:
    name = "rapl"
    method = "measured"
    counters = (Counter("package-0", "cpu"),)

    def read_j(self) -> tuple[float, ...]:
        return (0.0,)

    def close(self) -> None:
        pass


def test_without_a_meter_energy_is_node_power_times_time() -> None:
    accounting = Accounting([node("a", 360.0, idle_power_w=4.0)])
    footprint = accounting.account(TOP_S, [500.0], [None])
    assert footprint.energy_j == 5.0
    assert footprint.idle_j == 2.0
    assert footprint.emissions_g == pytest.approx(5.0 * 360.0 / J_PER_KWH)
    assert footprint.method == "emulated"
    assert "node power x time" in footprint.energy_source
    assert footprint.intensity_source == "given per node (static, average, lifecycle)"


@pytest.mark.parametrize(
    ("metered", "emulated", "method"),
    [
        (True, False, "measured"),
        (True, True, "emulated"),
        (False, False, "modelled"),
        (False, True, "emulated"),
    ],
)
def test_grams_are_called_measured_only_where_a_sensor_on_the_node_counted(
    metered: bool, emulated: bool, method: str
) -> None:
    by = Metered.by(Attribution(SensorOnPackage())) if metered else None
    accounting = Accounting([node("a", 1.0)], metered=by, emulated=emulated)
    portion = Portion(cpu_j=3.0) if metered else None
    footprint = accounting.account(TOP_S, [1.0], [portion])
    assert footprint.method == accounting.total().method == method
    if metered:
        assert footprint.energy_source == "rapl (package-0), shared by cpu time"
        assert footprint.energy_j == 3.0


def test_where_the_meter_failed_the_node_stands_for_it_and_it_is_said() -> None:
    entries = Written()
    accounting = Accounting([node("a", 1.0)], metered=RAPL, emulated=False, ledger=entries)
    assert accounting.account(TOP_S, [1.0], [Portion(cpu_j=3.0)]).method == "measured"
    failed = accounting.account(TOP_S, [1000.0], [None])
    assert (failed.method, failed.energy_j) == ("modelled", 10.0)
    total = accounting.total()
    assert (total.method, total.energy_j) == ("modelled", 13.0)
    assert "node power x time, link energy x MB for 1 whose meter failed" in total.energy_source
    assert [entry.origin.method for entry in entries] == ["measured", "modelled"]


def test_stages_on_machines_of_their_own_have_meters_of_their_own() -> None:
    entries = Written()
    nodes = [node(name, 1.0) for name in "abcd"]
    meters = [RAPL, MODEL, RAPL, None]
    accounting = Accounting(nodes, metered=meters, emulated=False, ledger=entries)
    portions = [Portion(cpu_j=1.0), Portion(cpu_j=2.0), Portion(cpu_j=3.0), None]
    footprint = accounting.account(TOP_S, [1.0, 1.0, 1.0, 1000.0], portions)
    assert footprint.method == accounting.total().method == "modelled"
    sources = f"{RAPL.source}; {MODEL.source}; {NODE_POWER}"
    assert footprint.energy_source == accounting.total().energy_source == sources
    assert [(entry.origin.method, entry.origin.energy_source) for entry in entries] == [
        RAPL,
        MODEL,
        RAPL,
        ("modelled", NODE_POWER),
    ]
    assert [share.energy_j for share in footprint.by_node.values()] == [1.0, 2.0, 3.0, 10.0]


def test_stages_whose_meters_all_are_sensors_are_measured() -> None:
    accounting = Accounting([node("a", 1.0), node("b", 1.0)], metered=[RAPL, NVML], emulated=False)
    footprint = accounting.account(TOP_S, [1.0, 1.0], [Portion(cpu_j=1.0), Portion(gpu_j=1.0)])
    assert footprint.method == accounting.total().method == "measured"
    assert footprint.energy_source == f"{RAPL.source}; {NVML.source}"


def test_one_meter_may_stand_for_all_stages() -> None:
    entries = Written()
    accounting = Accounting([node("a", 1.0), node("b", 1.0)], metered=RAPL, ledger=entries)
    footprint = accounting.account(TOP_S, [1.0, 1.0], [Portion(), Portion()])
    assert (footprint.method, footprint.energy_source) == ("emulated", RAPL.source)
    assert {entry.origin.energy_source for entry in entries} == {RAPL.source}


def test_a_stage_without_a_meter_is_none_that_failed() -> None:
    accounting = Accounting([node("a", 1.0), node("b", 1.0)], metered=[RAPL, None], emulated=False)
    for _ in range(3):
        accounting.account(TOP_S, [1.0, 1.0], [Portion(cpu_j=1.0), None])
    assert "failed" not in accounting.total().energy_source
    failed = accounting.account(TOP_S, [1.0, 1.0], [None, None])
    assert (failed.method, failed.energy_source) == ("modelled", NODE_POWER)
    assert accounting.total().energy_source.endswith(f"{NODE_POWER} for 1 whose meter failed")


def test_where_one_of_two_meters_failed_the_others_joules_are_still_its_own() -> None:
    entries = Written()
    accounting = Accounting(
        [node("a", 1.0), node("b", 1.0)], metered=[NVML, RAPL], emulated=False, ledger=entries
    )
    failed = accounting.account(TOP_S, [1.0, 1.0], [Portion(gpu_j=1.0), None])
    assert (failed.method, failed.energy_source) == ("modelled", f"{NVML.source}; {NODE_POWER}")
    assert [entry.origin.energy_source for entry in entries] == [NVML.source, NODE_POWER]
    assert accounting.account(TOP_S, [1.0, 1.0], [Portion(), Portion()]).method == "measured"
    total = accounting.total()
    sources = f"{NVML.source}; {RAPL.source}; {NODE_POWER} for 1 whose meter failed"
    assert (total.method, total.energy_source) == ("modelled", sources)


def test_meters_that_do_not_match_the_stages_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of metered were given for 2 stages: give one for each"):
        Accounting([node("a", 1.0), node("b", 1.0)], metered=[RAPL])


def test_pue_and_embodied_carbon_are_in() -> None:
    accounting = Accounting([node("a", 400.0, pue=1.5, embodied_g_per_hour=7.2)])
    footprint = accounting.account(TOP_S, [1000.0], [None])
    assert footprint.operational_g == pytest.approx(10.0 * 400.0 * 1.5 / J_PER_KWH)
    assert footprint.embodied_g == pytest.approx(7.2 / 3600)


def test_a_transfer_emits_at_the_mean_of_both_ends_and_is_written_with_its_stage() -> None:
    a, b, source = node("a", 100.0, pue=2.0), node("b", 300.0), node("c", 500.0)
    entries = Written()
    accounting = Accounting(
        [a, b], [Hop(a, b, 0), Hop(source, a, 0), Hop(b, source, 1)], ledger=entries
    )
    footprint = accounting.account(
        TOP_S, [1.0, 1.0], [None, None], [(2.0, 3.0), (4.0, 5.0), (6.0, 7.0)]
    )
    grams = [3.0 * 200 / J_PER_KWH, 5.0 * 300 / J_PER_KWH, 7.0 * 400 / J_PER_KWH]
    assert footprint.transfers == pytest.approx(Share(12.0, 15.0, sum(grams)))
    assert [entry.transfer_j for entry in entries] == [8.0, 7.0]
    assert [entry.transfer_g for entry in entries] == pytest.approx([grams[0] + grams[1], grams[2]])
    assert footprint.latency_ms == 14.0


def test_energy_counts_at_the_intensity_of_the_hour_it_was_drawn_in() -> None:
    signal = ByHour(z={NOW_HOUR - 1: 100.0, NOW_HOUR: 300.0})
    accounting = Accounting([node("a", zone="z")], signal=signal)
    before = accounting.account(TOP_S - 10, [1000.0], [None])
    after = accounting.account(TOP_S + 10, [1000.0], [None])
    assert before.emissions_g == pytest.approx(10 * 100 / J_PER_KWH)
    assert after.emissions_g == pytest.approx(10 * 300 / J_PER_KWH)


def test_energy_drawn_across_the_hour_is_counted_by_slices() -> None:
    entries = Written()
    signal = ByHour(z={NOW_HOUR - 1: 100.0, NOW_HOUR: 300.0})
    stages = [node("first", zone="z"), node("second", zone="z", pue=2.0)]
    accounting = Accounting(stages, signal=signal, ledger=entries)
    footprint = accounting.account(TOP_S - 1.0, [250.0, 1000.0], [None, None])
    first, second = footprint.by_node["first"], footprint.by_node["second"]
    assert first.operational_g == pytest.approx(2.5 * 100 / J_PER_KWH)
    # Three quarters of the second stage's second lie before the hour.
    assert second.operational_g == pytest.approx(10 * 2.0 * 150 / J_PER_KWH)
    assert entries[1].time_s == TOP_S - 0.75
    assert entries[1].intensity.g_per_kwh == pytest.approx(150)


@given(
    starts_s=st.floats(-3000, 3000),
    times_ms=st.lists(st.floats(0, 5e6), min_size=1, max_size=3),
    intensities=st.lists(st.floats(0, 1000), min_size=6, max_size=6),
    pue=st.floats(1, 2),
)
def test_slices_sum_as_a_plain_walk_over_the_hours_does(
    starts_s: float, times_ms: list[float], intensities: list[float], pue: float
) -> None:
    hours = dict(enumerate(intensities, NOW_HOUR - 1))
    nodes = [node(str(k), zone="z", pue=pue) for k in range(len(times_ms))]
    accounting = Accounting(nodes, signal=ByHour(z=hours))
    footprint = accounting.account(TOP_S + starts_s, times_ms, [None] * len(nodes))
    grams, at_s = 0.0, TOP_S + starts_s
    for time_ms in times_ms:
        stop_s = at_s + time_ms / 1e3
        for hour, g_per_kwh in hours.items():
            within_s = min(stop_s, (hour + 1) * HOUR_S) - max(at_s, hour * HOUR_S)
            grams += 10.0 * max(0.0, within_s) * g_per_kwh * pue / J_PER_KWH
        at_s = stop_s
    assert footprint.emissions_g == pytest.approx(grams, rel=1e-6, abs=1e-9)


def test_an_intensity_that_is_lost_is_the_last_known_one_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    signal = ByHour(z={NOW_HOUR: 100.0})
    accounting = Accounting([node("a", zone="z")], signal=signal)
    with caplog.at_level(logging.WARNING):
        for later_s in (1.0, 10.0, 20.0):
            footprint = accounting.account(TOP_S + HOUR_S + later_s, [1000.0], [None])
            assert footprint.emissions_g == pytest.approx(10 * 100 / J_PER_KWH)
            assert "out of date" in footprint.intensity_source
    (record,) = caplog.records
    assert "going on with the last known intensity of a: nothing is known of z" in record.message


def test_an_intensity_that_was_never_known_is_an_error_at_once() -> None:
    with pytest.raises(IntensityUnavailableError, match="nothing is known of z"):
        Accounting([node("a", zone="z")], signal=ByHour(z={}))
    with pytest.raises(IntensityUnavailableError, match="node 'a' has no carbon intensity"):
        Accounting([node("a", zone="z")])


def test_a_node_without_a_zone_keeps_its_own_intensity_beside_a_signal() -> None:
    signal = ByHour(z={NOW_HOUR: 100.0})
    accounting = Accounting([node("a", zone="z"), node("b", 50.0)], signal=signal)
    footprint = accounting.account(TOP_S, [1.0, 1.0], [None, None])
    assert footprint.intensity_source == (
        "by hand (actual, average, lifecycle); given per node (static, average, lifecycle)"
    )


def test_a_signal_is_not_asked_on_every_request() -> None:
    signal = ByHour(z={NOW_HOUR: 100.0})
    accounting = Accounting([node("a", zone="z")], signal=signal)
    for k in range(1000):
        accounting.account(TOP_S + k * 1e-3, [1.0], [None])
    assert signal.asked <= 3


def test_a_signal_that_waits_for_the_network_is_refused() -> None:
    with pytest.raises(ValueError, match="wrap it in a Refresher"):
        Accounting([node("a", zone="z")], signal=ByHour(immediate=False, z={}))


def test_an_intensity_that_is_set_holds_from_then_on() -> None:
    accounting = Accounting([node("a", 100.0)])
    accounting.account(TOP_S, [1000.0], [None])
    accounting.intensities.set("a", 200.0)
    footprint = accounting.account(TOP_S, [1000.0], [None])
    assert footprint.emissions_g == pytest.approx(10 * 200 / J_PER_KWH)
    assert "set by update" in footprint.intensity_source
    assert "given per node" in accounting.total().intensity_source
    with pytest.raises(ClusterError, match=r"nothing runs on a node 'b': the plan has a"):
        accounting.intensities.set("b", 1.0)
    with pytest.raises(ValueError, match=r"intensity_g_per_kwh of node 'a' is -1"):
        accounting.intensities.set("a", -1.0)


def test_entries_say_what_ran_where_and_share_their_inferences_number() -> None:
    entries = Written()
    stages = [node("a", 1.0, zone="DE"), node("b", 2.0, pue=1.2)]
    accounting = Accounting(stages, ledger=entries, model="m", plan="p")
    for _ in range(2):
        accounting.account(TOP_S, [1.0, 2.0], [Portion(1, 2, 3, 4, 5), None])
    one, two, three, _ = entries
    assert one.inference == two.inference == three.inference - 1
    assert (one.origin.node, one.origin.zone, one.origin.stage) == ("a", "DE", 0)
    assert (two.origin.node, two.origin.zone, two.origin.stage) == ("b", "", 1)
    assert (two.origin.model, two.origin.plan, two.origin.pue) == ("m", "p", 1.2)
    assert (one.cpu_j, one.memory_j, one.gpu_j, one.machine_j, one.idle_j) == (1, 2, 3, 4, 5)
    assert two.machine_j == pytest.approx(0.02)
    assert (one.latency_ms, two.latency_ms) == (1.0, 2.0)


def test_a_node_with_two_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="a node has two stages among a, b, a"):
        Accounting([node(name, 1.0) for name in "aba"])


def test_threads_lose_nothing() -> None:
    accounting = Accounting([node("a", 1.0)], ledger=Written())

    def count_many() -> None:
        for _ in range(2000):
            accounting.account(TOP_S, [1.0], [None])

    threads = [threading.Thread(target=count_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = accounting.total()
    assert total.inferences == 8000
    assert total.energy_j == pytest.approx(8000 * 0.01)
