"""What is up, on disk: for the processes of a local cluster, for drivers, and for `down`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from carbonedge.cluster import Cluster, Link, Node
from carbonedge.exceptions import ClusterError

__all__ = [
    "MARK",
    "Record",
    "found",
    "held",
    "known",
    "locked",
    "new_folder",
    "note",
    "noted",
    "run_folder",
]

MARK = "CARBONEDGE_LOCAL_CLUSTER"
"""Names the folder of its cluster in the environment of each process, which children inherit."""
RUN_FOLDER = "CARBONEDGE_RUN_FOLDER"
RECORD, NOTES = "cluster.json", "cgroups.jsonl"
NAME, NAME_BYTES = re.compile(r"ce[0-9a-f]{6}"), 3
"""Short: the path of a socket has 107 characters at most. No other folder is ever removed."""


@dataclass(frozen=True, slots=True)
class Record:
    """A local cluster.

    Parameters
    ----------
    folder
        Where its files are, this record among them.
    pid
        Of the process that brought it up.
    kept
        Whether it stays up when that process ends.
    cluster
        Its nodes and links.
    token
        Who has it may use this Ray.
    groups
        The cgroups of each node; empty where it is not throttled.
    why
        Why it is not.
    address
        Of its Ray; empty until that runs.
    """

    folder: Path
    pid: int
    kept: bool
    cluster: Cluster
    token: str
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    why: str | None = None
    address: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record in a folder.

        Raises
        ------
        OSError, ValueError
            If there is none, or it was not written to its end, or by another version.
        """
        document = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        try:
            cluster = document.pop("cluster")
            nodes = [Node(**node) for node in cluster["nodes"]]
            links = [Link(**link) for link in cluster["links"]]
            return cls(folder=folder, cluster=Cluster(nodes, links), **document)
        except (AttributeError, KeyError, TypeError, ClusterError) as error:
            raise ValueError(f"{folder / RECORD} is not of this version: {error!r}") from error

    def write(self) -> Self:
        """Put it in its folder, whole or not at all."""
        document: dict[str, Any] = dataclasses.asdict(self)
        del document["folder"]
        new = self.folder / f"{RECORD}.new"
        new.write_text(json.dumps(document, indent=2), encoding="utf-8")
        new.replace(self.folder / RECORD)
        return self


def run_folder() -> Path:
    """Where the folders of this user's local clusters lie."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(os.environ.get(RUN_FOLDER) or f"/tmp/carbonedge-{user}")


@contextlib.contextmanager
def locked() -> Iterator[Path]:
    """The run folder, while nobody else brings up or takes down a cluster. Made where it is
    missing, and removed when it is left empty.

    Raises
    ------
    ClusterError
        If others can write to it.
    """
    folder = run_folder()
    lock = _run_lock(folder)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()
        os.close(lock)


def new_folder(within: Path) -> tuple[Path, int]:
    """A folder for a cluster, and what holds it as this process's own while that is open."""
    folder = within / f"ce{secrets.token_hex(NAME_BYTES)}"
    folder.mkdir(mode=0o700)
    lock = _lock(folder, wait=False)
    assert lock is not None, "nobody else knows it"
    return folder, lock


def held(folder: Path) -> int | None:
    """The same for one that is there; ``None`` where a living process holds it."""
    return _lock(folder, wait=False)


def found(within: Path) -> list[Path]:
    """The folders of all clusters."""
    return sorted(path for path in within.iterdir() if NAME.fullmatch(path.name))


def known(address: str) -> Record | None:
    """The local cluster at an address; for ``"auto"``, the one that was brought up to stay."""
    within = run_folder()
    # What others have put there could lead this process to their Ray.
    for folder in found(within) if within.is_dir() and _is_own(within.lstat()) else ():
        with contextlib.suppress(OSError, ValueError):
            record = Record.read(folder)
            if record.address and (record.kept if address == "auto" else record.address == address):
                return record
    return None


def note(folder: Path, what: Sequence[str]) -> None:
    """Write down what is about to be done to cgroups; see `cgroups.make`."""
    with (folder / NOTES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


def noted(folder: Path) -> list[Sequence[str]]:
    """What was. A note that broke off was of nothing that was done yet."""
    notes: list[Sequence[str]] = []
    with contextlib.suppress(FileNotFoundError, ValueError):
        for line in (folder / NOTES).read_text(encoding="utf-8").splitlines():
            notes.append(json.loads(line))
    return notes


def _run_lock(folder: Path) -> int:
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            lock = _lock(folder, wait=True)
            assert lock is not None, "it was waited for"
            state = os.fstat(lock)
            # Who had it before may have removed it.
            if state.st_nlink and folder.stat().st_ino == state.st_ino:
                if _is_own(state):
                    return lock
                os.close(lock)
                raise ClusterError(
                    f"{str(folder)!r} can be written to by others: remove it, or name another "
                    f"folder in {RUN_FOLDER}"
                )
            os.close(lock)


def _is_own(state: os.stat_result) -> bool:
    """Whether a folder, and no link to one, is this user's, and nobody else can write to it."""
    return (
        stat.S_ISDIR(state.st_mode)
        and state.st_uid == os.getuid()
        and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _lock(folder: Path, *, wait: bool) -> int | None:
    import fcntl

    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file
