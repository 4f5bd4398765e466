"""The data directory of the daemon, and how a client finds the daemon there.

A server announces itself in its data directory, in a small file that says where it listens. This module must not know
what else is in the directory, nor talk to a server.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec
from msgspec import Struct

from swell.config import Settings
from swell.private_files import check_directory, read_file

__all__ = [
    "Announcement",
    "announced",
    "announcement_path",
    "data_dir",
    "proxy_tokens_path",
    "socket_path",
]

_FILE: Final = "server.json"
_SOCKET: Final = "server.sock"


class Announcement(Struct, frozen=True):
    """What a running server says of itself."""

    address: str  #: as in unix:/path
    pid: int
    started_at: float  #: seconds since the epoch
    version: str
    run_dir: str  #: its private directory, which it removes at its end
    remote_address: str = ""  #: where clients on other machines connect; "" if they cannot
    remote_token_file: str = ""  #: has the token that these need; "": it is a setting


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
    """Return the path of the socket at which the server of a data directory, or run directory, listens.

    It may be longer than the system takes: `connect_socket` does not mind. It is nowhere but in the directory, as
    elsewhere somebody else could listen under a name that can be foretold.
    """
    return os.path.join(directory, _SOCKET)


def announced(directory: str) -> Announcement | None:
    """Return what the server of a data directory said when it started; it may have been killed since.

    Raises:
        InvalidError: others may write to the directory or the file: it may be a server of theirs.
    """
    try:
        check_directory(directory)
        return msgspec.json.decode(read_file(announcement_path(directory)), type=Announcement)
    except (OSError, msgspec.DecodeError):
        return None


def proxy_tokens_path(settings: Settings) -> str:
    """Return the path of the file with what is kept of the tokens that web functions may ask for."""
    return os.path.join(data_dir(settings), "proxy-tokens.json")
