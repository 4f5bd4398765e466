"""Where the server that stays keeps what it keeps, and how it is found there.

A server announces itself in its data directory, in a small file that says where it listens. This module must not know
what else is in the directory, nor talk to a server.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec
from msgspec import Struct

from swell.config import Settings

__all__ = [
    "Announcement",
    "announced",
    "announcement_path",
    "data_dir",
    "new_run_dir",
    "proxy_tokens_path",
    "socket_path",
]

_FILE: Final = "server.json"
_SOCKET_PATH_MAX: Final = 100  #: bytes; the system's own bound is 107


class Announcement(Struct, frozen=True):
    """What a running server says of itself."""

    address: str  #: as in unix:/path
    pid: int
    started_at: float  #: seconds since the epoch
    version: str
    run_dir: str  #: its private directory, which it removes at its end


def data_dir(settings: Settings) -> str:
    """Return the data directory: as it is set, or `swell` in the user's own (XDG_DATA_HOME)."""
    if settings.data_dir:
        return os.path.abspath(os.path.expanduser(settings.data_dir))
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(base, "swell")


def announcement_path(directory: str) -> str:
    """Return the path of the file in which the server of a data directory announces itself."""
    return os.path.join(directory, _FILE)


def socket_path(directory: str) -> str:
    """Return the path of the socket at which the server of a data directory listens, always the same."""
    path = os.path.join(directory, "server.sock")
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    import hashlib
    import tempfile

    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return os.path.join(tempfile.gettempdir(), f"swell-{os.getuid()}-{digest}.sock")


def announced(directory: str) -> Announcement | None:
    """Return what the server of a data directory said when it started; it may have been killed since."""
    try:
        with open(announcement_path(directory), "rb") as file:
            return msgspec.json.decode(file.read(), type=Announcement)
    except (OSError, msgspec.DecodeError):
        return None


def new_run_dir() -> str:
    """Return a name for the private directory of one server: in memory, if there is such a place.

    Large arguments and results go there on their way.
    """
    base = "/dev/shm"
    if not os.access(base, os.W_OK):
        import tempfile

        base = tempfile.gettempdir()
    return os.path.join(base, f"swell-{os.getuid()}-{os.urandom(8).hex()}")


def proxy_tokens_path(settings: Settings) -> str:
    """Return the path of the file with what is kept of the tokens that web functions may ask for."""
    return os.path.join(data_dir(settings), "proxy-tokens.json")
