from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.country import CountryAverages
from carbonedge.carbon.intensity.iso_3166 import ALPHA_3
from carbonedge.carbon.intensity.signal import Signal

COUNTRIES = {
    "DEU": {"country_name": "Germany", "carbon_intensity": 380.95, "year": 2023},
    "CAF": {"country_name": "Central African Republic", "carbon_intensity": 0.0, "year": 2022},
}


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A codecarbon of another release, before the one that is installed."""
    folder = tmp_path / "codecarbon" / "data" / "private_infra"
    folder.mkdir(parents=True)
    (tmp_path / "codecarbon" / "__init__.py").write_text("raise AssertionError('imported')")
    (folder / "global_energy_mix.json").write_text(json.dumps(COUNTRIES))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "codecarbon", raising=False)
    return folder / "global_energy_mix.json"


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("zone", ["DEU", "DE", "deu", "de", "Germany", "GERMANY"])
def test_a_country_goes_by_its_codes_and_its_name(zone: str) -> None:
    signal: Signal = CountryAverages()
    value = signal.at(zone)
    assert (value.g_per_kwh, value.zone, value.kind) == (380.95, zone, "static")
    assert (value.accounting, value.factors) == ("average", "lifecycle")
    assert value.source == "codecarbon, average of Germany in 2023"
    assert signal.at(zone, 0) is value
    assert signal.forecast(zone, 0, 1) == [value]
    assert signal.immediate


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("zone", ["FR", "US-CISO", "", "CAF"])
def test_no_other_zone_is_known_and_nought_is_no_average(zone: str) -> None:
    with pytest.raises(IntensityUnavailableError, match=f"'{zone}' is no country of which"):
        CountryAverages().at(zone)


def test_data_of_another_form_are_unavailable(packaged: Path) -> None:
    for text in ("{", "[]", '{"DEU": {}}', '{"DEU": 3}', '{"DEU": {"carbon_intensity": null}}'):
        packaged.write_text(text)
        with pytest.raises(IntensityUnavailableError, match="no averages of countries"):
            CountryAverages()
    packaged.unlink()
    with pytest.raises(IntensityUnavailableError, match="no averages of countries"):
        CountryAverages()


def test_without_codecarbon_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(IntensityUnavailableError, match=r'pip install "carbonedge\[codecarbon\]"'):
        CountryAverages()


def test_the_data_installed_are_read_without_importing_codecarbon() -> None:
    pytest.importorskip("codecarbon", reason="the extra [codecarbon] is not installed")
    code = (
        "import sys; from carbonedge.carbon.intensity.country import CountryAverages; "
        "print(CountryAverages().at('FR').g_per_kwh, 'codecarbon' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    value, imported = done.stdout.split()
    assert 10 < float(value) < 200
    assert imported == "False"


def test_codes_are_those_of_iso_3166() -> None:
    assert len(ALPHA_3) == len(set(ALPHA_3.values())) == 249
    assert all(len(two) == 2 and len(three) == 3 for two, three in ALPHA_3.items())
    assert [ALPHA_3[two] for two in ("GB", "CH", "US", "KR")] == ["GBR", "CHE", "USA", "KOR"]
