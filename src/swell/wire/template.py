"""What a server and its templates say to each other, and the files that travel beside the words.

A datagram is a list of requests or of replies; a request's files follow it as ancillary data, in the order of the list.
This module must not know sockets, processes, or why a container is wanted.
"""

from __future__ import annotations

from msgspec import Struct

from swell.bounds import Id, Integer, Name, Pid, Text, Variables
from swell.model import Environment, FunctionSpec

__all__ = [
    "DATAGRAM_MAX",
    "FILES_MAX",
    "RUN_DIR",
    "Adopt",
    "Exited",
    "Grow",
    "Interrupt",
    "Kill",
    "Launch",
    "NotStarted",
    "Opened",
    "Reply",
    "Request",
    "Seed",
    "Started",
    "Sweep",
    "Unfit",
    "files_of",
]

DATAGRAM_MAX = 128 << 10  #: bytes; below every default socket buffer
FILES_MAX = 64  #: descriptors beside one datagram; the kernel's own bound is 253
#: Environment variable that marks every process that descends from a server's templates: its run directory.
RUN_DIR = "SWELL_RUN_DIR"


class _Word(Struct, array_like=True, frozen=True, gc=False):
    pass


class Launch(_Word, frozen=True, tag=1):
    """Fork a container. Files: the ends it shall write stdout and stderr to, and a socket whose closing kills it."""

    child_id: Id  #: the container's
    address: Text  #: of the server
    token: Name
    variables: Variables  #: environment that the user's code cannot choose, such as its GPUs
    memory_limit_bytes: Integer | None = None
    runs_app: bool = False  #: it answers HTTP by an app, for which there is much to import
    group: Text | None = None  #: directory of the control group to enter, which holds its memory limit


class Grow(_Word, frozen=True, tag=4):
    """Fork a template of one function. Files: its end of a channel of its own, stdout, stderr, a file with a Seed.

    It imports the function's code and runs the hooks that come before a snapshot; then it says Opened on its channel
    and serves there as any template does, or it says Unfit and ends.
    """

    child_id: Id


class Seed(_Word, frozen=True):
    """What a template of one function grows from; too long for a datagram when functions travel pickled."""

    spec: FunctionSpec
    environment: Environment
    variables: Variables  #: environment that the user's code cannot choose


class Interrupt(_Word, frozen=True, tag=2):
    """Send a child SIGINT. Unknown ids are ignored."""

    child_id: Id


class Kill(_Word, frozen=True, tag=3):
    """Kill a child's whole process group. Unknown ids are ignored."""

    child_id: Id


class Adopt(_Word, frozen=True, tag=5):
    """A child of yours has died that was a template itself: this was its container, and is your child now."""

    child_id: Id
    pid: Pid
    begun: Integer  #: as in its Started


class Sweep(_Word, frozen=True, tag=6):
    """All containers of a template that died have been named: what else it left can go. Follows its Exited."""


class Opened(_Word, frozen=True, tag=20):
    """The template is ready to fork."""

    pid: Pid


class Started(_Word, frozen=True, tag=21):
    """A child exists. It says so itself, in the name of its template, before it does anything else."""

    child_id: Id
    pid: Pid
    begun: Integer  #: when, in ticks from the machine's start: no other process of this pid has the same


class NotStarted(_Word, frozen=True, tag=22):
    """The system refused to fork; `text` says why."""

    child_id: Id
    text: Text


class Exited(_Word, frozen=True, tag=23):
    """A child is gone with its process group."""

    child_id: Id
    status: Integer | None  #: its exit code, or minus the signal that killed it; None if that is not known


class Unfit(_Word, frozen=True, tag=24):
    """Containers of this function must be started without a snapshot; `text` says why. The template ends."""

    text: Text


Request = Launch | Grow | Interrupt | Kill | Adopt | Sweep
Reply = Opened | Started | NotStarted | Exited | Unfit


def files_of(request: Request) -> int:
    """How many files travel with a request."""
    match request:
        case Launch():
            return 3
        case Grow():
            return 4
        case Interrupt() | Kill() | Adopt() | Sweep():
            return 0
