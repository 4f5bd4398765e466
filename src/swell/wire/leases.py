"""Messages of call leases: a client holds a slot of a container for some time, and sends calls straight to it.

Who says what to whom, and when, is told in decision record 30. Three conversations share this file: the server with the
client, the server with the container (on its data channel and its control channel), and the client with the container
on a socket of their own. Tags from 180 on. This module must not know who gets a lease, or how long it lasts.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from swell.bounds import Code, Count, Id, Index, Name, Seconds, Size, Text
from swell.wire.message import Message

__all__ = [
    "ANNOUNCE_AFTER_S",
    "NOT_BEGUN",
    "REPORTED_MAX",
    "REPORT_EVERY_S",
    "TRACE_ENTRIES_MAX",
    "Abandoned",
    "Announce",
    "CallAnswer",
    "CallDirectly",
    "CancelDirect",
    "DirectAnswered",
    "DirectReport",
    "LeaseClosed",
    "LeaseGranted",
    "LeaseHello",
    "OpenLease",
    "RecallLease",
    "socket_name",
]

NOT_BEGUN: Final = 0  #: in place of an OutputStatus: the input was not begun there, and will not be
ANNOUNCE_AFTER_S: Final = 0.005  #: a call that takes longer is announced to the server
REPORT_EVERY_S: Final = 0.050  #: a container reports the calls that have ended at least so often
REPORTED_MAX: Final = 1_000  #: calls of one report
TRACE_ENTRIES_MAX: Final = 100

_Trace = Annotated[dict[Name, Text], Meta(max_length=TRACE_ENTRIES_MAX)]
_Calls = Meta(max_length=REPORTED_MAX)


def socket_name(container_id: str) -> str:
    """Return the name of the socket of a container for direct calls, in the directory of sockets of its server."""
    return f"{container_id}.calls"


# ---------------------------------------------------------------- client, or container -> server


class Announce(Message, frozen=True, tag=180):
    """A direct call that takes long, has failed or was cut off; its one input is the payload, never a blob.

    From a container: it has begun the call on this lease, and it runs. From a client: it has sent the call on this
    lease and waits for its end, which the server may send as Outputs over this connection from now on. Either may be
    first.
    """

    call_id: Id
    lease: Id
    function_id: Id  #: of the lease
    method: Name = ""
    age_s: Seconds = 0.0  #: how long ago the call was begun, or sent
    parent: Id = ""
    trace: _Trace = {}
    failed: bool = False  #: from a client: its first attempt has ended as FAILURE, and is to be tried again
    is_lost: bool = False  #: from a client: the connection to the container broke, and there was no answer


# ---------------------------------------------------------------- client -> server


class DirectAnswered(Message, frozen=True, tag=181):
    """The client has the answer to a call that it had announced. Unknown calls are ignored."""

    call_id: Id
    status: Code  #: OutputStatus: SUCCESS or FAILURE


# ---------------------------------------------------------------- server -> client


class LeaseGranted(Message, frozen=True, tag=185):
    """The client may send calls of a function straight to a container, one at a time, until either hangs up.

    It is not an answer: it comes after an OpenCall with `wants_lease`, at some time, or never.
    """

    lease: Id
    token: Name  #: proves to the container who connects
    function_id: Id
    container_id: Id
    is_retried: bool  #: a call that fails is to be announced with `failed`, since its function has retries
    announce_after_s: Seconds = ANNOUNCE_AFTER_S
    address: Text = ""  #: of the container, as unix:/path, which the shell knows; a client that cannot connect gives up


# ---------------------------------------------------------------- server -> container, on the control channel


class OpenLease(Message, frozen=True, tag=190):
    """A client may connect with this token, once. Its first words may arrive before this message."""

    lease: Id
    token: Name
    announce_after_s: Seconds = ANNOUNCE_AFTER_S


class RecallLease(Message, frozen=True, tag=191):
    """Begin no more calls of a lease, and answer LeaseClosed. Drain and Interrupt say as much of all leases."""

    lease: Id


class CancelDirect(Message, frozen=True, tag=192):
    """Stop a direct call if it runs; it is answered and reported as TERMINATED. Other ids mean nothing."""

    call_id: Id


# ---------------------------------------------------------------- container -> server, on the data channel


class DirectReport(Message, frozen=True, tag=195):
    """Calls of one lease that have ended, or were not begun, since the last report; their clients have the answers.

    All lists but `parents`, `methods`, `failures` and `wrote` have an entry for each call, in the order of their ends.
    """

    lease: Id
    call_ids: Annotated[list[Id], _Calls]
    ages: Annotated[list[Seconds], _Calls]  #: how long before this report each was begun
    took: Annotated[list[Seconds], _Calls]  #: how long each ran
    failures: Annotated[list[tuple[Index, Code]], _Calls] = []  #: (position, OutputStatus or NOT_BEGUN), not of SUCCESS
    parents: Annotated[list[Id], _Calls] = []  #: input ids of the callers; empty if none has any
    methods: Annotated[list[Name], _Calls] = []  #: empty if all are ""
    #: What user code has written: (position, 1 for stdout or 2 for stderr, bytes), in the order in which it was.
    wrote: Annotated[list[tuple[Index, Code, Size]], Meta(max_length=10 * REPORTED_MAX)] = []
    left_out: Count = 0  #: entries of `wrote` that were too many for it


class LeaseClosed(Message, frozen=True, tag=196):
    """No more calls of a lease will begin. What has ended was reported before; what runs was announced before."""

    lease: Id


class Abandoned(Message, frozen=True, tag=197):
    """The client of a call that runs has closed its connection. The call was announced before; it is cancelled."""

    call_id: Id


# ---------------------------------------------------------------- client -> container


class LeaseHello(Message, frozen=True, tag=200):
    """First message on a connection of a lease. It is not answered: a stranger's connection is closed."""

    protocol: Count
    lease: Id
    token: Name


class CallDirectly(Message, frozen=True, tag=201):
    """Run one input, which is the payload. Answered by CallAnswer."""

    call_id: Id
    method: Name = ""
    parent: Id = ""
    trace: _Trace = {}


# ---------------------------------------------------------------- container -> client


class CallAnswer(Message, frozen=True, tag=205):
    """The end of a call: its result or its exception is the payload, as in Outputs."""

    call_id: Id
    status: Code  #: OutputStatus, or NOT_BEGUN
    is_blob: bool = False  #: the payload is a reference to a blob
