from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_clusters import CLUSTER, run_folder

from carbonedge import ClusterError
from carbonedge.runtime.local_cluster import record
from carbonedge.runtime.local_cluster.record import Record, held, known, locked, new_folder
from carbonedge.runtime.local_cluster.status import status

HOLD = """
import sys
from pathlib import Path
from carbonedge.runtime.local_cluster.record import held
assert held(Path(sys.argv[1])) is not None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder() -> Iterator[Path]:
    with run_folder() as folder:
        yield folder


def written(**more: object) -> Record:
    with locked() as within:
        folder, lock = new_folder(within)
        os.close(lock)
        one = Record(folder, 7, kept=False, cluster=CLUSTER, token="secret")
        for name, value in more.items():
            object.__setattr__(one, name, value)
        return one.write()


def test_a_record_is_read_as_it_was_written() -> None:
    one = written(groups={"a": ["/cg/a"]}, why="no rights", address="10.0.0.1:1")
    assert Record.read(one.folder) == one


@pytest.mark.parametrize("spoil", ["{}", "[]", '{"cluster": {}}', None])
def test_one_of_another_version_is_no_record(spoil: str | None) -> None:
    one = written(address="10.0.0.1:1", kept=True)
    file = one.folder / record.RECORD
    document = json.loads(file.read_text())
    file.write_text(spoil or json.dumps({**document, "later": 1}))
    with pytest.raises(ValueError, match="is not of this version"):
        Record.read(one.folder)
    assert known("auto") is None
    [there] = status()
    assert (there.record, there.runs) == (None, False)


def test_nobody_else_can_read_it() -> None:
    one = written()
    assert one.folder.stat().st_mode & 0o077 == 0


def test_a_local_cluster_is_known_by_its_address_and_one_that_stays_as_auto() -> None:
    one, two = written(address="10.0.0.1:1"), written(address="10.0.0.1:2", kept=True)
    assert known("10.0.0.1:1") == one
    assert known("10.0.0.1:2") == known("auto") == two
    assert known("10.0.0.1:3") is None
    assert known("") is None


def test_without_any_nothing_is_known_or_made(folder: Path) -> None:
    folder.rmdir()
    assert known("auto") is None
    assert not folder.exists()


def test_what_a_process_holds_is_its_own_until_it_is_killed() -> None:
    its = written().folder
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(its)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert held(its) is None
        other.kill()
        other.wait()
    lock = held(its)
    assert lock is not None
    os.close(lock)


def test_a_run_folder_comes_and_goes_with_what_is_in_it(folder: Path) -> None:
    folder.rmdir()
    with locked() as within:
        assert within == folder
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_a_run_folder_that_others_can_write_to_is_refused(folder: Path) -> None:
    one = written(address="10.0.0.1:1", kept=True)
    folder.chmod(0o777)
    with pytest.raises(ClusterError, match="can be written to by others"), locked():
        pass
    assert known(one.address) is None
    assert known("auto") is None
    folder.chmod(0o700)


def test_only_folders_of_local_clusters_are_taken_for_such(folder: Path) -> None:
    one = written()
    (folder / "home").mkdir()
    (folder / "ce12345").mkdir()
    assert record.found(folder) == [one.folder]


def test_a_link_to_another_folder_is_not_followed(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to("/tmp")
    with pytest.raises(OSError, match="ce-"), locked():
        pass
    folder.unlink()


def test_a_note_that_broke_off_is_of_nothing_that_was_done() -> None:
    its = written().folder
    record.note(its, ("group", "/cg/a"))
    with (its / record.NOTES).open("a") as file:
        file.write('["group", "/cg')
    assert record.noted(its) == [["group", "/cg/a"]]
