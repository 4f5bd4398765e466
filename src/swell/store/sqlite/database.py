"""One SQLite file: open it for this process alone, migrate its schema, run transactions, explain errors.

This module must not know records, or what the tables hold. Use it in one thread.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final, Literal

import apsw

from swell.errors import InvalidError
from swell.ports import StoreBroken
from swell.private_files import check_entry
from swell.store.sqlite.statements import migrations, statements

__all__ = ["Database", "Synchronous"]

Synchronous = Literal["full", "normal"]

APPLICATION_ID: Final = 0x7377656C  #: "swel": marks the file as swell's
_BESIDE: Final = ("-wal", "-shm", "-journal")  #: suffixes of the files that SQLite creates beside it
CACHE_KIB: Final = 32 << 10  #: page cache: holds the index over the ids of a few hundred thousand calls
#: A longer log, left by a very large transaction, is truncated to this when SQLite next reuses it.
WAL_BYTES_MAX: Final = 64 << 20


class Database:
    """An open database, locked against other processes.

    Args:
        path: the file. It is created, readable by its owner only, if it does not exist; so are the files that SQLite
            puts beside it.
        synchronous: "full": a commit survives a power cut; "normal": it survives the end of any process, but a power
            cut may lose the last moments.

    Raises:
        StoreBroken: the file cannot be used; the text says why, and what to do.
    """

    def __init__(self, path: str, synchronous: Synchronous = "full") -> None:
        self.path = path
        self.log_pages = 0  #: in the write-ahead log, as of the last commit
        self._statements = statements()
        try:
            for name in (path, *(f"{path}{suffix}" for suffix in _BESIDE)):
                check_entry(name)
            _make_file(path)
        except InvalidError as error:
            raise StoreBroken(str(error)) from error
        except OSError as error:
            raise _cannot_open(path, error.strerror) from error
        # Any, because apsw's annotations name a type (Buffer) that Python 3.11 does not have.
        self._db: Any = None
        try:
            self._db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
            self._prepare(synchronous)
        except apsw.Error as error:
            broken = self.explain(error)
            self.close(as_is=True)
            raise broken from error
        except StoreBroken:
            self.close(as_is=True)
            raise

    def _prepare(self, synchronous: Synchronous) -> None:
        db = self._db
        if db.readonly("main"):
            raise _cannot_open(self.path, "it is read-only")
        # Locks out other processes from the first statement on; and SQLite then needs no shared memory beside the file.
        db.pragma("locking_mode", "exclusive")
        db.pragma("cache_size", -CACHE_KIB)
        db.pragma("temp_store", "memory")
        owner, version = db.pragma("application_id"), db.pragma("user_version")
        is_new = not owner and not version and not self.value("SELECT count(*) FROM sqlite_schema")
        if not is_new and owner != APPLICATION_ID:
            raise StoreBroken(f"{self.path} is a database of another program: give this server another file")
        if is_new:
            db.pragma("auto_vacuum", "incremental")  # can be set only before the first table exists
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", synchronous)
        db.pragma("journal_size_limit", WAL_BYTES_MAX)
        db.set_wal_hook(self._note_commit)  # no checkpoints at a fixed size: the writer chooses the moment
        self._migrate(int(version))

    def _migrate(self, version: int) -> None:
        known = list(migrations())
        if version > len(known):
            raise StoreBroken(
                f"{self.path} was written by a newer swell: its tables are of version {version}, this one knows "
                f"{len(known)}. Use the newer swell, or give this server another file"
            )
        for number, sql in known[version:]:
            self.begin()
            self._db.execute(sql)
            self._db.pragma("application_id", APPLICATION_ID)
            self._db.pragma("user_version", number)
            self.commit()

    def _note_commit(self, _db: object, _name: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    # ------------------------------------------------------------ statements

    def run(self, name: str, **values: Any) -> int:
        """Run a statement by name; return the number of rows that it changed."""
        self._db.execute(self._statements[name], values)
        return self._db.changes()

    def add(self, name: str, values: tuple[Any, ...]) -> None:
        """Run a statement by name, with its values in order: quicker than by their names."""
        self._db.execute(self._statements[name], values)

    def rows(self, name: str, **values: Any) -> Iterator[Any]:
        """Yield the rows of a query by name, as tuples."""
        return self._db.execute(self._statements[name], values)

    def row(self, name: str, **values: Any) -> Any:
        """Return the first row of a query by name, or None."""
        return next(self.rows(name, **values), None)

    def value(self, sql: str) -> Any:
        """Return the single value of an SQL query."""
        return self._db.execute(sql).get

    # ------------------------------------------------------------ transactions

    def begin(self) -> None:
        """Begin a transaction, unless one is open."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    @property
    def is_writing(self) -> bool:
        """True between `begin` and `commit`."""
        return self._db.in_transaction

    def commit(self) -> None:
        """Commit the transaction, if one is open."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file, so that the log starts over."""
        self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.log_pages = 0

    @property
    def free_pages(self) -> int:
        """The number of unused pages in the file."""
        return self._db.pragma("freelist_count")

    def shrink(self, pages: int) -> None:
        """Return unused pages to the file system. The file shrinks with the next checkpoint."""
        self._db.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()

    def close(self, *, as_is: bool = False) -> None:
        """Release the file.

        Args:
            as_is: leave the log beside the file, after an error: the next process that opens it recovers all commits.
        """
        if self._db is None:
            return
        if not as_is:
            self._db.close(True)
            return
        with contextlib.suppress(apsw.Error):  # the first error was reported
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._db.close(True)

    def explain(self, error: apsw.Error) -> StoreBroken:
        """Return what an error means for the operator of the server."""
        number = self._db.system_errno if self._db is not None else 0
        return _explain(error, self.path, os.strerror(number) if number else str(error))


def _explain(error: apsw.Error, path: str, cause: str) -> StoreBroken:
    match error:
        case apsw.BusyError() | apsw.LockedError():
            text = f"{path} is in use by another process: stop that server, or give this one another file"
        case apsw.FullError():
            text = f"there is no room for {path} ({error}): make room, then start the server again"
        case apsw.NotADBError():
            text = f"{path} is damaged, or no database: restore a copy, or move it away to begin with an empty one"
        case apsw.CorruptError():
            text = f"{path} is damaged ({error}): restore a copy, or save what can be read with sqlite3's .recover"
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            return _cannot_open(path, cause)
        case apsw.IOError():
            text = f"cannot read or write {path} ({cause}): see to the disk, then start the server again"
        case _:
            text = f"{path}: {error}"
    return StoreBroken(text)


def _cannot_open(path: str, why: str | None) -> StoreBroken:
    return StoreBroken(f"cannot open {path} ({why}): this user must be able to write the file and its directory")


def _make_file(path: str) -> None:
    """Create the file. An existing file must not be opened: closing it would release SQLite's locks."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
