"""Run directories: the private directory of one server, or of one agent, which is gone with it.

That of a daemon is removed by the next one on its data directory, if it was killed. It finds the name in a file that
may be a copy, or say anything. So each bears a mark, which says whose it is, and which its server holds locked while it
lives.

This module must not know what else is put there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from typing import Final

from swell.errors import InvalidError
from swell.private_files import make_directory, open_file

__all__ = ["claim_run_dir", "new_run_dir", "remove_run_dir"]

_MARK: Final = "owner"
_MARK_MAX: Final = 200  #: bytes


def new_run_dir() -> str:
    """Return a name for the private directory of one server: in memory, if there is such a place.

    Large arguments and results go there on their way.
    """
    base = "/dev/shm"
    if not os.access(base, os.W_OK):
        import tempfile

        base = tempfile.gettempdir()
    return os.path.join(base, f"swell-{os.getuid()}-{os.urandom(8).hex()}")


def claim_run_dir(path: str, owner: str) -> int:
    """Make a run directory, and mark it; return the descriptor of the mark, which holds it until it is closed.

    Args:
        path: of `new_run_dir`.
        owner: tells this server's data directory from all others, copies as well.

    Raises:
        InvalidError: something else is there.
        OSError: it cannot be made.
    """
    make_directory(path)
    mark = open_file(os.path.join(path, _MARK), os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(mark, owner.encode())
    except BaseException:
        os.close(mark)
        raise
    return mark


def remove_run_dir(path: str, owner: str) -> None:
    """Remove the run directory of a server that was killed, if that is what there is, and it is this owner's."""
    name = re.compile(rf"swell-{os.getuid()}-[0-9a-f]{{16}}")
    try:
        found = os.lstat(path)
        if not (name.fullmatch(os.path.basename(path)) and stat.S_ISDIR(found.st_mode)):
            return
        mark = open_file(os.path.join(path, _MARK), os.O_RDONLY)
    except (OSError, ValueError, InvalidError):  # it is gone, or bears no mark; or that is no path
        return
    try:
        if os.read(mark, _MARK_MAX) == owner.encode():
            with contextlib.suppress(BlockingIOError):  # who has it lives
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                import shutil

                shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(mark)
