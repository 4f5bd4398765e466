"""The file of a blob: written under the name of a draft, then renamed, so that whoever finds it finds all of it.

This module must not know what is in it, or who reads it. It loads no pickle: the server and agents use it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator
from typing import Final

__all__ = ["ALIGNMENT", "PARTS_MAX", "file_bytes_max", "new_blob", "open_blob", "remove_drafts"]

PARTS_MAX: Final = 1 << 20  #: buffers of one value
ALIGNMENT: Final = 64  #: bytes; of every part, for vector instructions


def file_bytes_max(payload_max: int) -> int:
    """Return how long the file of a value of so many bytes can be: each part has a size in it, and is aligned."""
    return payload_max + (PARTS_MAX + 1) * (8 + ALIGNMENT)


def open_blob(directory: str, name: str) -> int:
    """Open a blob for reading; return its descriptor. Raises OSError if that cannot be."""
    return os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW)


@contextlib.contextmanager
def new_blob(directory: str, name: str, *, to_disk: bool) -> Generator[int]:
    """Write a blob to the descriptor that this yields; it is there when the block has ended, and not if it raises.

    An existing file of that name is replaced atomically, never changed: its readers keep the old content.

    Args:
        directory: of the blobs.
        name: of the blob.
        to_disk: it survives a power failure once the block has ended.

    Raises:
        OSError: it cannot be written.
    """
    path = os.path.join(directory, name)
    folder, base = os.path.split(path)
    draft = os.path.join(folder, f"~{base}.{os.getpid()}.{threading.get_ident()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            yield fd
            if to_disk:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    if to_disk:
        _sync_folder(folder)


def remove_drafts(directory: str, name: str) -> None:
    """Remove what writers of a blob have left that were killed."""
    folder, base = os.path.split(os.path.join(directory, name))
    for found in os.listdir(folder):
        if found.startswith(f"~{base}."):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, found))


def _sync_folder(folder: str) -> None:
    """Make the names in a folder survive a power failure, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
