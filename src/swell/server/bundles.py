"""Source bundles on this machine: each is laid out once, in a directory named by its digest, before containers need it.

This module must not know which app a bundle belongs to, or what is in it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from swell.errors import InvalidError
from swell.ports import Store
from swell.wire import bundle

__all__ = ["Bundles"]

DIGEST_MAX = 128  #: characters: what any file system takes for a name
Ready = Callable[[str, str], None]  #: gets the directory of a bundle, or "" and why there is none


class Bundles:
    """Lays bundles out, and finds them.

    Args:
        directory: where; None for a server that keeps nothing, and so has none.
        store: which has what is not laid out.
    """

    def __init__(self, directory: Path | None, store: Store) -> None:
        self._directory = directory
        self._store = store
        self._waiting: dict[str, list[Ready]] = {}  # by digest
        if directory is not None:
            for draft in directory.glob("~*"):  # a server was killed while it wrote this
                shutil.rmtree(draft, ignore_errors=True)

    async def unpack(self, digest: str, archive: bytes) -> str:
        """Lay out a bundle that a client sent; return why that cannot be, "" if it is done."""
        return await asyncio.to_thread(self._lay_out, digest, archive)

    def fetch(self, digest: str, ready: Ready) -> None:
        """Call `ready` when a bundle is laid out, at once if it is, or cannot be."""
        path = self._path(digest)
        if isinstance(path, str):
            ready("", path)
            return
        if path.is_dir():
            ready(str(path), "")
            return
        waiting = self._waiting.setdefault(digest, [])
        waiting.append(ready)
        if len(waiting) == 1:
            self._store.read_bundle(
                digest, lambda archive: self._read(digest, archive), failed=lambda why: self._settle(digest, str(why))
            )

    def _read(self, digest: str, archive: bytes | None) -> None:
        self._settle(digest, f"bundle {digest} is not kept" if archive is None else self._lay_out(digest, archive))

    def _settle(self, digest: str, why: str) -> None:
        """Tell those who wait for a bundle where it is, or why it is nowhere."""
        directory = "" if why else str(self._path(digest))
        for ready in self._waiting.pop(digest, []):
            ready(directory, why)

    def _lay_out(self, digest: str, archive: bytes) -> str:
        path = self._path(digest)
        if isinstance(path, str):
            return path
        try:
            files = bundle.unpack(archive)
            if bundle.digest_of(files) != digest:
                return f"the bundle is not what its digest {digest} says"
            bundle.write(files, str(path))
        except (InvalidError, OSError) as error:
            return f"the source files cannot be laid out: {error}"
        return ""

    def _path(self, digest: str) -> Path | str:
        """Return where a bundle is laid out, or why there can be none of that digest."""
        if self._directory is None:
            return "this server keeps no bundles"
        if not (digest.isalnum() and digest.isascii() and len(digest) <= DIGEST_MAX):
            return f"{digest!r:.200} is not the digest of a bundle"
        return self._directory / digest
