"""Entries written down beside the inferences, which never wait for it."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from pathlib import Path
from typing import Self

from carbonedge._validation import positive, slots
from carbonedge.carbon.entry import EntryValues
from carbonedge.carbon.ledger_writer import LedgerWriter

__all__ = ["Ledger"]

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 20_000
"""Entries of one transaction; other processes write between two."""
FEWEST_AT_ONCE = 100
"""Where there is hardly room left."""


class Ledger:
    """What inferences cost, written to a SQLite file by a thread of its own.

    Several threads and processes may write to one file, on one machine. What cannot be
    written is kept while there is room, then lost: counted, logged when it begins and when
    it is over, and never the concern of an inference. After ``kill -9`` the file is whole and
    lacks what came within `flush_every_s` and the time of one write.

    A forked child goes on with the file and with nothing pending. What is pending when the
    interpreter exits is written. An entry with a figure that is not finite is lost.

    Parameters
    ----------
    path
        A ledger, or where none is yet.
    flush_every_s
        How often what is pending is written.
    most_pending
        How many entries may wait, about half a kilobyte each.

    Raises
    ------
    ValueError
        If the path is in no folder, or there is something that is not a ledger or is one of
        a newer version.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        flush_every_s: float = 0.5,
        most_pending: int = 1_000_000,
    ) -> None:
        import sqlite3
        from multiprocessing import util

        self._path = Path(path).absolute()
        self._flush_every_s = positive("flush_every_s", flush_every_s)
        self._most_pending = slots("most_pending", most_pending)
        self._reset()
        try:
            self._connected()
        except sqlite3.Error as error:
            self._say_trouble(str(error))
        self._start()
        util.register_after_fork(self, Ledger._close_with_process)

    def _reset(self) -> None:
        self._pending: deque[EntryValues] = deque()
        self._written = 0
        self._lost = 0
        self._lost_seen = 0
        self._lost_before = 0
        self._in_trouble = False
        self._at_once = MOST_AT_ONCE
        self._writer: LedgerWriter | None = None
        self._writing = threading.Lock()
        self._losing = threading.Lock()

    def _start(self) -> None:
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carbonedge-ledger", daemon=True)
        self._thread.start()
        _open.add(self)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def written(self) -> int:
        """How many entries this process has written."""
        return self._written

    @property
    def lost(self) -> int:
        """How many entries of this process will never be written."""
        return self._lost

    def append(self, entry: EntryValues) -> None:
        """Have an `Entry`, or its values, written soon. Neither waits nor fails."""
        # Threads may together overstep the limit by a few, which harms nobody.
        if len(self._pending) < self._most_pending:
            self._pending.append(entry)
        else:
            self._lose(1)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Write what was appended until now.

        Parameters
        ----------
        timeout_s
            How long to wait for a write that is under way; as long as it takes if left out.

        Returns
        -------
        Whether nothing of it is pending any more.
        """
        if not self._writing.acquire(timeout=-1 if timeout_s is None else max(timeout_s, 0.0)):
            return False
        try:
            return self._write_pending()
        finally:
            self._writing.release()

    def close(self) -> None:
        """Write what is pending and let the file go. What is appended later is lost."""
        self._closing.set()
        self._thread.join()
        self.flush()
        with self._writing:
            self._most_pending = 0
            self._lose(len(self._pending))
            self._pending.clear()
            self._release()
            self._say_over("closed")
        _open.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({str(self._path)!r}, written={self._written}, lost={self._lost})"

    def _run(self) -> None:
        while not self._closing.wait(self._flush_every_s):
            self.flush()

    def _write_pending(self) -> bool:
        import sqlite3

        due = len(self._pending)
        refused: list[str] = []
        while due > 0:
            batch = [self._pending.popleft() for _ in range(min(due, self._at_once))]
            try:
                refused_now = self._connected().write(batch)
            except (sqlite3.Error, OSError, ValueError) as error:
                self._pending.extendleft(reversed(batch))
                self._at_once = max(self._at_once // 2, FEWEST_AT_ONCE)
                self._release()
                self._say_trouble(str(error))
                return False
            self._at_once = MOST_AT_ONCE
            self._written += len(batch) - len(refused_now)
            self._lose(len(refused_now))
            refused += refused_now
            due -= len(batch)
        if self._lost > self._lost_seen:
            self._say_trouble(refused[0] if refused else "entries come faster than it is written")
            self._lost_seen = self._lost
        elif self._writer is not None:
            self._say_over("written again")
        return True

    def _connected(self) -> LedgerWriter:
        if self._writer is None:
            self._writer = LedgerWriter(self._path)
        return self._writer

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _lose(self, count: int) -> None:
        with self._losing:
            self._lost += count

    def _say_trouble(self, reason: str) -> None:
        if not self._in_trouble:
            self._in_trouble = True
            self._lost_before = self._lost_seen
            logger.warning(
                "the ledger %s is incomplete: %s; at most %d entries wait, others are lost",
                self._path,
                reason,
                self._most_pending,
            )

    def _say_over(self, what: str) -> None:
        if self._in_trouble:
            self._in_trouble = False
            lost = self._lost - self._lost_before
            logger.warning("the ledger %s is %s: %d entries were lost", self._path, what, lost)

    def _before_fork(self) -> None:
        """Let go of the file: a connection must not be in two processes."""
        self._writing.acquire()
        self._release()

    def _after_fork_in_parent(self) -> None:
        """Go on as before."""
        self._writing.release()

    def _after_fork_in_child(self) -> None:
        """Begin anew: what is pending is the parent's to write."""
        self._reset()
        self._start()

    def _close_with_process(self) -> None:
        """Children of multiprocessing run no exit handlers but those of its own."""
        from multiprocessing import util

        util.Finalize(self, self.close, exitpriority=0)


_open: set[Ledger] = set()
_forking: list[Ledger] = []
_one_fork = threading.Lock()
"""At a time: two threads may fork at once."""


def _before_fork() -> None:
    _one_fork.acquire()
    _forking[:] = _open
    for ledger in _forking:
        ledger._before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop()._after_fork_in_parent()
    _one_fork.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop()._after_fork_in_child()
    _one_fork.release()


def _close_all() -> None:
    for ledger in list(_open):
        ledger.close()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
