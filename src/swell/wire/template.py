"""What a server and its templates say to each other, and the files that travel beside the words.

A datagram is a list of requests or of replies; a request's files follow it as ancillary data, in the order of the list.
This module must not know sockets, processes, or why a container is wanted.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = [
    "DATAGRAM_MAX",
    "FILES_MAX",
    "Exited",
    "Interrupt",
    "Kill",
    "Launch",
    "NotStarted",
    "Opened",
    "Reply",
    "Request",
    "Started",
    "files_of",
]

DATAGRAM_MAX = 128 << 10  #: bytes; below every default socket buffer
FILES_MAX = 64  #: descriptors beside one datagram; the kernel's own bound is 253


class _Word(Struct, array_like=True, frozen=True, gc=False):
    pass


class Launch(_Word, frozen=True, tag=1):
    """Fork a container. Files: the ends it shall write stdout and stderr to."""

    container_id: str
    address: str  #: of the server
    token: str
    variables: dict[str, str]  #: environment that the user's code cannot choose, such as its GPUs
    memory_limit_bytes: int | None = None


class Interrupt(_Word, frozen=True, tag=2):
    """Send a child SIGINT. Unknown ids are ignored."""

    child_id: str


class Kill(_Word, frozen=True, tag=3):
    """Kill a child's whole process group. Unknown ids are ignored."""

    child_id: str


class Opened(_Word, frozen=True, tag=20):
    """The template is ready to fork."""

    pid: int


class Started(_Word, frozen=True, tag=21):
    """A child exists."""

    child_id: str
    pid: int


class NotStarted(_Word, frozen=True, tag=22):
    """The system refused to fork; `text` says why."""

    child_id: str
    text: str


class Exited(_Word, frozen=True, tag=23):
    """A child is gone with its process group. `status` is its exit code, or minus the signal that killed it."""

    child_id: str
    status: int


Request = Launch | Interrupt | Kill
Reply = Opened | Started | NotStarted | Exited


def files_of(request: Request) -> int:
    """How many files travel with a request."""
    return 2 if isinstance(request, Launch) else 0
