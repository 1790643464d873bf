"""What a ledger holds of some time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from carbonedge._validation import positive
from carbonedge.carbon.entry import Origin
from carbonedge.carbon.intensity.signal import Accounting, Factors, Kind, seconds
from carbonedge.carbon.intensity.times import stamp
from carbonedge.carbon.ledger_file import open_to_read
from carbonedge.carbon.ledger_tables import (
    HOUR_S,
    SUMS_OF_HOURS,
    YEAR_10000_S,
    Sums,
    sums_of_entries,
)

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Cell", "IntensitySource", "Window", "read_window"]


@dataclass(frozen=True, slots=True)
class IntensitySource:
    """Where carbon intensities are from; the parameters are those of `Intensity`."""

    zone: str
    source: str
    kind: Kind
    accounting: Accounting
    factors: Factors


@dataclass(frozen=True, slots=True)
class Cell:
    """The entries of an hour, or another step of time, with one origin and intensity source.

    Parameters
    ----------
    start_s
        When the step began, in seconds since 1970.
    origin, source
        What they have in common.
    sums
        What they come to.
    """

    start_s: float
    origin: Origin
    source: IntensitySource
    sums: Sums

    @property
    def energy_j(self) -> float:
        """Of the nodes, without PUE."""
        sums = self.sums
        return sums.cpu_j + sums.memory_j + sums.gpu_j + sums.machine_j

    @property
    def emissions_g(self) -> float:
        """Operational and embodied, transfers in."""
        return self.sums.operational_g + self.sums.embodied_g + self.sums.transfer_g


@dataclass(frozen=True, slots=True)
class Window:
    """What a ledger holds from one time until another.

    Parameters
    ----------
    since_s, until_s
        The half-open time that was asked for, in seconds since 1970; infinite where it has
        no end.
    step_s
        How long a step is that entries are summed over.
    cells
        All entries whose stage began in it.
    origins
        All of the ledger, whenever they ran.
    """

    since_s: float
    until_s: float
    step_s: float
    cells: tuple[Cell, ...]
    origins: tuple[Origin, ...]


def read_window(
    path: str | os.PathLike[str],
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    *,
    step_s: float = HOUR_S,
) -> Window:
    """Read a ledger, also while it is written to, at one moment.

    Parameters
    ----------
    path
        The ledger.
    since, until
        The half-open time, as aware datetimes or in seconds since 1970; all there is where
        left out.
    step_s
        What to sum over. Hours are summed already; anything else takes longer.

    Raises
    ------
    ValueError
        If there is no ledger, a time is not of the years 1970 to 9999, it does not end after
        it starts, or a step is not above 0.
    """
    import sqlite3

    step_s = positive("step_s", step_s)
    since_s = -math.inf if since is None else _moment("since", since)
    until_s = math.inf if until is None else _moment("until", until)
    if since_s >= until_s:
        raise ValueError(
            f"since {stamp(since_s)} is not before until {stamp(until_s)}: give a later until"
        )
    connection = open_to_read(path)
    try:
        cells, origins = _read(connection, since_s, until_s, step_s)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"cannot read the ledger {os.fspath(path)!r}: {error}") from error
    finally:
        connection.close()
    return Window(since_s, until_s, step_s, cells, origins)


def _moment(what: str, when: datetime | float) -> float:
    moment_s = seconds(when)
    if not 0 <= moment_s < YEAR_10000_S:
        raise ValueError(f"{what} is {moment_s:g} s since 1970: give a time from then to 9999")
    return moment_s


def _read(
    connection: sqlite3.Connection, since_s: float, until_s: float, step_s: float
) -> tuple[tuple[Cell, ...], tuple[Origin, ...]]:
    # One transaction sees one moment, whatever is written meanwhile.
    connection.execute("BEGIN")
    origins = {id_: Origin(*values) for id_, *values in _rows(connection, "origin")}
    sources = {
        id_: IntensitySource(*values) for id_, *values in _rows(connection, "intensity_source")
    }
    cells = tuple(
        Cell(step * step_s, origins[origin], sources[source], Sums(*sums))
        for step, origin, source, *sums in _sums(connection, since_s, until_s, step_s)
    )
    return cells, tuple(origins.values())


def _rows(connection: sqlite3.Connection, table: str) -> sqlite3.Cursor:
    return connection.execute(f"SELECT * FROM {table}")


def _sums(
    connection: sqlite3.Connection, since_s: float, until_s: float, step_s: float
) -> Iterator[tuple[Any, ...]]:
    """Hours as they were summed when written, and what is cut off of others entry by entry."""
    first, stop = math.inf, -math.inf
    if step_s == HOUR_S:
        first = float(math.ceil(since_s / HOUR_S)) if since_s > -math.inf else since_s
        stop = float(math.floor(until_s / HOUR_S)) if until_s < math.inf else until_s
    if first < stop:
        yield from connection.execute(
            f"{SUMS_OF_HOURS} WHERE hour >= ? AND hour < ?", (first, stop)
        )
        one_by_one = [(since_s, first * HOUR_S), (stop * HOUR_S, until_s)]
    else:
        one_by_one = [(since_s, until_s)]
    for begin, end in one_by_one:
        if begin < end:
            yield from connection.execute(
                sums_of_entries("time_s >= ? AND time_s < ?", step_s), (begin, end)
            )
