from __future__ import annotations

import logging
import math
import mmap
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest
from entries import NOON_S, entry, intensity, origin
from hypothesis import given
from hypothesis import strategies as st
from locks import lock, unlock

from carbonedge.carbon.ledger import Ledger
from carbonedge.carbon.ledger_file import APPLICATION_ID, VERSION
from carbonedge.carbon.ledger_tables import COLUMNS, Sums, sums_of_entries
from carbonedge.carbon.ledger_writer import LedgerWriter


def rows(path: Path, query: str) -> list[tuple[float, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def inferences(path: Path) -> list[float]:
    return [inference for (inference,) in rows(path, "SELECT inference FROM entry ORDER BY 1")]


def assert_sound(path: Path) -> None:
    """Whole, and its sums are those of its entries."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    columns = f"hour, origin_id, intensity_source_id, {', '.join(Sums._fields)}"
    kept = rows(path, f"SELECT {columns} FROM hour_sum ORDER BY 1, 2, 3")
    made = rows(path, f"{sums_of_entries('1')} ORDER BY 1, 2, 3")
    assert len(kept) == len(made)
    for one, other in zip(kept, made, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def run_script(code: str, *arguments: object) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_is_appended_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    written = entry(
        time_s=NOON_S + 0.1,
        inference=2**63 - 1,
        origin=origin(node="Knoten ü", stage=3, pue=1.1),
        intensity=intensity(1 / 3, kind="estimated", age_s=0.7),
        cpu_j=math.pi,
        transfer_g=1e-300,
    )
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.append(written)
        assert ledger.flush()
        assert (ledger.written, ledger.lost) == (1, 0)
    (row,) = rows(path, f"SELECT {', '.join(COLUMNS)} FROM entry")
    assert row == (
        *(written.time_s, written.inference, 1, 1),
        *(written.intensity.g_per_kwh, written.intensity.age_s),
        *written[4:],
    )
    assert rows(path, "SELECT * FROM origin") == [(1, *astuple(written.origin))]
    assert rows(path, "SELECT * FROM intensity_source") == [
        (1, "DE", "trace de.csv", "estimated", "average", "lifecycle")
    ]


def test_what_entries_share_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    for _ in range(2):
        with Ledger(path) as ledger:
            for number in range(100):
                ledger.append(
                    entry(
                        inference=number,
                        origin=origin(stage=number % 2),
                        intensity=intensity(float(number)),
                    )
                )
    assert rows(path, "SELECT COUNT(*) FROM entry") == [(200,)]
    assert rows(path, "SELECT COUNT(*) FROM origin") == [(2,)]
    assert rows(path, "SELECT COUNT(*) FROM intensity_source") == [(1,)]
    assert_sound(path)


figures = st.floats(0, 1e6, allow_subnormal=False)
some_entries = st.builds(
    entry,
    time_s=st.floats(NOON_S, NOON_S + 20_000),
    inference=st.integers(-(2**63), 2**63 - 1),
    origin=st.builds(origin, node=st.sampled_from("ab"), stage=st.integers(0, 2)),
    intensity=st.builds(intensity, figures, zone=st.sampled_from(["DE", "FR"])),
    latency_ms=figures,
    cpu_j=figures,
    idle_j=figures,
    operational_g=figures,
)


@given(batches=st.lists(st.lists(some_entries, max_size=8), max_size=5))
def test_sums_of_hours_are_those_of_their_entries_however_they_come(
    batches: Sequence[Sequence[object]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        writer = LedgerWriter(path)
        for batch in batches:
            assert writer.write(batch) == []  # type: ignore[arg-type]
        writer.close()
        assert_sound(path)
        assert rows(path, "SELECT COUNT(*) FROM entry") == [(sum(map(len, batches)),)]


def test_entries_are_written_without_being_asked_for(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db", flush_every_s=0.01) as ledger:
        ledger.append(entry())
        deadline = time.monotonic() + 30
        while not ledger.written and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ledger.written == 1


def test_appending_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(100):
                ledger.append(entry(inference=number))
            assert ledger.written == 0
        assert ledger.flush()
    assert inferences(path) == list(range(100))


def test_threads_append_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    def work(first: int) -> None:
        for number in range(first, first + 1000):
            ledger.append(entry(inference=number))
            if number % 300 == 0:
                ledger.flush()

    with Ledger(path, flush_every_s=0.01) as ledger:
        threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert inferences(path) == list(range(8000))
    assert (ledger.written, ledger.lost) == (8000, 0)
    assert_sound(path)


WRITE = """
import sys
from entries import entry
from carbonedge.carbon.ledger import Ledger
first, path = int(sys.argv[1]), sys.argv[2]
ledger = Ledger(path, flush_every_s=0.01)
for number in range(first, first + 10_000):
    ledger.append(entry(inference=number))
"""


def test_two_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(first), str(path)], env=environment)
        for first in (0, 10_000)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert inferences(path) == list(range(20_000))
    assert_sound(path)


def test_what_is_pending_when_the_interpreter_exits_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    run_script(WRITE, 0, path)
    assert len(inferences(path)) == 10_000


KILLED = """
import mmap, struct, sys, time
from entries import entry
from carbonedge.carbon.ledger import Ledger
path, times, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(times, "r+b") as file:
    seen = mmap.mmap(file.fileno(), 0)
ledger = Ledger(path, flush_every_s=0.1)
for number in range(len(seen) // 8):
    now = time.time()
    ledger.append(entry(now, first + number))
    struct.pack_into("d", seen, 8 * number, now)
    if number % 20 == 0:
        time.sleep(0.001)
"""


def test_a_killed_process_loses_the_last_second_at_most_and_breaks_nothing(
    tmp_path: Path,
) -> None:
    path, times = tmp_path / "ledger.db", tmp_path / "times"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    moments = random.Random(0)
    most = 500_000
    for trial in range(6):
        times.write_bytes(bytes(8 * most))
        first = trial * most
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), str(times), str(first)], env=environment
        )
        with times.open("r+b") as file, mmap.mmap(file.fileno(), 0) as seen:
            deadline = time.monotonic() + 30
            while not any(seen[:8]) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.2, 1.5))
            killed_s = time.time()
            writer.send_signal(signal.SIGKILL)
            writer.wait(30)
            appended = [time_s for (time_s,) in struct.iter_unpack("d", seen[:]) if time_s]
        assert_sound(path)
        there = rows(path, f"SELECT inference FROM entry WHERE inference >= {first} ORDER BY 1")
        due = sum(time_s < killed_s - 1 for time_s in appended)
        # In order and without a gap, up to some point of the last second.
        assert [number for (number,) in there] == list(range(first, first + len(there)))
        assert due <= len(there) <= len(appended) + 1
    assert rows(path, "SELECT COUNT(*) > 0 FROM entry") == [(1,)]


FULL = """
import logging, resource, sys
from entries import entry, origin
from carbonedge.carbon import ledger as module
from carbonedge.carbon.ledger import Ledger

module.MOST_AT_ONCE = 300
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
logging.getLogger("carbonedge").addHandler(handler)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
ledger = Ledger(sys.argv[1], flush_every_s=3600, most_pending=1000)
for number in range(500):
    ledger.append(entry(inference=number))
assert ledger.flush() and ledger.written == 500 and not said
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
for number in range(500, 1900):
    ledger.append(entry(inference=number, origin=origin("node-b")))
for _ in range(3):
    assert not ledger.flush()
assert (ledger.written, ledger.lost) == (500, 400)
assert len(said) == 1 and "is incomplete" in said[0], said
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert ledger.flush() and ledger.flush()
assert (ledger.written, ledger.lost) == (1500, 400)
assert len(said) == 2 and "is written again: 400 entries were lost" in said[1], said
ledger.append(entry(inference=5000))
ledger.close()
assert len(said) == 2, said
"""


def test_a_full_disk_is_a_counted_loss_that_ends_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    run_script(FULL, path)
    in_order = (
        "SELECT node, inference FROM entry JOIN origin ON origin_id = origin.id ORDER BY entry.id"
    )
    assert rows(path, in_order) == [
        *(("node-a", number) for number in range(500)),
        *(("node-b", number) for number in range(500, 1500)),
        ("node-a", 5000),
    ]
    assert_sound(path)


def test_a_read_only_ledger_is_a_counted_loss_that_ends_when_it_may_be_written(
    guarded_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = guarded_folder / "ledger.db"
    Ledger(path).close()
    lock(guarded_folder)
    ledger = Ledger(path, flush_every_s=3600, most_pending=10)
    for number in range(25):
        ledger.append(entry(inference=number))
    assert not ledger.flush()
    assert (ledger.written, ledger.lost) == (0, 15)
    assert len(warnings_of(caplog)) == 1
    unlock(guarded_folder)
    assert ledger.flush()
    ledger.close()
    assert inferences(path) == list(range(10))
    assert [message.split(": ")[-1] for message in warnings_of(caplog)[1:]] == [
        "15 entries were lost"
    ]


def test_what_cannot_be_written_until_the_end_is_counted_and_said(
    guarded_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = guarded_folder / "ledger.db"
    Ledger(path).close()
    lock(guarded_folder)
    with Ledger(path, flush_every_s=3600) as ledger:
        for number in range(7):
            ledger.append(entry(inference=number))
    assert (ledger.written, ledger.lost) == (0, 7)
    assert warnings_of(caplog)[-1].endswith("is closed: 7 entries were lost")
    ledger.append(entry())
    assert ledger.lost == 8


NO_ENTRIES = {
    "NaN": entry(cpu_j=math.nan),
    "infinite": entry(operational_g=math.inf),
    "infinite intensity": entry(intensity=intensity(math.inf)),
    "no time": entry(time_s=math.nan),
    "before 1970": entry(time_s=-1.0),
    "milliseconds": entry(time_s=NOON_S * 1e3),
    "65 bits": entry(inference=2**63),
    "no number": entry(latency_ms="long"),
    "no name": entry(origin=origin(node=None)),  # type: ignore[arg-type]
    "a list of names": entry(origin=origin(node=["a"])),  # type: ignore[arg-type]
    "no text": entry(origin=origin(node="\ud800")),
    "infinite PUE": entry(origin=origin(pue=math.inf)),
    "an object": entry(origin=origin(plan=object())),
    "no origin": entry(origin=None),
}


@pytest.mark.parametrize("wrong", NO_ENTRIES.values(), ids=NO_ENTRIES)
def test_an_entry_that_no_sum_could_bear_is_lost_alone(
    wrong: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path, flush_every_s=3600) as ledger:
        for one in (entry(inference=1), wrong, entry(inference=2)):
            ledger.append(one)  # type: ignore[arg-type]
        assert ledger.flush()
        assert (ledger.written, ledger.lost) == (2, 1)
        assert "is refused" in warnings_of(caplog)[0]
    assert warnings_of(caplog)[1].endswith("1 entries were lost")
    assert inferences(path) == [1, 2]
    assert_sound(path)


FORKED = """
import multiprocessing, os, sys
from entries import entry
from carbonedge.carbon.ledger import Ledger

ledger = Ledger(sys.argv[1], flush_every_s=3600)

def work(first):
    assert (ledger.written, ledger.lost) == (0, 0)
    for number in range(first, first + 100):
        ledger.append(entry(inference=number))

work(0)
ledger.flush()
for number in range(1000, 1010):
    ledger.append(entry(inference=number))
child = os.fork()
if not child:
    if os.path.isdir("/proc/self/fd"):
        for number in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{number}"
            assert not os.path.exists(path) or not os.path.samefile(path, sys.argv[1])
    work(100)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
fork = multiprocessing.get_context("fork")
children = [fork.Process(target=work, args=(first,)) for first in (200, 300)]
for child in children:
    child.start()
for child in children:
    child.join()
assert [child.exitcode for child in children] == [0, 0]
child = os.fork()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert ledger.written == 100
ledger.close()
assert ledger.written == 110
"""


def test_forked_children_begin_anew_and_write_what_is_theirs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    run_script(FORKED, path)
    assert inferences(path) == [*range(400), *range(1000, 1010)]
    assert_sound(path)


def test_threads_may_fork_at_once(tmp_path: Path) -> None:
    code = """
import os, sys, threading
from carbonedge.carbon.ledger import Ledger

ledgers = [Ledger(f"{sys.argv[1]}{n}", flush_every_s=0.001) for n in range(3)]

def work():
    for _ in range(20):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    run_script(code, tmp_path / "ledger.db")


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photo (id INTEGER)")


def newer_ledger(path: Path) -> None:
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


FOREIGN = {
    "text": (lambda path: path.write_text("dear diary"), "is not a ledger"),
    # SQLite itself would take it for an empty database.
    "a single character": (lambda path: path.write_text("x"), "is not a ledger"),
    "another database": (foreign_database, "is not a ledger"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "a newer version": (newer_ledger, f"has version {VERSION + 1}"),
    "a broken database": (
        lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 8),
        "is not a ledger",
    ),
}


@pytest.mark.parametrize(("make", "message"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_ledger_is_refused_and_left_as_it_is(
    make: object, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ValueError, match=message):
        Ledger(path)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_path_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is in no folder: make"):
        Ledger(tmp_path / "nowhere" / "ledger.db")


def test_a_folder_that_may_not_be_written_in_is_refused(guarded_folder: Path) -> None:
    lock(guarded_folder)
    with pytest.raises(ValueError, match="you may not write in its folder"):
        Ledger(guarded_folder / "ledger.db")


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    with Ledger(path) as ledger:
        ledger.append(entry())
    assert len(inferences(path)) == 1
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows(path, "PRAGMA user_version") == [(VERSION,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize(
    "wrong", [{"flush_every_s": 0}, {"flush_every_s": math.inf}, {"most_pending": 0}]
)
def test_wrong_limits_are_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it must be"):
        Ledger(tmp_path / "ledger.db", **wrong)  # type: ignore[arg-type]


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.close()
    ledger.close()
    assert ledger.flush()


def test_each_column_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    for (sql,) in rows(path, "SELECT sql FROM sqlite_master WHERE type = 'table'"):
        assert str(sql).splitlines()[0].count("--") == 1
