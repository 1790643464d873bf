"""Opening a ledger, and telling it from other files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from carbonedge.carbon.ledger_tables import SCHEMA

if TYPE_CHECKING:
    import sqlite3

__all__ = ["open_to_read", "open_to_write"]

APPLICATION_ID = 0x43424547
"""In the header of every ledger: ``CBEG``."""
VERSION = 1
"""Of the tables, kept as ``user_version``."""
MAGIC = b"SQLite format 3\0"
BUSY_S = 5.0
"""How long another process's write is waited for."""


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection for a writer; the tables are made where there is nothing yet.

    Raises
    ------
    ValueError
        If there can be no ledger at the path, or there is something else.
    sqlite3.Error
        If the system refuses, which may pass.
    """
    import sqlite3

    _check_place(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=8
    )
    try:
        if _is_blank(connection, path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have been quicker.
            if _is_blank(connection, path):
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A connection that keeps no writer waiting and needs no right to write.

    Raises
    ------
    ValueError
        If there is no ledger at the path, or it cannot be read.
    """
    import sqlite3

    place = Path(path)
    if not place.exists():
        raise ValueError(f"there is no ledger {os.fspath(path)!r}: check the path")
    _check_place(place)
    try:
        return _opened(place, "mode=ro")
    except sqlite3.OperationalError as error:
        # Beside read-only media SQLite cannot keep track of writers, of which there are none.
        log = place.with_name(place.name + "-wal")
        refused = error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
        if refused and not (log.exists() and log.stat().st_size):
            return _opened(place, "immutable=1")
        raise ValueError(
            f"cannot read the ledger {os.fspath(path)!r}: {error}; copy it, with its -wal, to "
            "where you may write"
        ) from error


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    import sqlite3

    address = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
    try:
        if _is_blank(connection, path):
            raise ValueError(f"{str(path)!r} is empty: it is no ledger")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"the ledger {str(path)!r} is a folder: name a file")
    if not path.parent.is_dir():
        raise ValueError(f"the ledger {str(path)!r} is in no folder: make {str(path.parent)!r}")
    try:
        with path.open("rb") as file:
            header = file.read(len(MAGIC))
    except FileNotFoundError:
        effective = os.access in os.supports_effective_ids
        if not os.access(path.parent, os.W_OK, effective_ids=effective):
            raise ValueError(
                f"cannot make the ledger {str(path)!r}: you may not write in its folder"
            ) from None
        return
    except OSError as error:
        raise ValueError(f"cannot read the ledger {str(path)!r}: {error.strerror}") from error
    if header not in (b"", MAGIC):
        raise _foreign(path)


def _foreign(path: Path) -> ValueError:
    return ValueError(f"{str(path)!r} is not a ledger and is left as it is: name another file")


def _is_blank(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a database has nothing in it yet; raises if it is not a ledger that is known."""
    import sqlite3

    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise _foreign(path) from error
        raise ValueError(
            f"{str(path)!r} is damaged ({error}) and is left as it is: name another file"
        ) from error
    if not (application or version or tables):
        return True
    if application != APPLICATION_ID:
        raise _foreign(path)
    if version != VERSION:
        raise ValueError(
            f"the ledger {str(path)!r} has version {version} and this carbonedge knows {VERSION}: "
            "use a newer carbonedge"
        )
    return False
