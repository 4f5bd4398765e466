"""Source bundles at the server: those of durable apps are in the store, those of others are here while they run.

Where containers see the files of this machine, a bundle is unpacked once, in a directory named by its digest. Elsewhere
it is unpacked on each node; here is then a file with its archive, from which nodes fetch it, while an app uses it. This
module must not know what is in a bundle, or how it travels.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from swell.errors import InvalidError
from swell.ids import is_digest
from swell.ports import Store
from swell.wire import bundle
from swell.wire.blob_file import new_blob

__all__ = ["Bundles"]

NONE_KEPT: Final = "this server keeps no bundles"
OnFound = Callable[[str, str], None]  #: gets the place of a bundle, or "" and why there is none


class Bundles:
    """Keeps bundles, and finds them.

    Args:
        kept: for unpacked bundles of durable apps; None for a server that keeps nothing.
        passing: for bundles that are deleted when no app uses them.
        store: has the bundles of durable apps.
        are_local: containers see the files of this machine.
        deleted: called with the digest of a bundle of `passing` that was deleted.
    """

    def __init__(
        self, kept: Path | None, passing: Path, store: Store, *, are_local: bool, deleted: Callable[[str], None]
    ) -> None:
        self._kept = kept
        self._passing = passing
        self._store = store
        self._are_local = are_local
        self._deleted = deleted
        self._used: dict[str, set[str]] = {}  # digests of what apps use in `passing`, by the ids of the apps
        self._users: dict[str, set[str]] = {}  # the same, the ids by digest
        self._numbers = count(1)
        self._waiting: dict[Path, list[OnFound]] = {}
        if kept is not None:
            for draft in kept.glob("~*"):  # left by a server that was killed while it wrote this
                shutil.rmtree(draft, ignore_errors=True)

    async def take(self, app_id: str, digest: str, archive: bytes, *, is_durable: bool) -> str:
        """Take a bundle that a client has sent; return why that failed, "" if it did not.

        That of a durable app is about to be in the store, that of another is here until `drop`.
        """
        if not is_digest(digest):
            return f"{digest!r:.200} is not the digest of a bundle"
        if is_durable and not self._are_local:
            return await asyncio.to_thread(_problem, digest, archive)
        place = self._place(app_id, digest, is_durable=is_durable)
        if place is None:
            return NONE_KEPT
        return await asyncio.to_thread(self._check_and_write, place, digest, archive)

    def fetch(self, app_id: str, digest: str, ready: OnFound) -> None:
        """Call `ready` when a bundle of an app is in its place: at once if it is, or cannot be."""
        if not is_digest(digest):
            ready("", f"{digest!r:.200} is not the digest of a bundle")
            return
        is_durable = digest not in self._used.get(app_id, ())
        place = self._place(app_id, digest, is_durable=is_durable)
        if place is None:
            ready("", NONE_KEPT)
        elif place.exists():
            ready(str(place), "")
        else:
            waiting = self._waiting.setdefault(place, [])
            waiting.append(ready)
            if len(waiting) == 1:
                self._store.read_bundle(
                    digest,
                    partial(self._read, place, digest),
                    failed=lambda why: self._call_back(place, str(why)),
                )

    def drop(self, app_id: str) -> None:
        """An app is gone: delete the bundles that it alone has used, but those that are kept."""
        for digest in self._used.pop(app_id, ()):
            users = self._users[digest]
            users.discard(app_id)
            if not users:
                del self._users[digest]
                self._delete(self._passing / digest)
                self._deleted(digest)

    def _place(self, app_id: str, digest: str, *, is_durable: bool) -> Path | None:
        """Return where a bundle is, or will be; the app uses it there from now on."""
        if is_durable and self._are_local:
            return None if self._kept is None else self._kept / digest
        self._used.setdefault(app_id, set()).add(digest)
        self._users.setdefault(digest, set()).add(app_id)
        return self._passing / digest

    def _read(self, place: Path, digest: str, archive: bytes | None) -> None:
        if archive is None and digest == bundle.EMPTY:
            archive = bundle.pack({})[1]
        if archive is None:
            why = f"bundle {digest} is not kept"
        elif place.parent == self._passing and digest not in self._users:
            why = "its app is gone"
        else:
            why = self._write(place, digest, archive)
        self._call_back(place, why)

    def _call_back(self, place: Path, why: str) -> None:
        """Call back all that wait for a bundle."""
        for ready in self._waiting.pop(place, []):
            ready("" if why else str(place), why)

    def _check_and_write(self, place: Path, digest: str, archive: bytes) -> str:
        why = "" if self._are_local else _problem(digest, archive)
        return why or self._write(place, digest, archive)

    def _write(self, place: Path, digest: str, archive: bytes) -> str:
        """Put a bundle in its place; return why that failed, "" if it did not. Nodes check what they fetch."""
        try:
            if self._are_local:
                bundle.write(bundle.checked(digest, archive), str(place))
            elif not place.exists():  # else it is in use
                with new_blob(str(place.parent), place.name, to_disk=False) as file:
                    _write_all(file, archive)
        except (InvalidError, OSError) as error:
            return f"the source files cannot be laid out: {error}"
        return ""

    def _delete(self, place: Path) -> None:
        if self._are_local:
            gone = place.with_name(f"~gone.{next(self._numbers)}")
            with contextlib.suppress(OSError):
                os.rename(place, gone)  # at once, so that nobody finds a part of it
                asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, gone, True)
        else:
            place.unlink(missing_ok=True)


def _problem(digest: str, archive: bytes) -> str:
    """Return what is wrong with an archive; "" if nothing is."""
    try:
        bundle.checked(digest, archive)
    except InvalidError as error:
        return str(error)
    return ""


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
