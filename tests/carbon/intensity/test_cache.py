from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import hammer
import pytest
from clock import Clock
from provider import Answer, Provider, iso
from unseen import KEY, failing, shown

from carbonedge.carbon.intensity import Cache, ElectricityMaps, Intensity
from carbonedge.exceptions import IntensityUnavailableError

HOUR_S = 3600.0


class Source:
    """Knows every hour, until it is told to fail; counts how often it was asked."""

    immediate = False
    accounting = "average"
    factors = "lifecycle"

    def __init__(self, identity: str = "source") -> None:
        self.identity = identity
        self.asked = 0
        self.failing = False
        self.late_s = 0.0
        self.holds_s = HOUR_S
        self.slow_s = 0.0
        self.g_per_kwh = 100.0
        self.closed = False
        self.kind = "actual"

    def _point(self, zone: str, from_s: float, kind: str) -> Intensity:
        return Intensity(
            self.g_per_kwh,
            zone,
            "source",
            kind,
            valid_from_s=from_s,
            valid_until_s=from_s + self.holds_s,
        )

    def _ask(self) -> None:
        self.asked += 1
        time.sleep(self.slow_s)
        if self.failing:
            raise IntensityUnavailableError("source: down: try again")

    def at(self, zone: str, when: float | None = None) -> Intensity:
        self._ask()
        if when is None:
            return self._point(zone, time.time() - self.late_s, "actual")
        return self._point(zone, when // HOUR_S * HOUR_S, self.kind)

    def forecast(self, zone: str, start: float, end: float) -> Sequence[Intensity]:
        self._ask()
        first, last = int(start // HOUR_S), int(end // HOUR_S) + 1
        return [self._point(zone, hour * HOUR_S, "forecast") for hour in range(first, last)]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, source: Source, tmp_path: Path) -> Cache:
    return Cache(source, directory=tmp_path / "cache" if request.param == "disk" else False)


def again(source: Source, tmp_path: Path, **more: float) -> Cache:
    """As another process would have it: nothing in memory."""
    return Cache(source, directory=tmp_path / "cache", **more)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").iterdir())


def test_a_valid_answer_is_asked_for_once(cache: Cache, source: Source) -> None:
    first = cache.at("DE")
    source.g_per_kwh = 50.0
    assert cache.at("DE") == first
    assert cache.at("DE", time.time()) == first
    assert source.asked == 1
    assert cache.at("FR").g_per_kwh == 50.0
    assert source.asked == 2


def test_an_answer_that_was_late_already_serves_while_fresh_and_says_its_age(
    cache: Cache, source: Source
) -> None:
    source.late_s = 2 * HOUR_S
    cache.at("DE")
    assert cache.at("DE").age_s == pytest.approx(HOUR_S, abs=60)
    assert source.asked == 1


def test_what_is_neither_valid_nor_fresh_is_asked_for_again(
    cache: Cache, source: Source, clock: Clock
) -> None:
    source.late_s = 2 * HOUR_S
    cache.at("DE")
    clock.ahead_s = 299
    cache.at("DE")
    assert source.asked == 1
    clock.ahead_s = 301
    source.g_per_kwh = 50.0
    assert cache.at("DE").g_per_kwh == 50.0


def test_a_dead_sources_last_answer_serves_with_its_age(
    cache: Cache, source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    source.late_s = 2 * HOUR_S
    cache.at("DE")
    clock.ahead_s = 301
    source.failing = True
    stale = cache.at("DE")
    assert stale.g_per_kwh == 100.0
    assert stale.age_s == pytest.approx(HOUR_S, abs=60)
    assert "an older value serves: source: down" in caplog.text


def test_a_past_value_never_serves_for_now(cache: Cache, source: Source) -> None:
    cache.at("DE", time.time() - 50 * HOUR_S)
    source.failing = True
    with pytest.raises(IntensityUnavailableError, match="down"):
        cache.at("DE")


def test_a_failure_is_remembered_for_a_while(cache: Cache, source: Source, clock: Clock) -> None:
    source.failing = True
    with pytest.raises(IntensityUnavailableError, match=r"try again$"):
        cache.at("DE")
    clock.ahead_s = 28
    with pytest.raises(IntensityUnavailableError, match=r"down.*, and not again within 30 s"):
        cache.at("DE")
    assert source.asked == 1
    clock.ahead_s = 31
    source.failing = False
    assert cache.at("DE").g_per_kwh == 100.0


def test_a_refused_forecast_keeps_nobody_from_asking_for_now(cache: Cache, source: Source) -> None:
    source.failing = True
    with pytest.raises(IntensityUnavailableError):
        cache.forecast("DE", time.time(), time.time() + HOUR_S)
    source.failing = False
    assert cache.at("DE").g_per_kwh == 100.0


def test_while_a_failure_is_remembered_the_old_value_serves_unasked(
    cache: Cache, source: Source, clock: Clock
) -> None:
    source.late_s = 2 * HOUR_S
    cache.at("DE")
    clock.ahead_s = 301
    source.failing = True
    for _ in range(5):
        assert cache.at("DE").age_s > 0
    assert source.asked == 2


def test_past_values_are_asked_for_once(cache: Cache, source: Source, clock: Clock) -> None:
    then_s = (time.time() // HOUR_S - 30) * HOUR_S
    first = cache.at("DE", then_s + 10)
    clock.ahead_s = 10 * HOUR_S
    assert cache.at("DE", then_s + 3000) == first
    cache.at("DE", then_s + HOUR_S)
    assert source.asked == 2


def test_what_was_forecast_of_a_time_is_asked_for_again(
    cache: Cache, source: Source, clock: Clock
) -> None:
    source.kind = "forecast"
    ahead_s = time.time() + 120
    cache.at("DE", ahead_s)
    cache.at("DE", ahead_s)
    assert source.asked == 1
    clock.ahead_s = 400
    source.kind = "actual"
    assert cache.at("DE", ahead_s).kind == "actual"
    assert source.asked == 2


def test_a_forecast_serves_windows_within_it(cache: Cache, source: Source) -> None:
    now_s = time.time()
    cache.forecast("DE", now_s, now_s + 24 * HOUR_S)
    inner = cache.forecast("DE", now_s + HOUR_S, now_s + 3 * HOUR_S)
    assert inner[0].valid_from_s <= now_s + HOUR_S
    assert inner[-1].valid_until_s >= now_s + 3 * HOUR_S
    assert len(inner) <= 4
    assert source.asked == 1
    cache.forecast("DE", now_s, now_s + 48 * HOUR_S)
    assert source.asked == 2


def test_an_old_forecast_serves_where_the_source_fails(
    cache: Cache, source: Source, clock: Clock
) -> None:
    now_s = time.time()
    cache.forecast("DE", now_s, now_s + 24 * HOUR_S)
    clock.ahead_s = 301
    source.failing = True
    assert cache.forecast("DE", now_s, now_s + 3 * HOUR_S)
    with pytest.raises(IntensityUnavailableError, match="down"):
        cache.forecast("DE", now_s, now_s + 70 * HOUR_S)


def test_many_threads_make_one_request(cache: Cache, source: Source) -> None:
    source.slow_s = 0.2
    gate = threading.Barrier(8)

    def ask(_: int) -> Intensity:
        gate.wait()
        return cache.at("DE")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert source.asked == 1


def test_many_threads_share_one_failure(cache: Cache, source: Source) -> None:
    source.slow_s, source.failing = 0.2, True
    gate = threading.Barrier(8)

    def ask(_: int) -> str:
        gate.wait()
        with pytest.raises(IntensityUnavailableError) as caught:
            cache.at("DE")
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        assert all("down" in told for told in pool.map(ask, range(8)))
    assert source.asked == 1


def test_another_process_finds_what_was_asked_for(source: Source, tmp_path: Path) -> None:
    now_s, then_s = time.time(), time.time() - 30 * HOUR_S
    cache = again(source, tmp_path)
    asked = cache.at("DE"), cache.at("DE", then_s), cache.forecast("DE", now_s, now_s + HOUR_S)
    other = again(source, tmp_path)
    found = other.at("DE"), other.at("DE", then_s), other.forecast("DE", now_s, now_s + HOUR_S)
    assert [found[0], found[1], list(found[2])] == [asked[0], asked[1], list(asked[2])]
    assert source.asked == 3
    assert len(files(tmp_path)) == 1


def test_what_another_process_asked_for_later_is_taken(
    source: Source, tmp_path: Path, clock: Clock
) -> None:
    source.late_s = 2 * HOUR_S
    ours = again(source, tmp_path)
    ours.at("DE")
    clock.ahead_s = 301
    source.g_per_kwh, source.late_s = 50.0, 0.0
    again(source, tmp_path).at("DE")
    assert ours.at("DE").g_per_kwh == 50.0
    assert source.asked == 2


def test_sources_with_other_settings_share_nothing(tmp_path: Path) -> None:
    average, marginal = Source("watttime co2_aoer"), Source("watttime co2_moer")
    again(average, tmp_path).at("DE")
    marginal.g_per_kwh = 700.0
    assert again(marginal, tmp_path).at("DE").g_per_kwh == 700.0
    assert len(files(tmp_path)) == 2


def changed(**fields: object) -> object:
    def change(text: bytes) -> bytes:
        return json.dumps({**json.loads(text), **fields}).encode()

    return change


def poisoned(**fields: object) -> object:
    def change(text: bytes) -> bytes:
        shelf = json.loads(text)
        shelf["now"]["points"][0].update(fields)
        return json.dumps(shelf).encode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: b"\xff\x00" * 100,
        lambda text: b"[" * 100_000,
        lambda text: b"null",
        changed(version=0),
        changed(version=2),
        changed(identity="another"),
        changed(zone="FR"),
        changed(now={"asked_s": 1.0, "points": []}),
        poisoned(g_per_kwh=-1),
        poisoned(g_per_kwh="7"),
        poisoned(g_per_kwh=None),
        poisoned(zone="FR"),
        poisoned(kind="guess"),
        poisoned(valid_until_s=0.0),
    ],
)
def test_a_file_that_is_torn_foreign_or_old_is_written_anew(
    source: Source, tmp_path: Path, change: object
) -> None:
    again(source, tmp_path).at("DE")
    (file,) = files(tmp_path)
    file.write_bytes(change(file.read_bytes()))
    source.g_per_kwh = 50.0
    assert again(source, tmp_path).at("DE").g_per_kwh == 50.0
    assert source.asked == 2
    assert again(source, tmp_path).at("DE").g_per_kwh == 50.0
    assert source.asked == 2


def test_an_answer_from_the_future_is_not_believed(source: Source, tmp_path: Path) -> None:
    again(source, tmp_path).at("DE")
    (file,) = files(tmp_path)
    shelf = json.loads(file.read_bytes())
    shelf["now"]["asked_s"] += 10 * HOUR_S
    file.write_text(json.dumps(shelf))
    source.g_per_kwh = 50.0
    assert again(source, tmp_path).at("DE").g_per_kwh == 50.0


def test_after_the_clock_is_set_back_nothing_is_fresh_for_long(
    source: Source, clock: Clock
) -> None:
    cache = Cache(source, directory=False)
    source.late_s = 2 * HOUR_S
    cache.at("DE")
    clock.ahead_s = -10 * HOUR_S
    cache.at("DE")
    assert source.asked == 2


def test_a_directory_that_cannot_be_written_to_is_logged_once(
    source: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    cache = again(source, tmp_path)
    for zone in ("DE", "FR", "DE", "PL"):
        assert cache.at(zone).g_per_kwh == 100.0
    assert source.asked == 3
    told = [r for r in caplog.records if "kept in memory alone" in r.getMessage()]
    assert len(told) == 1


def test_a_value_without_an_end_is_kept_in_memory_alone(tmp_path: Path) -> None:
    class Forever(Source):
        def at(self, zone: str, when: float | None = None) -> Intensity:
            return replace(super().at(zone, when), valid_until_s=float("inf"))

    source = Forever()
    cache = again(source, tmp_path)
    cache.at("DE")
    cache.at("DE")
    assert source.asked == 1
    again(source, tmp_path).at("DE")
    assert source.asked == 2


@pytest.mark.parametrize("zone", ["../../etc/passwd", "a/b", "ü", "x" * 500, "CON"])
def test_no_zone_leads_out_of_the_directory(source: Source, tmp_path: Path, zone: str) -> None:
    cache = again(source, tmp_path)
    cache.at(zone)
    assert len(files(tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_only_so_many_past_values_are_kept(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carbonedge.carbon.intensity.cache._MOST", 20)
    cache = again(source, tmp_path)
    for hours in range(30):
        cache.at("DE", 1e9 + hours * HOUR_S)
    (file,) = files(tmp_path)
    assert len(json.loads(file.read_bytes())["past"]) == 20


def test_nothing_on_disk_or_in_repr_holds_a_key(provider: Provider, tmp_path: Path) -> None:
    now_s = time.time() // HOUR_S * HOUR_S
    value = {"zone": "DE", "carbonIntensity": 216, "datetime": iso(now_s)}
    provider.say("/v4/carbon-intensity/latest", value, Answer({"error": KEY}, 401))
    cache = Cache(ElectricityMaps(KEY, base_url=provider.url), directory=tmp_path / "cache")
    assert cache.at("DE").g_per_kwh == 216
    assert not shown(files(tmp_path)[0].read_text() + repr(cache) + cache.identity)
    assert "[key]" in failing(lambda: cache.at("FR"))
    assert "[key]" in failing(lambda: cache.at("FR"))
    assert len(provider.requests) == 2
    assert (cache.accounting, cache.factors) == ("average", "lifecycle")


def test_a_signal_without_identity_is_kept_in_memory_alone(tmp_path: Path) -> None:
    source = Source("")
    with pytest.raises(ValueError, match="give directory=False"):
        Cache(source, directory=tmp_path)
    assert Cache(source, directory=False).at("DE").g_per_kwh == 100.0


def test_the_users_cache_directory_is_the_default(
    source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    Cache(source).at("DE")
    assert len(list((tmp_path / "carbonedge" / "intensity").iterdir())) == 1


def test_closing_it_closes_the_signal(cache: Cache, source: Source) -> None:
    cache.close()
    assert source.closed


def test_wrong_arguments_are_not_remembered(cache: Cache, source: Source) -> None:
    with pytest.raises(ValueError, match="not after the start"):
        cache.forecast("DE", 10.0, 10.0)
    with pytest.raises(ValueError, match="give its name"):
        cache.at("")
    assert source.asked == 0
    with pytest.raises(ValueError, match="fresh_s"):
        Cache(source, directory=False, fresh_s=-1.0)


def test_processes_that_hammer_one_directory_never_read_half_a_file(tmp_path: Path) -> None:
    command = [sys.executable, hammer.__file__, str(tmp_path), "150"]
    path = os.pathsep.join(sys.path)
    running = [
        subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    while any(process.poll() is None for process in running):
        for file in tmp_path.glob("*.json"):
            shelf = json.loads(file.read_bytes())
            assert shelf["now"]["points"][0]["zone"] == shelf["zone"]
    for process in running:
        assert process.wait() == 0, process.stderr.read()
        process.stderr.close()
    assert len(list(tmp_path.iterdir())) == len(hammer.ZONES)
