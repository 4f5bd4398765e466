"""Exit codes of the command. This module must not know who leaves with one."""

from __future__ import annotations

from typing import Final

__all__ = ["ERROR", "INTERRUPTED", "NOT_EXECUTABLE", "NOT_FOUND", "NOT_RUNNING"]

ERROR: Final = 1
NOT_RUNNING: Final = 3  #: `swell status` without a server, as service managers understand it
NOT_EXECUTABLE: Final = 126  #: as shells report a command that cannot be executed
NOT_FOUND: Final = 127  #: as shells report a command that does not exist
INTERRUPTED: Final = 130  #: as shells report a program that Ctrl-C ended
