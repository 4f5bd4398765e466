"""Source bundles on this machine: each is unpacked once, in a directory named by its digest, before containers need it.

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
OnUnpacked = Callable[[str, str], None]  #: gets the directory of a bundle, or "" and why there is none


class Bundles:
    """Unpacks bundles, and finds them.

    Args:
        directory: for bundles; None for a server that keeps nothing, and so has none.
        store: has the bundles that are not unpacked here.
    """

    def __init__(self, directory: Path | None, store: Store) -> None:
        self._directory = directory
        self._store = store
        self._waiting: dict[str, list[OnUnpacked]] = {}  # by digest
        if directory is not None:
            for draft in directory.glob("~*"):  # left by a server that was killed while it wrote this
                shutil.rmtree(draft, ignore_errors=True)

    async def unpack(self, digest: str, archive: bytes) -> str:
        """Unpack a bundle that a client sent; return why that failed, "" if it did not."""
        return await asyncio.to_thread(self._write, digest, archive)

    def fetch(self, digest: str, ready: OnUnpacked) -> None:
        """Call `ready` when a bundle is unpacked: at once if it is, or cannot be."""
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
                digest,
                lambda archive: self._read(digest, archive),
                failed=lambda why: self._call_back(digest, str(why)),
            )

    def _read(self, digest: str, archive: bytes | None) -> None:
        self._call_back(digest, f"bundle {digest} is not kept" if archive is None else self._write(digest, archive))

    def _call_back(self, digest: str, why: str) -> None:
        """Call back all that wait for a bundle."""
        directory = "" if why else str(self._path(digest))
        for ready in self._waiting.pop(digest, []):
            ready(directory, why)

    def _write(self, digest: str, archive: bytes) -> str:
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
        """Return the directory of a bundle, or why there can be none of that digest."""
        if self._directory is None:
            return "this server keeps no bundles"
        if not (digest.isalnum() and digest.isascii() and len(digest) <= DIGEST_MAX):
            return f"{digest!r:.200} is not the digest of a bundle"
        return self._directory / digest
