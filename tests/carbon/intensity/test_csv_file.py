from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carbonedge import IntensityUnavailableError
from carbonedge.carbon.intensity.trace import Trace

START_S = datetime(2022, 1, 1, tzinfo=UTC).timestamp()
HOUR_S = 3600
SUBSCRIPT_TWO = "\u2082"

HOURLY = """timestamp,g_per_kwh
2022-01-01T00:00:00+00:00,100
2022-01-01T01:00:00+00:00,200
2022-01-01T02:00:00+00:00,
2022-01-01T04:00:00+00:00,500.5
"""

ELECTRICITY_MAPS = (
    "Datetime (UTC),Country,Zone name,Zone id,"
    f"Carbon intensity gCO{SUBSCRIPT_TWO}eq/kWh (direct),"
    f"Carbon intensity gCO{SUBSCRIPT_TWO}eq/kWh (Life cycle),"
    "Carbon-free energy percentage (CFE%),Data source,Data estimated,Data estimation method\n"
    "2024-01-01 00:00:00,France,France,FR,20,30.5,95,RTE,false,\n"
    "2024-01-01 01:00:00,France,France,FR,21,31.5,95,RTE,true,TIME_SLICER_AVERAGE\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "US-CISO.csv"


def read(path: Path, text: str, **more: Any) -> Trace:
    path.write_text(text, encoding="utf-8")
    return Trace.from_csv(path, **more)


def values(trace: Trace, zone: str) -> list[float]:
    return trace.series(zone).g_per_kwh.tolist()


def rows(*times: str, header: str = "timestamp,g_per_kwh") -> str:
    return "\n".join([header, *(f"{time},1" for time in times)])


def test_the_step_the_zone_and_the_gaps_of_a_file_are_found(path: Path) -> None:
    trace = read(path, HOURLY)
    assert trace.zones == ("US-CISO",)
    assert values(trace, "US-CISO") == pytest.approx([100, 200, 900.5 / 3, 1201 / 3, 500.5])
    first = trace.at("US-CISO", START_S)
    assert (first.kind, first.valid_until_s - first.valid_from_s) == ("actual", HOUR_S)
    assert first.source == "trace US-CISO.csv"
    assert trace.at("US-CISO", START_S + 3 * HOUR_S).kind == "estimated"


def test_a_file_may_hold_values_of_any_sort(path: Path) -> None:
    labels = {"kind": "forecast", "accounting": "marginal", "factors": "direct"}
    value = read(path, HOURLY, zone="CAISO_NORTH", **labels).at("CAISO_NORTH", START_S)
    assert (value.kind, value.accounting, value.factors) == ("forecast", "marginal", "direct")


def test_gaps_too_long_load_and_are_an_error_only_where_asked_for(path: Path) -> None:
    trace = read(path, HOURLY, max_gap_s=HOUR_S)
    assert trace.at("US-CISO", START_S + 4 * HOUR_S).g_per_kwh == 500.5
    with pytest.raises(IntensityUnavailableError, match=r"US-CISO.csv .* for 2 h from"):
        trace.at("US-CISO", START_S + 2 * HOUR_S)


def test_five_minutes_are_a_step_too(path: Path) -> None:
    trace = read(
        path,
        rows("2022-01-01T00:00Z", "2022-01-01T00:05Z", "2022-01-01T00:15Z", "2022-01-01T00:20Z"),
    )
    assert trace.series("US-CISO").step_s == 300
    assert len(values(trace, "US-CISO")) == 5


def test_electricity_maps_downloads_are_read_by_factors(path: Path) -> None:
    trace = read(path, ELECTRICITY_MAPS)
    assert trace.zones == ("FR",)
    assert values(trace, "FR") == [30.5, 31.5]
    assert values(read(path, ELECTRICITY_MAPS, factors="direct"), "FR") == [20, 21]


def test_what_electricity_maps_estimated_is_called_so(path: Path) -> None:
    first, second = read(path, ELECTRICITY_MAPS).forecast("FR", 1704067200, 1704067200 + 7200)
    assert (first.kind, second.kind) == ("actual", "estimated")


def test_one_file_may_hold_several_zones(path: Path) -> None:
    text = (
        "zone,timestamp,g_per_kwh\nA,2022-01-01T00:00Z,1\nB,2022-01-01T00:00Z,10\n"
        "A,2022-01-01T01:00Z,2\nB,2022-01-01T00:05Z,20\n"
    )
    trace = read(path, text)
    assert (values(trace, "A"), values(trace, "B")) == ([1, 2], [10, 20])
    assert read(path, text, zone="B").zones == ("B",)
    with pytest.raises(ValueError, match="no rows of zone 'C': there are A, B"):
        read(path, text, zone="C")


def test_columns_may_be_named(path: Path) -> None:
    text = "a,b,c\nX,2022-01-01T00:00Z,1\nX,2022-01-01T01:00Z,2\n"
    named = {"zone_column": "a", "time_column": "b", "value_column": "c"}
    assert values(read(path, text, **named), "X") == [1, 2]
    with pytest.raises(ValueError, match=r"no column 'd', given as time_column: .* 'a', 'b', 'c'"):
        read(path, text, time_column="d", value_column="c")
    with pytest.raises(ValueError, match="known to hold times: name it as time_column; there are"):
        read(path, text)
    with pytest.raises(ValueError, match="hold lifecycle gCO2eq/kWh: name it as value_column"):
        read(path, text, time_column="b")


@pytest.mark.parametrize("column", ["MOER lbs/MWh", "kg_per_MWh", "co2_percentile", "lb"])
def test_other_units_are_not_guessed(path: Path, column: str) -> None:
    with pytest.raises(ValueError, match="seems not to hold gCO2eq/kWh: convert it"):
        read(path, f"timestamp,{column}\n", value_column=column)


def test_times_without_a_zone_are_refused_unless_they_are_said_to_be_utc(path: Path) -> None:
    times = ("2022-01-01 00:00:00", "2022-01-01 01:00:00")
    with pytest.raises(ValueError, match=r"US-CISO.csv: line 2: .*no time zone: .*utc=True"):
        read(path, rows(*times))
    for trace in (
        read(path, rows(*times), utc=True),
        read(path, rows(*times, header="Datetime (UTC),carbon_intensity")),
        read(path, rows(*times, header="UTC,g_per_kwh"), time_column="UTC"),
    ):
        assert trace.series("US-CISO").start_s == START_S


def test_offsets_are_heeded(path: Path) -> None:
    trace = read(path, rows("2022-01-01T02:00+02:00", "2022-01-01T02:00+01:00"))
    assert trace.series("US-CISO").start_s == START_S


@pytest.mark.parametrize(
    ("times", "line", "message"),
    [
        (("00:00Z", "01:00Z", "01:00Z"), 4, "01:00Z follows 2022-01-01T01:00Z: drop one"),
        (("00:00Z", "02:00Z", "01:00Z"), 4, "01:00Z follows 2022-01-01T02:00Z: sort"),
        (("00:00Z", "00:30Z", "01:00Z", "02:00Z", "03:00Z", "04:00Z"), 3, "no multiple of 3600 s"),
        (("00:00Z", "01:00Z", "02:00:01Z", "03:00Z", "04:00Z"), 4, "02:00:01Z is no multiple of"),
        (("00:00Z", "25:00Z"), 3, "'2022-01-01T25:00Z' is no time"),
        (("00:00:00.5Z", "01:00:00.5Z"), 2, "fractions of a second"),
    ],
)
def test_times_off_the_grid_are_refused_with_their_line(
    path: Path, times: tuple[str, ...], line: int, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"US-CISO.csv: line {line}: .*{message}"):
        read(path, rows(*(f"2022-01-01T{time}" for time in times)))


def test_a_step_may_be_given(path: Path) -> None:
    once = rows("2022-01-01T00:00Z")
    assert read(path, once, step_s=900).at("US-CISO", START_S).valid_until_s == START_S + 900
    with pytest.raises(ValueError, match="step cannot be told: give step_s"):
        read(path, once)
    with pytest.raises(ValueError, match="step_s is 0"):
        read(path, once, step_s=0)
    half = rows("2022-01-01T00:00Z", "2022-01-01T00:30Z", "2022-01-01T01:00Z", "2022-01-01T02:00Z")
    assert len(values(read(path, half, step_s=1800), "US-CISO")) == 5


def test_a_wrong_year_does_not_fill_the_memory(path: Path) -> None:
    times = ("2022-01-01T00:00Z", "2022-01-01T00:05Z", "9022-01-01T00:10Z")
    with pytest.raises(ValueError, match=r"line 4: .*00:05Z to 9022-.* too many rows are missing"):
        read(path, rows(*times))


@pytest.mark.parametrize(
    ("value", "message"),
    [("x", "'x' is no number"), ("-1", "the intensity is -1"), ("inf", "the intensity is inf")],
)
def test_a_value_that_is_none_is_refused_with_its_line(
    path: Path, value: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"line 6: {message}"):
        read(path, HOURLY + f"2022-01-01T05:00Z,{value}\n")


@pytest.mark.parametrize("blank", ["", " ", "NaN", "null", "N/A"])
def test_blanks_come_in_many_spellings(path: Path, blank: str) -> None:
    trace = read(path, HOURLY + f"2022-01-01T05:00Z,{blank}\n2022-01-01T06:00Z,700.5\n")
    assert values(trace, "US-CISO")[5] == 600.5


def test_lines_count_as_an_editor_does(path: Path) -> None:
    text = 'timestamp,g_per_kwh,note\n2022-01-01T00:00Z,1,"two\nlines"\n\n2022-01-01T01:00Z,x,\n'
    with pytest.raises(ValueError, match="line 5: 'x' is no number"):
        read(path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column is known to hold times.*the file is empty"),
        ("timestamp,g_per_kwh\n", "there are no rows"),
        ("timestamp,g_per_kwh\n2022-01-01T00:00Z\n", "line 2: it has 1 columns: at least 2"),
        ("zone,timestamp,g_per_kwh\n,2022-01-01T00:00Z,1\n", "line 2: its zone is blank"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"US-CISO.csv: {message}"):
        read(path, text)


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"timestamp,g_per_kwh\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        Trace.from_csv(path)
    with pytest.raises(FileNotFoundError):
        Trace.from_csv(path.with_name("none.csv"))


def test_a_byte_order_mark_is_no_part_of_a_name(path: Path) -> None:
    assert read(path, "\ufeff" + HOURLY).zones == ("US-CISO",)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_file_parted_by_other_signs_than_commas_is_told_so(
    tmp_path: Path, separator: str
) -> None:
    path = tmp_path / "DE.csv"
    path.write_text(f"timestamp{separator}g_per_kwh\n2022-06-01T00:00Z{separator}1\n")
    with pytest.raises(ValueError, match=r"there is 'timestamp.*g_per_kwh' alone, and commas part"):
        Trace.from_csv(path)
