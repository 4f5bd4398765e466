"""One SQLite file: opening it for this process alone, its schema, its transactions, and what its errors mean.

This module must not know records, or what is in the tables. Use it in one thread.
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

APPLICATION_ID: Final = 0x7377656C  #: "swel": what other programs' databases do not have
_BESIDE: Final = ("-wal", "-shm", "-journal")  #: what SQLite appends to the name for the files that it makes
CACHE_KIB: Final = 32 << 10  #: of pages in memory: holds the index of the ids of a few hundred thousand calls
WAL_BYTES_MAX: Final = (
    64 << 20
)  #: a longer log, left by a very large transaction, is cut to this when it is next reused


class Database:
    """An open database, which no other process can use meanwhile.

    Args:
        path: of the file. It is made, for its owner only, if there is none; as are those that SQLite puts beside it.
        synchronous: "full": what is committed survives a power cut; "normal": it survives the end of any process, but
            a power cut may take the last moments with it.

    Raises:
        StoreBroken: it cannot be used; says why, and what to do.
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
        # From the first statement on no other process gets in; and SQLite needs no shared memory beside the file.
        db.pragma("locking_mode", "exclusive")
        db.pragma("cache_size", -CACHE_KIB)
        db.pragma("temp_store", "memory")
        owner, version = db.pragma("application_id"), db.pragma("user_version")
        is_new = not owner and not version and not self.value("SELECT count(*) FROM sqlite_schema")
        if not is_new and owner != APPLICATION_ID:
            raise StoreBroken(f"{self.path} is a database of another program: give this server another file")
        if is_new:
            db.pragma("auto_vacuum", "incremental")  # can only be chosen before the first table
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", synchronous)
        db.pragma("journal_size_limit", WAL_BYTES_MAX)
        db.set_wal_hook(self._note_commit)  # in place of checkpoints at a fixed size: the writer chooses the moment
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
        """Carry out a statement by name, and return how many rows it has changed."""
        self._db.execute(self._statements[name], values)
        return self._db.changes()

    def rows(self, name: str, **values: Any) -> Iterator[Any]:
        """Yield the rows of a query by name, as tuples."""
        return self._db.execute(self._statements[name], values)

    def row(self, name: str, **values: Any) -> Any:
        """Return the one row of a query by name, or None."""
        return next(self.rows(name, **values), None)

    def value(self, sql: str) -> Any:
        """Return the one value of a query in SQL."""
        return self._db.execute(sql).get

    # ------------------------------------------------------------ transactions

    def begin(self) -> None:
        """Begin to write, unless that has begun."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    @property
    def is_writing(self) -> bool:
        """True between `begin` and `commit`."""
        return self._db.in_transaction

    def commit(self) -> None:
        """Make what was written since `begin` durable, if anything was."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def checkpoint(self) -> None:
        """Move what is in the log to its place in the file, so that the log can begin anew."""
        self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.log_pages = 0

    @property
    def free_pages(self) -> int:
        """Pages of the file that are not in use: room for what comes next."""
        return self._db.pragma("freelist_count")

    def shrink(self, pages: int) -> None:
        """Give so many unused pages back to the file system. The file is shorter after the next checkpoint."""
        self._db.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()

    def close(self, *, as_is: bool = False) -> None:
        """Release the file.

        Args:
            as_is: leave the log beside it, because something is wrong: who opens it next finds what was committed.
        """
        if self._db is None:
            return
        if not as_is:
            self._db.close(True)
            return
        with contextlib.suppress(apsw.Error):  # what is wrong has been said
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._db.close(True)

    def explain(self, error: apsw.Error) -> StoreBroken:
        """Say what an error means to those who run the server."""
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
    """Make the file if there is none. One that is there must not be opened: closing it would end SQLite's locks."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
