from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity import Chain, Static, Trace, open_cluster_signal, open_signal

FILE = """timestamp,g_per_kwh
2022-06-01T00:00Z,100
2022-06-01T01:00Z,200
2022-06-01T02:00Z,300
"""


class Live:
    """What was opened in the place of a live source."""

    immediate = False

    def __init__(
        self,
        key: str | None = None,
        password: str | None = None,
        *,
        key_file: str | Path | None = None,
        factors: str = "lifecycle",
    ) -> None:
        self.settings = {"key_file": key_file, "factors": factors}


class Sdk:
    def __init__(self, base_url: str, *, accounting: str, factors: str) -> None:
        self.settings = (base_url, accounting, factors)


class Cache:
    def __init__(self, signal: Live, *, fresh_s: float = 300.0) -> None:
        self.signal = signal
        self.fresh_s = fresh_s


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """To work in, with a trace."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DE.csv").write_text(FILE)
    return tmp_path


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live sources that ask nobody."""
    for module, name, kind in (
        ("electricity_maps", "ElectricityMaps", Live),
        ("watttime", "WattTime", Live),
        ("uk", "UkCarbonIntensity", Live),
        ("carbon_aware_sdk", "CarbonAwareSdk", Sdk),
        ("cache", "Cache", Cache),
    ):
        fake = ModuleType(module)
        setattr(fake, name, kind)
        monkeypatch.setitem(sys.modules, f"carbonedge.carbon.intensity.{module}", fake)


def test_a_static_value_is_opened_by_its_number() -> None:
    assert open_signal("static:380").at("DE").g_per_kwh == 380


@pytest.mark.usefixtures("folder")
def test_a_trace_is_opened_as_it_was_or_from_a_time_on() -> None:
    assert open_signal("trace:DE.csv").at("DE", 1654045200 + 1).g_per_kwh == 200
    replayed = open_signal("trace:DE.csv@2022-06-01T02:00+00:00")
    assert replayed.at("DE").g_per_kwh == 300
    with pytest.raises(ValueError, match="'2022-06-01' has no time zone"):
        open_signal("trace:DE.csv@2022-06-01")
    with pytest.raises(ValueError, match="lasts from"):
        open_signal("trace:DE.csv@2023-06-01T00:00Z")


def test_an_at_sign_may_be_part_of_a_name(folder: Path) -> None:
    (folder / "me@home.csv").write_text(FILE)
    assert open_signal("trace:me@home.csv").at("me@home", 1654041600).g_per_kwh == 100


@pytest.mark.usefixtures("folder")
def test_commas_make_a_chain() -> None:
    chain = open_signal("trace:DE.csv, static:380")
    assert isinstance(chain, Chain)
    assert chain.at("DE", 1654041600).g_per_kwh == 100
    assert chain.at("DE").g_per_kwh == 380


@pytest.mark.usefixtures("live")
def test_live_sources_are_kept_in_a_cache() -> None:
    for name in ("electricitymaps", "watttime", "uk"):
        signal: Any = open_signal(name)
        assert isinstance(signal, Cache)
        assert isinstance(signal.signal, Live)
    sdk: Any = open_signal("carbon-aware-sdk:marginal:direct:https://example.org:5073/api")
    assert sdk.signal.settings == ("https://example.org:5073/api", "marginal", "direct")


@pytest.mark.usefixtures("live")
def test_the_cache_of_a_live_source_may_be_set_or_left_out() -> None:
    table = {"source": "electricitymaps", "factors": "direct"}
    bare: Any = open_signal({**table, "cache": False})
    assert isinstance(bare, Live)
    assert bare.settings["factors"] == "direct"
    cached: Any = open_signal({**table, "cache": {"fresh_s": 60}})
    assert cached.fresh_s == 60
    assert isinstance(open_signal({**table, "cache": True}), Cache)
    with pytest.raises(TypeError, match="cache is 3: give true, false, or a table"):
        open_signal({**table, "cache": 3})


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("secret", ["key", "password"])
def test_secrets_are_not_taken_from_tables_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match=f"as {secret}_file, or set it in the env") as error:
        open_signal({"source": "watttime", secret: "hunter2"})
    assert "hunter2" not in str(error.value)


@pytest.mark.usefixtures("live")
def test_files_are_relative_to_the_base(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "FR.csv").write_text(FILE)
    signal = open_signal({"source": "trace", "path": "FR.csv"}, base=folder / "there")
    assert isinstance(signal, Trace)
    assert signal.zones == ("FR",)
    maps: Any = open_signal({"source": "electricitymaps", "key_file": "key"}, base=folder)
    assert maps.signal.settings["key_file"] == folder / "key"
    absolute = {"source": "trace", "path": str(folder / "DE.csv")}
    assert open_signal(absolute, base=folder / "there").at("DE", 1654041600)


def test_a_table_takes_what_its_class_takes(folder: Path) -> None:
    static = {"source": "static", "g_per_kwh": {"DE": 380}, "accounting": "marginal"}
    assert open_signal(static).at("DE").accounting == "marginal"
    trace = open_signal(
        {
            "source": "trace",
            "path": "DE.csv",
            "zone": "X",
            "replayed_from": "2022-06-01T01:00Z",
            "replayed_at": "2030-01-01T00:00Z",
        },
        base=folder,
    )
    assert trace.at("X", 1893456000).g_per_kwh == 200


def test_limits_apply_to_a_chain_or_to_one_source() -> None:
    mixed = {
        "chain": [
            {"source": "static", "g_per_kwh": {"US": 700}, "accounting": "marginal"},
            "static:380",
        ]
    }
    chain = open_signal({**mixed, "mixed": True, "max_age_s": 60})
    assert (chain.at("US").accounting, chain.at("DE").accounting) == ("marginal", "average")
    refusing = open_signal(mixed)
    refusing.at("US")
    with pytest.raises(IntensityUnavailableError, match="do not compare"):
        refusing.at("DE")
    assert isinstance(open_signal({"source": "static", "g_per_kwh": 1, "max_age_s": 60}), Chain)


def test_live_sources_take_their_settings_from_a_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "key").write_text("k")
    (folder / "key").chmod(0o600)
    monkeypatch.setenv("WATTTIME_USERNAME", "me")
    url, off = "http://127.0.0.1:1", {"cache": {"directory": str(folder)}}
    tables = (
        {"source": "electricitymaps", "key_file": "key", "version": "v3", "factors": "direct"},
        {"source": "watttime", "password_file": "key", "signal_type": "co2_aoer"},
        {"source": "uk"},
        {"source": "carbon-aware-sdk", "accounting": "marginal", "factors": "direct"},
    )
    identities = [
        repr(open_signal({**table, **off, "base_url": url, "timeout_s": 5}, base=folder))
        for table in tables
    ]
    assert identities == [
        f"<Cache of electricitymaps v3 direct {url}>",
        f"<Cache of watttime v3 co2_aoer {url}>",
        f"<Cache of uk {url}>",
        f"<Cache of carbon-aware-sdk marginal direct {url}>",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "no source of intensities 'nonsense': give any of static:G_PER_KWH, trace:"),
        ("", "no source of intensities ''"),
        ("static:1,", "no source of intensities ''"),
        ("static", "is 'static': write it as static:G_PER_KWH"),
        ("static:x", "is 'static:x': write it as static:G_PER_KWH"),
        ("carbon-aware-sdk:http://x", "write it as carbon-aware-sdk:ACCOUNTING:FACTORS:URL"),
        ("carbon-aware-sdk:average", "write it as carbon-aware-sdk:ACCOUNTING:FACTORS:URL"),
        ("trace:", "is 'trace:': write it as trace:FILE"),
        ("country:DE", "is 'country:DE': write it as country"),
        ({}, "no source of intensities None"),
        ({"source": "static"}, "source 'static' needs the setting 'g_per_kwh'"),
        ({"source": "static", "g_per_kwh": 1, "x": 2}, "no setting 'x': known are g_per_kwh, acc"),
        ({"source": "static", "g_per_kwh": 1, "cache": False}, "no setting 'cache'"),
        ({"source": "trace", "path": "x", "replayed_at": "y"}, "give 'replayed_from' too"),
        ({"chain": ["static:1"], "path": "x"}, "a chain has path beside it: only"),
        ({"chain": []}, "a chain of no signals"),
    ],
)
def test_what_is_not_known_is_refused_and_what_is_listed(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_signal(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"source": "trace", "path": 3}, "^path of source 'trace' is 3: give text$"),
        ({"source": "trace", "path": "x", "utc": "no"}, "^utc of source 'trace' is 'no': give tr"),
        ({"source": "static", "g_per_kwh": "9"}, "is '9': give a number or a table, each of it a"),
        ({"source": "static", "g_per_kwh": {"DE": "9"}}, "is {'DE': '9'}: give a number or a t"),
        ({"source": "uk", "timeout_s": "9"}, "^timeout_s of source 'uk' is '9': give a number$"),
        ({"source": "uk", "cache": {"fresh_s": "9"}}, "^fresh_s of the cache is '9': give a num"),
        ({"source": "uk", "cache": {"directory": True}}, "^directory of the cache is True: give"),
        ({"source": "uk", "cache": {"fresh": 9}}, "^the cache has no setting 'fresh': known are"),
        ({"source": "static", "g_per_kwh": 1, "mixed": "no"}, "^mixed of a chain is 'no': give"),
        ({"chain": ["static:1"], "max_age_s": "1h"}, "^max_age_s of a chain is '1h': give a num"),
    ],
)
def test_values_of_a_wrong_type_are_refused_with_what_to_give(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_signal(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (3, "an intensity is 3: give a text"),
        ({"chain": [3]}, "an intensity is 3: give a text"),
        ({"chain": "static:1"}, "a chain is no list"),
    ],
)
def test_types_are_checked(spec: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        open_signal(spec)


def test_a_cluster_file_names_its_source(folder: Path) -> None:
    path = folder / "there" / "cluster.toml"
    path.parent.mkdir()
    (path.parent / "FR.csv").write_text(FILE)
    path.write_text(
        "[intensity]\nmax_age_s = 7200\n"
        "[[intensity.chain]]\nsource = 'trace'\npath = 'FR.csv'\n"
        "replayed_from = 2022-06-01T01:00:00Z\n"
        "[[intensity.chain]]\nsource = 'static'\ng_per_kwh = 380\n"
        "[[node]]\nname = 'a'\n"
    )
    signal = open_cluster_signal(path)
    assert signal is not None
    assert (signal.at("FR").g_per_kwh, signal.at("DE").g_per_kwh) == (200, 380)
    assert signal.at("FR").valid_until_s > time.time()


def test_a_cluster_file_may_name_none_but_no_wrong_one(folder: Path) -> None:
    path = folder / "cluster.toml"
    path.write_text("[[node]]\nname = 'a'\n")
    assert open_cluster_signal(path) is None
    for text in ("intensity = 3", "[intensity]\nsource = 'x'", "[intensity", "intensity = 'y'"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"cluster.toml: "):
            open_cluster_signal(path)
    path.write_text("intensity = 'static:380'")
    assert isinstance(open_cluster_signal(path), Static)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"cluster.toml: "):
        open_cluster_signal(path)


def test_opening_a_source_in_memory_loads_nothing_heavy() -> None:
    code = (
        "import sys; from carbonedge.carbon.intensity import open_signal; open_signal('static:1'); "
        "print([m for m in ('httpx', 'tenacity', 'platformdirs', 'sqlite3', 'codecarbon', "
        "'click', 'rich', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
