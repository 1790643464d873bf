"""Putting entries into the tables of a ledger."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from pathlib import Path

from carbonedge.carbon.entry import EntryValues, Origin
from carbonedge.carbon.ledger_file import open_to_write
from carbonedge.carbon.ledger_tables import (
    ADD_SUMS,
    COLUMNS,
    FIND_INTENSITY_SOURCE,
    FIND_ORIGIN,
    KEEP_INTENSITY_SOURCE,
    KEEP_ORIGIN,
    YEAR_10000_S,
    insert_entries,
)

__all__ = ["LedgerWriter"]

ROWS = 500
"""Most entries of one statement. Each takes the interpreter's lock anew, and a thread that
computes lets go of it every 5 ms only: one statement for each entry would be far too slow."""
LARGEST_ID = 2**63


class LedgerWriter:
    """A connection to a ledger, with the ids of what many entries share.

    Parameters
    ----------
    path
        A ledger, or where none is yet.

    Raises
    ------
    ValueError
        If there can be no ledger at the path, or there is something else.
    sqlite3.Error
        If the system refuses, which may pass.
    """

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._connection = open_to_write(path)
        most_values = self._connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._rows = min(ROWS, most_values // len(COLUMNS))
        self._ids: dict[Hashable, int] = {}

    def write(self, entries: Sequence[EntryValues]) -> list[str]:
        """Write all entries in one transaction, or none.

        Returns
        -------
        Those that no ledger could hold, and why: they are left out.

        Raises
        ------
        sqlite3.Error
            If the system refuses. This writer is of no use any more.
        """
        rows, refused = [], []
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for entry in entries:
            try:
                rows.append(self._row(entry))
            except (AttributeError, TypeError, ValueError, OverflowError) as error:
                refused.append(f"{entry!r} is refused: {error}")
        (last,) = execute("SELECT COALESCE(MAX(id), 0) FROM entry").fetchone()
        for first in range(0, len(rows), self._rows):
            some = rows[first : first + self._rows]
            execute(insert_entries(len(some)), [value for row in some for value in row])
        execute(ADD_SUMS, (last,))
        execute("COMMIT")
        return refused

    def close(self) -> None:
        """Let the file go; what was not committed is undone."""
        self._connection.close()

    def _row(self, entry: EntryValues) -> tuple[float, ...]:
        """The values of `COLUMNS`."""
        time_s, inference, origin, intensity, *figures = entry
        inference = int(inference)
        if not -LARGEST_ID <= inference < LARGEST_ID:
            raise ValueError(f"its inference {inference} has more than 64 bits")
        numbers = tuple(map(float, (intensity.g_per_kwh, intensity.age_s, *figures)))
        if not 0 <= time_s < YEAR_10000_S:
            raise ValueError(f"its time is {time_s} s since 1970: it must be from then to 9999")
        # The sum is finite if each of them is.
        if not math.isfinite(sum(numbers)):
            raise ValueError("a figure that is not finite would spoil every sum")
        source = (
            *(intensity.zone, intensity.source, intensity.kind),
            *(intensity.accounting, intensity.factors),
        )
        origin_id = self._ids.get(origin) or self._keep_origin(origin)
        source_id = self._ids.get(source) or self._keep(
            source, source, KEEP_INTENSITY_SOURCE, FIND_INTENSITY_SOURCE
        )
        return (float(time_s), inference, origin_id, source_id, *numbers)

    def _keep_origin(self, origin: Origin) -> int:
        if not math.isfinite(origin.pue):
            raise ValueError(f"the PUE of its node is {origin.pue}")
        return self._keep(origin, dataclasses.astuple(origin), KEEP_ORIGIN, FIND_ORIGIN)

    def _keep(self, key: Hashable, values: tuple[str | float, ...], keep: str, find: str) -> int:
        import sqlite3

        try:
            self._connection.execute(keep, values)
            found = self._connection.execute(find, values).fetchone()
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError) as error:
            raise ValueError(str(error)) from error
        if found is None:
            raise ValueError(f"one of {values} is missing")
        self._ids[key] = int(found[0])
        return self._ids[key]
