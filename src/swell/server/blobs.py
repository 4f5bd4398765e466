"""Deletes the files that carry large values.

They lie in a directory that code in containers can write to. This module must not know which of them are needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from swell.logs import PeerLog
from swell.wire.blob_names import is_blob_name

__all__ = ["Blobs"]


class Blobs:
    """Deletes blobs. One that cannot be deleted, such as a directory of that name, is left there and logged."""

    def __init__(self, directory: Path, deleted: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            deleted: called with the name of each that was: there may be copies elsewhere.
        """
        self._directory = directory
        self._deleted = deleted
        self._log = PeerLog(logging.getLogger("swell.server"))

    def delete(self, name: str) -> None:
        """Delete a blob by its name, if it is there."""
        if is_blob_name(name):
            self.delete_file(self._directory / name)
            self._deleted(name)

    def delete_file(self, path: Path) -> None:
        """Delete a file of that directory, if it is there."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._log.warning("blob", "a blob cannot be deleted: %s", error)
