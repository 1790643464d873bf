from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticking_meter import TickingMeter

from carbonedge import MeterUnavailableError
from carbonedge.carbon.energy import Attribution, Counter, Portion

CPU = Counter("package-0", "cpu")


@dataclass
class Scene:
    """A meter, a clock and CPU clocks that a test moves on by hand."""

    counters: tuple[Counter, ...] = (CPU,)
    name: str = "by hand"
    method: str = "emulated"
    now_s: float = 100.0
    joules: list[float] = field(default_factory=list)
    cpu_s: dict[int, float] = field(default_factory=dict)
    broken: bool = False

    def __post_init__(self) -> None:
        self.joules = [7.0] * len(self.counters)

    def read_j(self) -> tuple[float, ...]:
        if self.broken:
            raise MeterUnavailableError("unplugged")
        return tuple(self.joules)

    def close(self) -> None:
        pass

    def clock(self) -> float:
        return self.now_s

    def cpu_clock(self, clock: int) -> float:
        return self.cpu_s.get(clock, 0.0)

    def passes(self, seconds: float, *joules: float) -> None:
        self.now_s += seconds
        self.joules = [old + more for old, more in zip(self.joules, joules, strict=True)]


def shared_by(scene: Scene, by: str = "quota") -> Attribution:
    return Attribution(scene, by=by, clock=scene.clock, cpu_clock=scene.cpu_clock)


def test_a_work_alone_gets_all_that_was_drawn_while_it_ran() -> None:
    scene = Scene()
    attribution = shared_by(scene)
    scene.passes(1.0, 5.0)
    work = attribution.begin()
    scene.passes(1.0, 20.0)
    assert attribution.end(work) == Portion(cpu_j=20.0)
    scene.passes(1.0, 3.0)
    attribution.end(attribution.begin())
    assert attribution.unattributed == Portion(cpu_j=8.0)


def test_works_that_overlap_share_only_the_time_they_have_in_common() -> None:
    scene = Scene()
    attribution = shared_by(scene)
    first = attribution.begin()
    scene.passes(1.0, 10.0)
    second = attribution.begin()
    scene.passes(1.0, 10.0)
    assert attribution.end(first).cpu_j == 15.0
    scene.passes(1.0, 10.0)
    assert attribution.end(second).cpu_j == 15.0


def test_shares_by_quota_follow_the_quotas() -> None:
    scene = Scene()
    attribution = shared_by(scene)
    high, green = attribution.begin(quota=1.0), attribution.begin(quota=0.4)
    scene.passes(1.0, 14.0)
    assert attribution.end(high).cpu_j == pytest.approx(10.0)
    assert attribution.end(green).cpu_j == pytest.approx(4.0)


def test_shares_by_cpu_time_follow_the_cpu_time_while_they_overlap() -> None:
    scene = Scene()
    attribution = shared_by(scene, "cpu_time")
    first = attribution.begin(threads=[11])
    (own, pool) = first.clocks
    scene.cpu_s[pool] = 50.0  # alone until here: it must not weigh in what follows
    scene.passes(1.0, 10.0)
    second = attribution.begin(threads=[22])
    other = second.clocks[1]
    scene.cpu_s[pool] += 1.0
    scene.cpu_s[other] = 3.0
    scene.passes(1.0, 8.0)
    assert attribution.end(second).cpu_j == pytest.approx(6.0)
    assert attribution.end(first).cpu_j == pytest.approx(12.0)
    assert own != pool


def test_threads_that_work_for_two_count_half_for_each() -> None:
    scene = Scene()
    attribution = shared_by(scene, "cpu_time")
    first, second = attribution.begin(threads=[11]), attribution.begin(threads=[11, 22])
    scene.cpu_s[first.clocks[1]] = 2.0
    scene.cpu_s[second.clocks[2]] = 1.0
    scene.passes(1.0, 9.0)
    assert attribution.end(first).cpu_j == pytest.approx(3.0)
    assert attribution.end(second).cpu_j == pytest.approx(6.0)


def test_works_that_used_no_cpu_time_share_by_quota() -> None:
    scene = Scene()
    attribution = shared_by(scene, "cpu_time")
    first, second = attribution.begin(quota=3.0), attribution.begin()
    scene.passes(1.0, 8.0)
    assert (attribution.end(first).cpu_j, attribution.end(second).cpu_j) == (6.0, 2.0)


def test_the_idle_part_is_kept_apart_and_shared_by_quota() -> None:
    scene = Scene((Counter("cpu", "cpu", idle_power_w=4.0), Counter("ram", "memory", 1.0)))
    attribution = shared_by(scene, "cpu_time")
    first, second = attribution.begin(threads=[1], quota=3.0), attribution.begin(threads=[2])
    scene.cpu_s[second.clocks[1]] = 1.0
    scene.passes(1.0, 10.0, 1.0)
    assert attribution.end(second) == Portion(cpu_j=7.0, memory_j=0.25, idle_j=1.25)
    assert attribution.end(first) == Portion(cpu_j=3.0, memory_j=0.75, idle_j=3.75)


def test_a_sensor_that_counts_in_lumps_loses_no_idle_energy() -> None:
    scene = Scene((Counter("cpu", "cpu", idle_power_w=10.0),))
    attribution = shared_by(scene)
    work = attribution.begin()
    portions = []
    for lump_j in (0.0, 0.0, 0.0, 0.08):  # 20 W, told every 4 ms
        scene.passes(0.001, lump_j)
        portions.append(attribution.end(attribution.begin()))
    portions.append(attribution.end(work))
    assert sum(portion.energy_j for portion in portions) == pytest.approx(0.08)
    assert sum(portion.idle_j for portion in portions) == pytest.approx(0.04)
    assert attribution.unattributed == Portion()


def test_an_idle_power_set_too_high_is_not_owed_for_ever() -> None:
    scene = Scene((Counter("cpu", "cpu", idle_power_w=10.0),))
    attribution = shared_by(scene)
    scene.passes(1000.0, 1000.0)  # 1 W, not 10
    work = attribution.begin()
    scene.passes(1.0, 100.0)
    portion = attribution.end(work)
    assert portion == Portion(cpu_j=100.0, idle_j=20.0)  # of this second and of one owed


def test_a_meter_that_fails_takes_no_work_along_and_loses_no_energy() -> None:
    scene = Scene()
    attribution = shared_by(scene)
    work, other = attribution.begin(), attribution.begin()
    scene.passes(1.0, 4.0)
    scene.broken = True
    with pytest.raises(MeterUnavailableError, match="unplugged"):
        attribution.end(work)
    with pytest.raises(MeterUnavailableError, match="unplugged"):
        attribution.begin()
    scene.broken = False
    assert attribution.end(other).cpu_j == 4.0


@pytest.mark.parametrize("by", ["cpu_time", "quota"])
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.floats(0, 10),
            st.floats(0, 1e3),
            st.floats(0, 1e-3),
            st.floats(1e-3, 64),
        ),
        max_size=40,
    ),
    idle_power_w=st.floats(0, 50),
)
def test_portions_sum_to_the_meter_whatever_overlaps(
    by: str, steps: list[tuple[int, float, float, float, float]], idle_power_w: float
) -> None:
    scene = Scene((Counter("p", "cpu", idle_power_w), Counter("d", "memory"), CPU))
    attribution = shared_by(scene, by)
    started = scene.read_j()
    works, portions = [], []
    for choice, seconds, cpu_j, memory_j, quota in steps:
        scene.passes(seconds, cpu_j, memory_j, 2 * cpu_j)
        if choice < 3 or not works:
            works.append(attribution.begin(threads=[choice + 1, 99], quota=quota))
        else:
            portions.append(attribution.end(works.pop(choice % len(works))))
        for clock in {clock for work in works for clock in work.clocks}:
            scene.cpu_s[clock] = scene.cpu_s.get(clock, 0.0) + seconds * (clock % 3)
    for work in works:
        portions.append(attribution.end(work))
    attribution.end(attribution.begin())
    portions.append(attribution.unattributed)
    counted_j = sum(scene.read_j()) - sum(started)
    assert sum(portion.energy_j for portion in portions) == pytest.approx(counted_j, rel=1e-9)
    for portion in portions:
        assert -1e-9 <= portion.idle_j <= portion.energy_j * (1 + 1e-9) + 1e-9


def test_real_threads_are_told_apart_by_their_cpu_time() -> None:
    scene = Scene()
    attribution = Attribution(scene)
    both_began, both_done = threading.Barrier(3), threading.Barrier(3)
    portions: dict[str, Portion] = {}

    def request(name: str, busy: bool) -> None:
        work = attribution.begin()
        both_began.wait()
        until = time.thread_time() + 0.05
        while busy and time.thread_time() < until:
            pass
        both_done.wait()
        both_done.wait()
        portions[name] = attribution.end(work)

    threads = [
        threading.Thread(target=request, args=args) for args in (("busy", True), ("idle", False))
    ]
    for thread in threads:
        thread.start()
    both_began.wait()
    both_done.wait()
    scene.passes(1.0, 100.0)
    both_done.wait()
    for thread in threads:
        thread.join()
    assert portions["busy"].cpu_j + portions["idle"].cpu_j == pytest.approx(100.0)
    assert portions["busy"].cpu_j > 80.0


def test_a_thread_that_has_ended_uses_nothing_more() -> None:
    scene = Scene()
    attribution = Attribution(scene)
    ended = threading.Thread(target=int)
    ended.start()
    ended.join()
    assert ended.native_id is not None
    first, second = attribution.begin(threads=[ended.native_id]), attribution.begin()
    scene.passes(1.0, 10.0)
    assert attribution.end(first).cpu_j + attribution.end(second).cpu_j == pytest.approx(10.0)


def test_a_wrong_way_of_sharing_or_quota_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot be shared by 'fairly': choose cpu_time or quota"):
        Attribution(Scene(), by="fairly")
    with pytest.raises(ValueError, match=r"the quota is 0: it must be finite and above 0"):
        shared_by(Scene()).begin(quota=0.0)


def test_what_a_work_had_is_not_lost_where_its_end_meets_a_failing_meter() -> None:
    meter = TickingMeter()
    attribution = Attribution(meter, by="quota")
    first = attribution.begin()
    second = attribution.begin()  # the first had a joule alone until now
    meter.broken = True
    with pytest.raises(MeterUnavailableError):
        attribution.end(first)
    meter.broken = False
    portion = attribution.end(second)
    # One joule before anything began, and the first work's.
    assert attribution.unattributed.energy_j == 2.0
    assert portion.energy_j == 1.0
    assert meter.joules == 1.0 + attribution.unattributed.energy_j + portion.energy_j


def test_a_work_ends_once_and_where_it_began() -> None:
    attribution = shared_by(Scene())
    work = attribution.begin()
    with pytest.raises(ValueError, match="this work is over, or another attribution's"):
        shared_by(Scene()).end(work)
    attribution.end(work)
    with pytest.raises(ValueError, match="this work is over"):
        attribution.end(work)
