from __future__ import annotations

import errno
import gc
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonedge._backend import NAMES, Backend, load
from carbonedge._counters import Counters as Twin

BACKENDS = [load(name) for name in NAMES]
RAPL_RANGE = 262_143_328_850


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "energy_uj"
    path.write_text("100\n")
    return path


@pytest.fixture
def still_open() -> Iterator[Any]:
    """How many more descriptors are open than at the start."""
    gc.collect()
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir()))
    return lambda: len(list(folder.iterdir())) - before


def test_each_counts_from_when_it_was_made(any_backend: Backend, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1000\n")
    second.write_text("7")
    counters = any_backend.Counters([first, str(second)], [0, 10])
    assert counters.read() == (0, 0)
    first.write_text("1250\n")
    second.write_text("9")
    assert counters.read() == (250, 2)


@given(
    st.integers(0, RAPL_RANGE - 1),
    st.lists(st.integers(0, RAPL_RANGE - 1), min_size=1, max_size=40),
    st.sampled_from([1, 7, 2**32, RAPL_RANGE, 2**64 - 1]),
)
def test_wraps_lose_nothing(start: int, steps: list[int], range_: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "energy_uj")
        truth = start % range_
        path.write_text(f"{truth}\n")
        all_counters = [backend.Counters([path], [range_]) for backend in BACKENDS]
        risen = 0
        for step in steps:
            risen += step % range_
            path.write_text(f"{(truth + risen) % range_}\n")
            assert [counters.read() for counters in all_counters] == [(risen,)] * len(BACKENDS)


def test_the_largest_wrap_of_all_fits(any_backend: Backend, counter: Path) -> None:
    counter.write_text(str(2**64 - 1))
    counters = any_backend.Counters([counter], [2**64 - 1])
    counter.write_text("5")
    assert counters.read() == (5,)


@pytest.mark.parametrize("range_", [0, 50])
def test_what_was_set_back_goes_on_from_there(
    any_backend: Backend, counter: Path, range_: int
) -> None:
    counters = any_backend.Counters([counter], [range_])
    for text, expected in (("130", 30), ("20", 30), ("25", 35)):
        counter.write_text(text)
        assert counters.read() == (expected,)


NO_NUMBERS = {
    "empty": b"",
    "a new line": b"\n",
    "negative": b"-1",
    "signed": b"+1",
    "led by a space": b" 1",
    "two": b"1 2",
    "a fraction": b"1.5",
    "hexadecimal": b"0x1",
    "grouped": b"1_000",
    "a word": b"unsupported",
    "other digits": "٣".encode(),
    "no text": b"\xff\x00",
    "too large": str(2**64).encode(),
    "too long": b"1" + b" " * 31,
}


@pytest.mark.parametrize("content", NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
def test_what_holds_no_number_is_named_and_looks_like_no_wrap(
    any_backend: Backend, counter: Path, content: bytes
) -> None:
    counters = any_backend.Counters([counter], [1000])
    counter.write_bytes(content)
    with pytest.raises(ValueError, match=r"energy_uj holds no unsigned integer of 64 bits"):
        counters.read()
    with pytest.raises(ValueError, match=r"energy_uj holds no unsigned integer of 64 bits"):
        any_backend.Counters([counter], [1000])
    counter.write_text("150")
    assert counters.read() == (50,)


def test_a_read_that_fails_changes_no_counter(any_backend: Backend, tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("90")
    counters = any_backend.Counters(paths, [100, 100])
    paths[0].write_text("95")
    paths[1].write_text("")
    with pytest.raises(ValueError, match="b holds no"):
        counters.read()
    paths[0].write_text("5")
    paths[1].write_text("6")
    assert counters.read() == (15, 16)


def test_a_file_that_is_not_there_is_named(any_backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*gone'") as raised:
        any_backend.Counters([tmp_path / "gone"], [0])
    assert raised.value.errno == errno.ENOENT
    assert raised.value.filename == str(tmp_path / "gone")


def test_a_folder_is_no_counter(any_backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as raised:
        any_backend.Counters([tmp_path], [0])
    assert raised.value.filename == str(tmp_path)


def test_a_name_that_is_no_text_is_named(any_backend: Backend, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with pytest.raises(FileNotFoundError) as raised:
        any_backend.Counters([path], [0])
    assert raised.value.filename == path
    Path(path).write_text("none")
    with pytest.raises(ValueError, match="holds no unsigned integer") as unread:
        any_backend.Counters([path], [0])
    assert path in str(unread.value)


def test_a_counter_that_goes_is_an_error_with_its_path(any_backend: Backend) -> None:
    """A process takes its files in /proc with it, as a device does in /sys."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        path = f"/proc/{process.pid}/oom_score"
        counters = any_backend.Counters([path], [0])
        assert len(counters.read()) == 1
        process.kill()
    with pytest.raises(ProcessLookupError) as raised:
        counters.read()
    assert raised.value.filename == path


def test_paths_and_ranges_are_as_many(any_backend: Backend, counter: Path) -> None:
    with pytest.raises(ValueError, match="differ in length"):
        any_backend.Counters([counter], [0, 0])


def test_files_are_closed_once_by_close(
    any_backend: Backend, counter: Path, still_open: Any
) -> None:
    counters = any_backend.Counters([counter, counter], [0, 0])
    assert still_open() == 2
    counters.close()
    counters.close()
    assert still_open() == 0
    with pytest.raises(ValueError, match="closed"):
        counters.read()


def test_files_are_closed_when_it_goes(
    any_backend: Backend, counter: Path, still_open: Any
) -> None:
    counters = any_backend.Counters([counter], [0])
    assert still_open() == 1
    del counters
    gc.collect()
    assert still_open() == 0


def test_what_cannot_be_made_leaves_nothing_open(
    any_backend: Backend, counter: Path, tmp_path: Path, still_open: Any
) -> None:
    (tmp_path / "empty").touch()
    for wrong in (tmp_path / "gone", tmp_path, tmp_path / "empty"):
        with pytest.raises((OSError, ValueError)):
            any_backend.Counters([counter, wrong], [0, 0])
    gc.collect()
    assert still_open() == 0


def test_reads_open_nothing(any_backend: Backend, counter: Path, still_open: Any) -> None:
    counters = any_backend.Counters([counter], [0])
    for _ in range(100):
        counters.read()
    assert still_open() == 1
    counters.close()


def test_programs_started_meanwhile_do_not_inherit_the_files(
    any_backend: Backend, counter: Path
) -> None:
    counters = any_backend.Counters([counter], [0])
    listing = ["ls", "-l", "/proc/self/fd"]
    done = subprocess.run(listing, capture_output=True, text=True, check=True, close_fds=False)
    assert str(counter) not in done.stdout
    counters.close()


def test_threads_count_each_wrap_once(any_backend: Backend, counter: Path) -> None:
    counter.write_text("0")
    counters = any_backend.Counters([counter], [1000])
    turn = threading.Barrier(3)
    steps, fell = 100, []

    def watch() -> None:
        last = 0
        for _ in range(steps):
            turn.wait()
            for _ in range(5):
                [now] = counters.read()
                if now < last:
                    fell.append(now)
                last = now
            turn.wait()

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for step in range(1, steps + 1):
        counter.write_text(str(700 * step % 1000))
        turn.wait()
        turn.wait()
    for thread in threads:
        thread.join()
    assert not fell
    assert counters.read() == (700 * steps,)


def test_a_system_without_pread_is_told(counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    with pytest.raises(OSError, match="not supported") as raised:
        Twin([counter], [0])
    assert raised.value.errno == errno.ENOTSUP
