"""Run directories: the private directory of one server, or of one agent, which is gone with it.

This module must not know what is put there.
"""

from __future__ import annotations

import os
import re
import stat

__all__ = ["new_run_dir", "remove_run_dir"]


def new_run_dir() -> str:
    """Return a name for the private directory of one server: in memory, if there is such a place.

    Large arguments and results go there on their way.
    """
    base = "/dev/shm"
    if not os.access(base, os.W_OK):
        import tempfile

        base = tempfile.gettempdir()
    return os.path.join(base, f"swell-{os.getuid()}-{os.urandom(8).hex()}")


def remove_run_dir(path: str) -> None:
    """Remove the private directory of a server that was killed, if that is what there is: a path may say anything."""
    name = re.compile(rf"swell-{os.getuid()}-[0-9a-f]{{16}}")
    try:
        found = os.lstat(path)
    except (OSError, ValueError):  # it is gone; or that is no path
        return
    if name.fullmatch(os.path.basename(path)) and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
