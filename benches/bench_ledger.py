"""What a ledger costs an inference, how much it takes in, and how soon it answers.

Appending stands beside a bare deque, and writing beside one `executemany` on a table without
index or sums, with nobody else running. Ten million entries lie in thirty days, or in one, which
is harder: what is cut off of an hour is summed entry by entry.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from carbonedge.carbon.entry import Entry, Origin
from carbonedge.carbon.intensity.signal import Intensity
from carbonedge.carbon.ledger import Ledger
from carbonedge.carbon.ledger_file import open_to_write
from carbonedge.carbon.ledger_tables import (
    ADD_SUMS,
    COLUMNS,
    KEEP_INTENSITY_SOURCE,
    KEEP_ORIGIN,
)
from carbonedge.carbon.report import report

GOAL_APPEND_US = 1.0
GOAL_ROWS_PER_S = 50_000
GOAL_REPORT_MS = 1000.0

DAY_S = 86_400
FIRST_S = 20_700.0 * DAY_S
NODES = 4
MANY, FEW = 10_000_000, 40_000


def entries(count: int) -> list[Entry]:
    origins = [
        Origin(f"node-{stage}", "DE", "resnet50", "plan", stage, 1.2, "rapl", "measured")
        for stage in range(NODES)
    ]
    numbers = np.random.default_rng(0).random((count, 8)).tolist()
    return [
        Entry(
            FIRST_S + number,
            number // NODES,
            origins[number % NODES],
            Intensity(400 + figures[0], "DE", "trace", "actual"),
            *(figures[1], figures[2], figures[3], 0.0, 0.0),
            *(figures[4], figures[5], figures[6], figures[7], figures[0]),
        )
        for number, figures in enumerate(numbers)
    ]


@pytest.mark.benchmark(group="append an entry")
@pytest.mark.parametrize("to", ["ledger", "deque"])
def bench_append(to: str, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    (one,) = entries(1)
    with Ledger(tmp_path / "ledger.db", most_pending=10**9, flush_every_s=3600) as ledger:
        append = ledger.append if to == "ledger" else deque[Entry]().append
        benchmark.pedantic(append, args=(one,), rounds=100, iterations=1000, warmup_rounds=1)


def bench_append_goal(
    tmp_path: Path, record_ratio: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    count = 1000 if request.config.getoption("benchmark_disable") else 200_000
    many = entries(count)
    with Ledger(tmp_path / "ledger.db", flush_every_s=3600) as ledger:
        times = []
        for first in range(0, count, 100):
            some = many[first : first + 100]
            began = time.perf_counter()
            for one in some:
                ledger.append(one)
            times.append((time.perf_counter() - began) / len(some))
        assert ledger.flush()
        assert ledger.written == count
    record_ratio("append an entry, us", np.median(times) * 1e6, at_most=GOAL_APPEND_US)


def bench_sustained(
    tmp_path: Path, record_ratio: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    """From the first append until the last entry is in the file; both threads run at once."""
    count = 2000 if request.config.getoption("benchmark_disable") else 500_000
    many = entries(count)
    with Ledger(tmp_path / "ledger.db", flush_every_s=0.05) as ledger:
        began = time.perf_counter()
        for one in many:
            ledger.append(one)
        assert ledger.flush()
        took_s = time.perf_counter() - began
        assert (ledger.written, ledger.lost) == (count, 0)
    record_ratio("ledger, sustained entries a second", count / took_s, at_least=GOAL_ROWS_PER_S)
    plain_s = _plain_s(tmp_path / "plain.db", many)
    record_ratio("ledger over executemany on a bare table, x", took_s / plain_s)


def _plain_s(path: Path, many: list[Entry]) -> float:
    rows = [(e.time_s, e.inference, 1, 1, 400.0, 0.0, *e[4:]) for e in many]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"CREATE TABLE entry ({', '.join(COLUMNS)})")
        began = time.perf_counter()
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO entry VALUES ({', '.join('?' * len(COLUMNS))})", rows)
        connection.execute("COMMIT")
        return time.perf_counter() - began


@pytest.fixture(scope="module", params=[30, 1], ids=["30 days", "1 day"])
def large_ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, int, int]]:
    """A ledger, its entries, and the days they are spread over."""
    count = FEW if request.config.getoption("benchmark_disable") else MANY
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    fill(path, count, request.param)
    yield path, count, request.param
    path.unlink()


def fill(path: Path, count: int, days: int) -> None:
    """Write entries by SQL alone, as sums and index are, which is faster than one by one."""
    figures = "abs(random()) % 1000 / 1e3"
    made = (
        "WITH RECURSIVE step (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM step WHERE n + 1 < ?) "
        f"INSERT INTO entry ({', '.join(COLUMNS)}) "
        f"SELECT ? + n * ?, n / {NODES}, n % {NODES} + 1, 1, 400 + {figures}, 0, "
        f"{', '.join([figures] * (len(COLUMNS) - 6))} FROM step"
    )
    with closing(open_to_write(path)) as connection:
        for stage in range(NODES):
            connection.execute(
                KEEP_ORIGIN,
                (f"node-{stage}", "DE", "resnet50", "plan", stage, 1.2, "rapl", "measured"),
            )
        connection.execute(KEEP_INTENSITY_SOURCE, ("DE", "trace", "actual", "average", "lifecycle"))
        for first in range(0, count, 1_000_000):
            stop = min(first + 1_000_000, count)
            connection.execute("BEGIN")
            connection.execute(made, (first, stop, FIRST_S, days * DAY_S / count))
            connection.execute(ADD_SUMS, (first,))
            connection.execute("COMMIT")


def bench_report_of_a_day(
    large_ledger: tuple[Path, int, int],
    record_ratio: Callable[..., None],
) -> None:
    path, count, days = large_ledger
    # Half past, so that two hours are cut and read entry by entry.
    since = FIRST_S + (days // 2) * DAY_S + 1800
    until = since + DAY_S - (3600 if days == 1 else 0)
    expected = round(count / days * (until - since) / DAY_S)
    times = []
    for _ in range(4):
        began = time.perf_counter()
        reported = report(path, since=since, until=until, by="node")
        times.append((time.perf_counter() - began) * 1e3)
    assert reported.total.stages == pytest.approx(expected, abs=2)
    assert [group.name for group in sorted(reported.groups, key=lambda group: group.name)] == [
        f"node-{stage}" for stage in range(NODES)
    ]
    record_ratio(
        f"report of a day, {count:,} entries in {days} days, ms",
        float(np.median(times[1:])),
        at_most=GOAL_REPORT_MS if days > 1 else None,
    )
    with closing(sqlite3.connect(path)) as connection:
        began = time.perf_counter()
        (total,) = connection.execute(
            "SELECT SUM(operational_g) FROM entry WHERE time_s >= ? AND time_s < ?", (since, until)
        ).fetchone()
        scan_ms = (time.perf_counter() - began) * 1e3
    assert total == pytest.approx(reported.total.operational_g)
    record_ratio(
        f"summing one column of those entries over it, {days} days, x", scan_ms / times[-1]
    )
    record_ratio(f"bytes an entry, {days} days", path.stat().st_size / count)


def bench_report_of_everything(
    large_ledger: tuple[Path, int, int], record_ratio: Callable[..., None]
) -> None:
    path, count, days = large_ledger
    times = []
    for _ in range(4):
        began = time.perf_counter()
        reported = report(path, by="hour")
        times.append((time.perf_counter() - began) * 1e3)
    assert reported.total.stages == count
    record_ratio(
        f"report by hour of all {count:,} entries, {days} days, ms",
        float(np.median(times[1:])),
        at_most=GOAL_REPORT_MS,
    )
