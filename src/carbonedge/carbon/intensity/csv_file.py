"""Files of intensities: which column holds what, and from rows to series."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from carbonedge._validation import LARGEST
from carbonedge._validation import slots as at_least_one_whole
from carbonedge.carbon.intensity.series import Series
from carbonedge.carbon.intensity.signal import Accounting, Factors, Kind
from carbonedge.carbon.intensity.times import stamp

__all__ = ["read_csv"]

# As carbonedge and Electricity Maps name them, in lower case.
ZONE_COLUMNS = ("zone", "zone id")
TIME_COLUMNS = ("timestamp", "datetime", "datetime (utc)")
VALUE_COLUMNS = ("g_per_kwh", "carbon_intensity", "carbonintensity")
VALUE_COLUMNS_BY_FACTORS = {
    "lifecycle": (
        "carbon intensity gco\N{SUBSCRIPT TWO}eq/kwh (life cycle)",
        "carbon intensity gco\N{SUBSCRIPT TWO}eq/kwh (lca)",
    ),
    "direct": ("carbon intensity gco\N{SUBSCRIPT TWO}eq/kwh (direct)",),
}
ESTIMATED_COLUMNS = ("data estimated",)

MOST_SLOTS = 10_000_000
"""A century in steps of five minutes: more is a wrong year."""

BLANKS = ("", "nan", "null", "none", "na", "n/a")
OTHER_UNITS = ("lb", "mwh", "percent")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row to look."""

    time: int
    value: int
    zone: int | None
    estimated: int | None
    in_utc: bool
    """Whether times without a time zone are in UTC."""

    @property
    def width(self) -> int:
        """What a row has at least."""
        return 1 + max(self.time, self.value, self.zone or 0, self.estimated or 0)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a file says of one zone."""

    lines: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    estimated: list[bool] = field(default_factory=list)


def read_csv(
    path: str | os.PathLike[str],
    *,
    zone: str | None,
    zone_column: str | None,
    time_column: str | None,
    value_column: str | None,
    utc: bool,
    step_s: int | None,
    max_gap_s: float,
    kind: Kind,
    accounting: Accounting,
    factors: Factors,
) -> list[Series]:
    """The series of a file, as `Trace.from_csv` describes it."""
    path = Path(path)
    if step_s is not None:
        step_s = at_least_one_whole("step_s", step_s)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            columns = _columns(header, zone_column, time_column, value_column, utc, factors)
            lines = ((reader.line_num, row) for row in reader if row)
            by_zone = _by_zone(lines, columns, zone, path.stem)
        return [
            _series(
                name,
                rows,
                source=f"trace {path.name}",
                step_s=step_s,
                max_gap_s=max_gap_s,
                kind=kind,
                accounting=accounting,
                factors=factors,
            )
            for name, rows in by_zone.items()
        ]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: it is not UTF-8 text") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error


def _columns(
    header: Sequence[str],
    zone_column: str | None,
    time_column: str | None,
    value_column: str | None,
    utc: bool,
    factors: Factors,
) -> _Columns:
    time = _column(header, "time_column", time_column, TIME_COLUMNS)
    values = (*VALUE_COLUMNS_BY_FACTORS[factors], *VALUE_COLUMNS)
    value = _column(header, "value_column", value_column, values)
    if time is None:
        raise ValueError(
            f"no column is known to hold times: name it as time_column; {_there_are(header)}"
        )
    if value is None:
        raise ValueError(
            f"no column is known to hold {factors} gCO2eq/kWh: name it as value_column; "
            f"{_there_are(header)}"
        )
    if any(unit in header[value].lower() for unit in OTHER_UNITS):
        raise ValueError(
            f"column {header[value]!r} seems not to hold gCO2eq/kWh: convert it (1 lb/MWh is "
            "0.45359237 g/kWh) and rename it"
        )
    return _Columns(
        time,
        value,
        _column(header, "zone_column", zone_column, ZONE_COLUMNS),
        _column(header, "", None, ESTIMATED_COLUMNS),
        utc or "utc" in header[time].lower(),
    )


def _column(
    header: Sequence[str], what: str, given: str | None, known: Sequence[str]
) -> int | None:
    """The position of the column of a given name, or else of a known one."""
    if given is None:
        names = [name.strip().lower() for name in header]
        return next((names.index(name) for name in known if name in names), None)
    if given not in header:
        raise ValueError(f"there is no column {given!r}, given as {what}: {_there_are(header)}")
    return header.index(given)


def _there_are(header: Sequence[str]) -> str:
    if len(header) == 1:
        return f"there is {header[0]!r} alone, and commas part columns"
    return f"there are {', '.join(map(repr, header))}" if header else "the file is empty"


def _by_zone(
    lines: Iterable[tuple[int, list[str]]], columns: _Columns, wanted: str | None, otherwise: str
) -> dict[str, _Rows]:
    """Rows by zone: of the wanted one, or of all; of one zone where no column tells them apart."""
    by_zone: dict[str, _Rows] = {}
    others: set[str] = set()
    zone = wanted or otherwise
    for line, row in lines:
        try:
            if columns.zone is not None and len(row) > columns.zone:
                zone = row[columns.zone].strip()
                if zone != (wanted or zone):
                    others.add(zone)
                    continue
                if not zone:
                    raise ValueError("its zone is blank")
            rows = by_zone.setdefault(zone, _Rows())
            _add(rows, line, row, columns)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from error
    if not by_zone:
        seen = f" of zone {wanted!r}: there are {', '.join(sorted(others))}" if others else ""
        raise ValueError(f"there are no rows{seen}")
    return by_zone


def _add(rows: _Rows, line: int, row: list[str], columns: _Columns) -> None:
    if len(row) < columns.width:
        raise ValueError(f"it has {len(row)} columns: at least {columns.width} are needed")
    rows.lines.append(line)
    rows.times_s.append(_time_s(row[columns.time].strip(), columns.in_utc))
    rows.values.append(_value(row[columns.value].strip()))
    if columns.estimated is not None:
        rows.estimated.append(row[columns.estimated].strip().lower() == "true")


def _time_s(text: str, in_utc: bool) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write it as 2022-06-01T00:00:00Z") from None
    if when.tzinfo is None:
        if not in_utc:
            raise ValueError(
                f"the time {text!r} has no time zone: end it with Z or an offset, or say that all "
                "are in UTC (utc=True)"
            )
        when = when.replace(tzinfo=UTC)
    if when.microsecond:
        raise ValueError(f"the time {text!r} has fractions of a second: give whole ones")
    return when.timestamp()


def _value(text: str) -> float:
    if text.lower() in BLANKS:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number: give gCO2eq/kWh, or leave it blank") from None
    if not 0 <= value <= LARGEST:
        raise ValueError(f"the intensity is {value:g}: it must be finite and 0 or above")
    return value


def _series(
    zone: str,
    rows: _Rows,
    *,
    source: str,
    step_s: int | None,
    max_gap_s: float,
    kind: Kind,
    accounting: Accounting,
    factors: Factors,
) -> Series:
    """Rows laid out on their grid of time."""
    times_s = np.array(rows.times_s)
    steps_s = np.diff(times_s)
    for row in np.flatnonzero(steps_s <= 0)[:1] + 1:
        remedy = "drop one" if times_s[row] == times_s[row - 1] else "sort the rows"
        raise ValueError(
            f"line {rows.lines[row]}: {stamp(times_s[row])} follows {stamp(times_s[row - 1])}: "
            f"{remedy}"
        )
    if step_s is None:
        step_s = _commonest(steps_s)
    slots, off_s = np.divmod(times_s - times_s[0], step_s)
    for row in np.flatnonzero(off_s)[:1]:
        raise ValueError(
            f"line {rows.lines[row]}: {stamp(times_s[row])} is no multiple of {step_s} s after "
            f"{stamp(times_s[0])}: correct it, or give step_s"
        )
    if slots[-1] >= MOST_SLOTS:
        row = int(steps_s.argmax()) + 1
        raise ValueError(
            f"line {rows.lines[row]}: from {stamp(times_s[row - 1])} to {stamp(times_s[row])} too "
            f"many rows are missing: check the year, or step_s, which is {step_s}"
        )
    places = slots.astype(np.int64)
    values = np.full(places[-1] + 1, np.nan)
    values[places] = rows.values
    estimated = np.zeros(values.size, dtype=bool)
    estimated[places] = rows.estimated or False
    return Series(
        zone,
        values,
        source=source,
        start_s=int(times_s[0]),
        step_s=step_s,
        estimated=estimated,
        max_gap_s=max_gap_s,
        kind=kind,
        accounting=accounting,
        factors=factors,
    )


def _commonest(steps_s: npt.NDArray[np.float64]) -> int:
    """The difference between most neighbours, the least of several: a stray row is no step."""
    if not steps_s.size:
        raise ValueError("from one row the step cannot be told: give step_s")
    steps, counts = np.unique(steps_s, return_counts=True)
    return int(steps[counts.argmax()])
