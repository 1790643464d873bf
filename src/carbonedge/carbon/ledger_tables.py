"""The tables of a ledger, and what is said to them in SQL."""

from __future__ import annotations

from typing import NamedTuple

from carbonedge.carbon.entry import Entry

__all__ = [
    "ADD_SUMS",
    "COLUMNS",
    "FIGURES",
    "FIND_INTENSITY_SOURCE",
    "FIND_ORIGIN",
    "HOUR_S",
    "KEEP_INTENSITY_SOURCE",
    "KEEP_ORIGIN",
    "SCHEMA",
    "SUMS_OF_HOURS",
    "YEAR_10000_S",
    "Sums",
    "insert_entries",
    "sums_of_entries",
]

HOUR_S = 3600
YEAR_10000_S = 253_402_300_800
"""The first time that no report could write: of an entry it is milliseconds, most likely."""
SCHEMA = """
CREATE TABLE origin (             -- What all entries of one stage of one session have in common.
    id            INTEGER PRIMARY KEY,
    node          TEXT NOT NULL,
    zone          TEXT NOT NULL,  -- of the grid the node is on; empty where none was given
    model         TEXT NOT NULL,
    plan          TEXT NOT NULL,  -- identifies the plan
    stage         INTEGER NOT NULL,  -- from 0; each inference has one entry of stage 0
    pue           REAL NOT NULL,
    energy_source TEXT NOT NULL,  -- how the joules came about, for people
    method        TEXT NOT NULL,  -- measured, modelled or emulated
    UNIQUE (node, zone, model, plan, stage, pue, energy_source, method)
);
CREATE TABLE intensity_source (   -- Where carbon intensities are from.
    id         INTEGER PRIMARY KEY,
    zone       TEXT NOT NULL,     -- as the provider names it
    source     TEXT NOT NULL,     -- who says so
    kind       TEXT NOT NULL,     -- actual, forecast, estimated or static
    accounting TEXT NOT NULL,     -- average or marginal
    factors    TEXT NOT NULL,     -- lifecycle or direct
    UNIQUE (zone, source, kind, accounting, factors)
);
CREATE TABLE entry (              -- One stage of one inference.
    id                  INTEGER PRIMARY KEY,
    time_s              REAL NOT NULL,  -- when it began, in seconds since 1970
    inference           INTEGER NOT NULL,  -- the same for all its stages
    origin_id           INTEGER NOT NULL REFERENCES origin,
    intensity_source_id INTEGER NOT NULL REFERENCES intensity_source,
    intensity_g_per_kwh REAL NOT NULL,  -- gCO2eq per kWh
    intensity_age_s     REAL NOT NULL,  -- how long that had not been valid any more
    latency_ms          REAL NOT NULL,  -- of this stage
    cpu_j               REAL NOT NULL,  -- joules are the stage's own, without PUE
    memory_j            REAL NOT NULL,
    gpu_j               REAL NOT NULL,
    machine_j           REAL NOT NULL,  -- of a machine whose parts are not told apart
    idle_j              REAL NOT NULL,  -- the part of these four it would have drawn idle
    transfer_j          REAL NOT NULL,  -- of tensors that left, or came from the source
    operational_g       REAL NOT NULL,  -- gCO2eq of the stage's joules, PUE in
    embodied_g          REAL NOT NULL,  -- gCO2eq of manufacture
    transfer_g          REAL NOT NULL   -- gCO2eq of transfer_j
);
CREATE INDEX entry_by_time ON entry (time_s);
CREATE TABLE hour_sum (           -- The entries of an hour, so that a report need not read each.
    hour                INTEGER NOT NULL,  -- whole hours since 1970
    origin_id           INTEGER NOT NULL REFERENCES origin,
    intensity_source_id INTEGER NOT NULL REFERENCES intensity_source,
    entries             INTEGER NOT NULL,  -- how many
    first_s             REAL NOT NULL,     -- when the first began, in seconds since 1970
    last_s              REAL NOT NULL,     -- when the last began
    latency_ms          REAL NOT NULL,     -- this and all below are sums
    cpu_j               REAL NOT NULL,
    memory_j            REAL NOT NULL,
    gpu_j               REAL NOT NULL,
    machine_j           REAL NOT NULL,
    idle_j              REAL NOT NULL,
    transfer_j          REAL NOT NULL,
    operational_g       REAL NOT NULL,
    embodied_g          REAL NOT NULL,
    transfer_g          REAL NOT NULL,
    intensity_j         REAL NOT NULL,     -- joules times gCO2eq per kWh, for the mean
    PRIMARY KEY (hour, origin_id, intensity_source_id)
) WITHOUT ROWID;
"""

FIGURES = Entry._fields[4:]
"""What an entry says in numbers of its own."""

COLUMNS = (
    *("time_s", "inference", "origin_id", "intensity_source_id"),
    *("intensity_g_per_kwh", "intensity_age_s"),
    *FIGURES,
)
"""Of ``entry``, in the order in which they are written."""


class Sums(NamedTuple):
    """What is known of many entries together; all but the first three are sums."""

    entries: int
    first_s: float
    last_s: float
    latency_ms: float
    cpu_j: float
    memory_j: float
    gpu_j: float
    machine_j: float
    idle_j: float
    transfer_j: float
    operational_g: float
    embodied_g: float
    transfer_g: float
    intensity_j: float
    """Joules times gCO2eq per kWh."""


SUMS_OF_HOURS = (
    f"SELECT hour, origin_id, intensity_source_id, {', '.join(Sums._fields)} FROM hour_sum"
)
"""The query for `Sums` by hour, origin and intensity source."""

KEEP_ORIGIN = (
    "INSERT OR IGNORE INTO origin (node, zone, model, plan, stage, pue, energy_source, method) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
FIND_ORIGIN = (
    "SELECT id FROM origin WHERE node = ? AND zone = ? AND model = ? AND plan = ? "
    "AND stage = ? AND pue = ? AND energy_source = ? AND method = ?"
)
KEEP_INTENSITY_SOURCE = (
    "INSERT OR IGNORE INTO intensity_source (zone, source, kind, accounting, factors) "
    "VALUES (?, ?, ?, ?, ?)"
)
FIND_INTENSITY_SOURCE = (
    "SELECT id FROM intensity_source "
    "WHERE zone = ? AND source = ? AND kind = ? AND accounting = ? AND factors = ?"
)


def insert_entries(count: int) -> str:
    """The statement that writes so many entries, given all their columns in a row."""
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO entry ({', '.join(COLUMNS)}) VALUES {', '.join([row] * count)}"


def sums_of_entries(where: str, step_s: float = HOUR_S) -> str:
    """The same query, of some entries one by one and in steps of any length."""
    sums = ", ".join(f"SUM({figure})" for figure in FIGURES)
    return (
        f"SELECT CAST(time_s / {step_s} AS INTEGER), origin_id, intensity_source_id, "
        f"COUNT(*), MIN(time_s), MAX(time_s), {sums}, "
        "SUM((cpu_j + memory_j + gpu_j + machine_j) * intensity_g_per_kwh) "
        f"FROM entry WHERE {where} GROUP BY 1, 2, 3"
    )


ADD_SUMS = (
    f"INSERT INTO hour_sum (hour, origin_id, intensity_source_id, {', '.join(Sums._fields)}) "
    f"{sums_of_entries('id > ?')} "
    "ON CONFLICT (hour, origin_id, intensity_source_id) DO UPDATE SET "
    "first_s = MIN(first_s, excluded.first_s), last_s = MAX(last_s, excluded.last_s), "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in ("entries", *Sums._fields[3:]))
)
"""Takes the entries after an id into ``hour_sum``."""
