from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from signals import Hanging, Told

from carbonedge import IntensityUnavailableError, Node, Scheduler, Task
from carbonedge.carbon.intensity import refresher as module
from carbonedge.carbon.intensity.refresher import Refresher
from carbonedge.carbon.intensity.signal import Intensity, Signal
from carbonedge.carbon.intensity.trace import Trace

HOUR_S = 3600.0
PATIENCE_S = 30.0


def value(zone: str = "DE", g_per_kwh: float = 100, **more: object) -> Intensity:
    now_s = time.time()
    fields = {"valid_from_s": now_s - HOUR_S, "valid_until_s": now_s + HOUR_S, **more}
    return Intensity(g_per_kwh, zone, "live", "actual", **fields)  # type: ignore[arg-type]


def until(holds: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s, "it never came to be"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def warnings_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A source that hangs until the test is over at the latest."""
    source = Hanging(value())
    yield source
    source.let_go.set()


def test_it_gives_what_it_fetched_from_memory() -> None:
    source = Told(value())
    refresher = Refresher(source, ["DE"])
    refresher.refresh_now()
    signal: Signal = refresher
    assert signal.immediate
    assert [signal.at("DE") for _ in range(3)] == [source.values["DE"]] * 3
    assert source.asked == 1


def test_before_anything_is_fetched_it_says_what_to_do() -> None:
    with pytest.raises(IntensityUnavailableError, match=r"'DE' at 2.* was not fetched: start the"):
        Refresher(Told(value()), ["DE"]).at("DE")


def test_a_zone_that_is_not_fetched_is_named() -> None:
    with pytest.raises(IntensityUnavailableError, match=r"'FR' is not refreshed: .* has DE, PL"):
        Refresher(Told(), ["DE", "PL", "DE"]).at("FR")


def test_a_failing_source_is_counted_logged_and_outlived(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Told(value("FR", 56))
    refresher = Refresher(source, ["DE", "FR"])
    refresher.refresh_now()
    assert refresher.failures == 1
    assert "the intensity of DE was not refreshed: told nothing" in caplog.text
    assert refresher.at("FR").g_per_kwh == 56
    with pytest.raises(IntensityUnavailableError, match=r"\(the last try: told nothing\)"):
        refresher.at("DE")
    source.tell(value("DE"))
    refresher.refresh_now()
    with pytest.raises(IntensityUnavailableError, match=r"refresh_now\(\)$"):
        refresher.at("DE", 0)


def test_an_error_of_no_known_sort_is_logged_by_its_name_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Told()
    source.error = OSError("https://user:secret@example.org")
    refresher = Refresher(source, ["DE"])
    refresher.refresh_now()
    assert "DE was not refreshed: OSError" in caplog.text
    with pytest.raises(IntensityUnavailableError) as error:
        refresher.at("DE")
    assert "secret" not in caplog.text + str(error.value)


def test_the_last_value_serves_on_with_its_age_up_to_a_limit() -> None:
    source = Told(value(valid_until_s=time.time() - 500, age_s=499.0))
    refresher = Refresher(source, ["DE"])
    refresher.refresh_now()
    source.values.clear()
    refresher.refresh_now()
    assert refresher.at("DE").age_s == pytest.approx(500, abs=PATIENCE_S)
    assert refresher.at("DE", time.time() + 1000).age_s == pytest.approx(1500, abs=PATIENCE_S)
    limited = Refresher(source, ["DE"], max_age_s=400)
    source.tell(value(valid_until_s=time.time() - 500))
    limited.refresh_now()
    with pytest.raises(IntensityUnavailableError, match=r"from live, is 50\d s old, and max_age_s"):
        limited.at("DE")


def test_an_aged_answer_is_made_anew_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time()
    source = Told(value(valid_until_s=now_s))
    refresher = Refresher(source, ["DE"], max_age_s=10.5)
    refresher.refresh_now()
    monkeypatch.setattr(time, "time", lambda: now_s + 10)
    aged = refresher.at("DE")
    assert aged.age_s == 10
    monkeypatch.setattr(time, "time", lambda: now_s + 10.25)
    assert refresher.at("DE") is aged
    monkeypatch.setattr(time, "time", lambda: now_s + 10.75)
    with pytest.raises(IntensityUnavailableError, match=r"max_age_s is 10.5"):
        refresher.at("DE")


def test_a_value_that_is_valid_no_more_ages_though_it_was_ready() -> None:
    source = Told(value(valid_until_s=time.time() + 0.05))
    refresher = Refresher(source, ["DE"])
    refresher.refresh_now()
    until(lambda: refresher.at("DE").age_s > 0)


def test_other_times_than_now_are_told_from_what_is_known() -> None:
    known = value()
    refresher = Refresher(Told(known), ["DE"])
    refresher.refresh_now()
    assert refresher.at("DE", known.valid_from_s) == known
    with pytest.raises(IntensityUnavailableError, match="was not fetched"):
        refresher.at("DE", known.valid_from_s - 1)


def test_a_source_in_memory_answers_other_times_itself() -> None:
    trace = Trace({"DE": [1, 2, 3]}, start=0, step_s=3600).replayed(0)
    refresher = Refresher(trace, ["DE"])
    later_s = time.time() + 3600
    assert refresher.at("DE", later_s).g_per_kwh == 2
    assert [v.g_per_kwh for v in refresher.forecast("DE", later_s, later_s + 1)] == [2]


def test_forecasts_are_fetched_up_to_the_horizon() -> None:
    source = Told(value())
    now_s = time.time()
    source.forecasts = [
        value(
            g_per_kwh=hour,
            valid_from_s=now_s + hour * HOUR_S,
            valid_until_s=now_s + (hour + 1) * HOUR_S,
        )
        for hour in range(-1, 3)
    ]
    refresher = Refresher(source, ["DE"], horizon_s=2 * HOUR_S)
    with pytest.raises(
        IntensityUnavailableError, match=r"no forecast .* was fetched: start .*7200"
    ):
        refresher.forecast("DE", now_s, now_s + 1)
    refresher.refresh_now()
    assert refresher.forecast("DE", now_s, now_s + 2 * HOUR_S) == source.forecasts[1:3]
    assert refresher.at("DE", now_s + 1.5 * HOUR_S) == source.forecasts[2]
    for start_s, end_s in ((now_s, now_s + 4 * HOUR_S), (now_s - 2 * HOUR_S, now_s)):
        with pytest.raises(IntensityUnavailableError, match="no forecast"):
            refresher.forecast("DE", start_s, end_s)
    with pytest.raises(ValueError, match="not after"):
        refresher.forecast("DE", now_s, now_s)


def test_what_was_fetched_for_now_goes_before_what_was_forecast_of_it() -> None:
    source = Told(value())
    source.forecasts = [replace(source.values["DE"], g_per_kwh=7, kind="forecast")]
    refresher = Refresher(source, ["DE"], horizon_s=60)
    refresher.refresh_now()
    assert refresher.at("DE", time.time()) == refresher.at("DE") == source.values["DE"]


def test_a_provider_whose_clock_runs_ahead_is_known_now() -> None:
    source = Told(value(valid_from_s=time.time() + 300))
    refresher = Refresher(source, ["DE"])
    refresher.refresh_now()
    assert refresher.at("DE", time.time()) == source.values["DE"]


def test_a_forecast_that_fails_leaves_the_value(caplog: pytest.LogCaptureFixture) -> None:
    refresher = Refresher(Told(value()), ["DE"], horizon_s=1)
    refresher.refresh_now()
    assert refresher.failures == 1
    assert refresher.at("DE").g_per_kwh == 100


def test_who_subscribes_is_told_of_each_change_and_of_nothing_else() -> None:
    source, told = Told(value("DE", 1), value("FR", 2)), []
    refresher = Refresher(source, ["DE", "FR"])
    stop = refresher.subscribe(lambda zone, new: told.append((zone, new.g_per_kwh)))
    refresher.refresh_now()
    refresher.refresh_now()
    source.tell(replace(source.values["DE"], age_s=7.0))
    refresher.refresh_now()
    assert told == [("DE", 1), ("FR", 2)]
    source.tell(value("DE", 3))
    refresher.refresh_now()
    assert told[2:] == [("DE", 3)]
    stop()
    stop()
    source.tell(value("DE", 4))
    refresher.refresh_now()
    assert len(told) == 3


def test_a_listener_that_raises_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = []

    def broken(zone: str, new: Intensity) -> None:
        raise ZeroDivisionError(zone)

    refresher = Refresher(Told(value("DE"), value("FR")), ["DE", "FR"])
    refresher.subscribe(broken)
    refresher.subscribe(lambda zone, new: told.append(zone))
    refresher.refresh_now()
    assert told == ["DE", "FR"]
    assert refresher.failures == 0
    assert "a listener to the intensity of DE failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def nodes() -> list[Node]:
    fields = {"cpu_cores": 1, "memory_mb": 1000, "power_w": 10, "avg_time_ms": 10}
    return [
        Node("german", zone="DE", intensity_g_per_kwh=500, **fields),  # type: ignore[arg-type]
        Node("french", zone="FR", intensity_g_per_kwh=600, **fields),  # type: ignore[arg-type]
        Node("fixed", intensity_g_per_kwh=550, **fields),  # type: ignore[arg-type]
    ]


def greenest(scheduler: Scheduler) -> tuple[str, float]:
    decision = scheduler.schedule(Task())
    scheduler.complete(decision, 10)
    return decision.node, round(decision.emissions_g * 3.6e6 / decision.energy_j, 6)


def test_a_scheduler_follows_the_grid() -> None:
    scheduler = Scheduler(nodes(), scoring="constrained")
    source = Told(value("DE", 300), value("FR", 400))
    with Refresher(source, ["DE", "FR"], every_s=0.01) as refresher:
        until(lambda: refresher.failures == 0 and source.asked >= 2)
        stop = refresher.push_to(scheduler, nodes())
        assert greenest(scheduler) == ("german", 300)
        source.tell(value("FR", 50))
        until(lambda: greenest(scheduler) == ("french", 50))
        stop()
        source.tell(value("FR", 60))
        until(lambda: refresher.at("FR").g_per_kwh == 60)
        assert greenest(scheduler) == ("french", 50)


def test_a_node_that_is_gone_keeps_no_other_from_its_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = Scheduler(nodes()[:1], scoring="constrained")
    gone = Node("gone", cpu_cores=1, memory_mb=1, power_w=1, zone="DE")
    source = Told(value("DE", 300))
    refresher = Refresher(source, ["DE"])
    refresher.push_to(scheduler, [gone, *nodes()[:1]])
    refresher.refresh_now()
    assert greenest(scheduler) == ("german", 300)
    assert "'gone'" in caplog.text
    with pytest.raises(ValueError, match="'gone'"):
        refresher.push_to(scheduler, [gone])


def test_nodes_of_zones_that_are_not_fetched_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'FR' of node 'french' is not refreshed: .* has DE"):
        Refresher(Told(), ["DE"]).push_to(Scheduler(nodes()), nodes())


def test_nobody_waits_for_a_source_that_hangs(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSING_S", 0.01)
    told: list[str] = []
    refresher = Refresher(hanging, ["DE"]).start()
    refresher.subscribe(lambda zone, new: told.append(zone))
    assert hanging.reached.wait(PATIENCE_S)
    with pytest.raises(IntensityUnavailableError, match="not fetched"):
        refresher.at("DE")
    hanging.let_go.set()
    until(lambda: told == ["DE"])
    hanging.let_go.clear()
    hanging.reached.clear()
    refresher.close()
    refresher.start()
    assert hanging.reached.wait(PATIENCE_S)
    assert refresher.at("DE").g_per_kwh == 100
    assert refresher.at("DE", time.time() + 1).g_per_kwh == 100
    refresher.close()
    hanging.tell(value("DE", 700))
    late = [thread for thread in threading.enumerate() if thread.name == "carbonedge-refresher"]
    hanging.let_go.set()
    for thread in late:
        thread.join(PATIENCE_S)
    assert refresher.at("DE").g_per_kwh == 100, "what comes after the end is dropped"


def test_it_fetches_again_and_again_until_closed() -> None:
    source = Told(value())
    refresher = Refresher(source, ["DE"], every_s=0.005)
    assert refresher.start() is refresher
    refresher.start()
    until(lambda: source.asked > 3)
    refresher.close()
    refresher.close()
    asked = source.asked
    time.sleep(0.05)
    assert source.asked == asked
    assert refresher.at("DE").g_per_kwh == 100


def test_a_listener_may_close_it() -> None:
    refresher = Refresher(Told(value()), ["DE"], every_s=0.001)
    closed = threading.Event()
    refresher.subscribe(lambda zone, new: (refresher.close(), closed.set()))  # type: ignore[func-returns-value]
    refresher.start()
    assert closed.wait(PATIENCE_S)


def test_zones_of_another_sort_are_refused_unless_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Told(value("DE"), value("US", 700, accounting="marginal"))
    refresher = Refresher(source, ["DE", "US"])
    refresher.refresh_now()
    assert refresher.at("DE").g_per_kwh == 100
    with pytest.raises(IntensityUnavailableError, match="do not compare"):
        refresher.at("US")
    alone = Refresher(source, ["DE"])
    alone.refresh_now()
    source.tell(value("DE", 500, accounting="marginal"))
    alone.refresh_now()
    assert alone.at("DE").g_per_kwh == 500
    mixed = Refresher(source, ["DE", "US"], mixed=True)
    mixed.refresh_now()
    assert mixed.at("US").g_per_kwh == 700


def test_processes_do_not_ask_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Closing:
        def wait(self, timeout_s: float) -> bool:
            waits.append(timeout_s)
            return len(waits) > 50

        def is_set(self) -> bool:
            return False

    Refresher(Told(value()), ["DE"], every_s=100)._run(Closing())  # type: ignore[arg-type]
    assert waits[0] == 0
    assert all(90 <= wait_s <= 110 for wait_s in waits[1:])
    assert len(set(waits[1:])) > 10


def test_numbers_are_checked() -> None:
    for wrong in ({"every_s": 0}, {"horizon_s": -1}, {"max_age_s": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Refresher(Told(), ["DE"], **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no zones"):
        Refresher(Told(), [])
