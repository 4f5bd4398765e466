"""Messages between a server and its templates, and the files that travel with them.

A datagram is a list of requests or of replies; a request's files follow it as ancillary data, in the order of the list.
This module must not know sockets, processes, or why a container starts.
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
    "Exec",
    "ExecSpec",
    "Exited",
    "ForkTemplate",
    "Interrupt",
    "Kill",
    "Launch",
    "NotStarted",
    "Opened",
    "Reply",
    "Request",
    "Signal",
    "SnapshotRejected",
    "Started",
    "Sweep",
    "TemplateSpec",
    "files_of",
]

DATAGRAM_MAX = 128 << 10  #: bytes; below every default socket buffer
FILES_MAX = 64  #: descriptors beside one datagram; the kernel's own bound is 253
#: Environment variable that marks every process that descends from a server's templates: its run directory.
RUN_DIR = "SWELL_RUN_DIR"


class _TemplateMessage(Struct, array_like=True, frozen=True, gc=False):
    pass


class Launch(_TemplateMessage, frozen=True, tag=1):
    """Fork a container. Files: the write ends of its stdout and stderr, and a socket whose closing kills it."""

    child_id: Id  #: id of the container
    address: Text  #: address of the server
    token: Name
    variables: Variables  #: environment that the user's code cannot choose, such as its GPUs
    memory_limit_bytes: Integer | None = None
    runs_app: bool = False  #: it answers HTTP by an app, which needs many imports
    group: Text | None = None  #: directory of the control group to enter, which holds its memory limit


class ForkTemplate(_TemplateMessage, frozen=True, tag=4):
    """Fork a template of one function. Files: its end of its own channel, stdout, stderr, a file with a TemplateSpec.

    It imports the function's code and runs the hooks that come before a snapshot; then it sends Opened on its channel
    and serves there as any template does, or it sends SnapshotRejected and ends.
    """

    child_id: Id


class TemplateSpec(_TemplateMessage, frozen=True):
    """The function whose code a template imports; too long for a datagram when functions travel pickled."""

    spec: FunctionSpec
    environment: Environment
    variables: Variables  #: environment that the user's code cannot choose


class Exec(_TemplateMessage, frozen=True, tag=7):
    """Fork a process that becomes a command beside a container.

    Files: its stdin, stdout and stderr, a socket whose closing kills it, a file with an ExecSpec.
    """

    child_id: Id


class ExecSpec(_TemplateMessage, frozen=True):
    """The command, and the container whose surroundings it gets."""

    command: list[bytes]
    has_terminal: bool  #: stdin is a terminal, which is to be that of the command
    spec: FunctionSpec
    environment: Environment
    variables: Variables  #: these override those of the container


class Interrupt(_TemplateMessage, frozen=True, tag=2):
    """Send a child SIGINT. Unknown ids are ignored."""

    child_id: Id


class Kill(_TemplateMessage, frozen=True, tag=3):
    """Kill a child's whole process group. Unknown ids are ignored."""

    child_id: Id


class Signal(_TemplateMessage, frozen=True, tag=8):
    """Send a child's process group a signal. Unknown ids are ignored."""

    child_id: Id
    number: Integer


class Adopt(_TemplateMessage, frozen=True, tag=5):
    """Supervise a container whose template, a child of the receiver, has died; it is the receiver's child now."""

    child_id: Id
    pid: Pid
    begun: Integer  #: as in its Started


class Sweep(_TemplateMessage, frozen=True, tag=6):
    """All containers of a dead template have been named: kill its other processes. Follows the template's Exited."""


class Opened(_TemplateMessage, frozen=True, tag=20):
    """The template is ready to fork."""

    pid: Pid


class Started(_TemplateMessage, frozen=True, tag=21):
    """A child exists. It sends this itself, on its template's channel, before it does anything else."""

    child_id: Id
    pid: Pid
    begun: Integer  #: its start, in ticks since boot: no other process with this pid has the same


class NotStarted(_TemplateMessage, frozen=True, tag=22):
    """The system refused to fork; `text` says why."""

    child_id: Id
    text: Text


class Exited(_TemplateMessage, frozen=True, tag=23):
    """A child and its process group have ended."""

    child_id: Id
    status: Integer | None  #: its exit code, or minus the signal that killed it; None if that is not known


class SnapshotRejected(_TemplateMessage, frozen=True, tag=24):
    """Containers of this function must start without a snapshot; `text` says why. The template ends."""

    text: Text


Request = Launch | ForkTemplate | Exec | Interrupt | Kill | Signal | Adopt | Sweep
Reply = Opened | Started | NotStarted | Exited | SnapshotRejected


def files_of(request: Request) -> int:
    """Return how many files travel with a request."""
    match request:
        case Launch():
            return 3
        case ForkTemplate():
            return 4
        case Exec():
            return 5
        case Interrupt() | Kill() | Signal() | Adopt() | Sweep():
            return 0
