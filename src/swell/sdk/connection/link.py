"""A link: the SDK's connection to a server, shared by several calls and requests.

Arriving messages are sorted into mailboxes by call id or request number. So a `remote()` in the body of a loop over
`map()`, or a thousand coroutines, can use one link. The blocking kind is here; the kind for event loops is in
`loop_link`, so that a program without asyncio does not load it. This module must not know what messages mean.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from swell.errors import ConnectionError, Error, from_wire
from swell.private_files import connect_socket
from swell.sdk.connection.blocking import SIGNAL_CHECK_S
from swell.wire import codec
from swell.wire.leases import LeaseGranted
from swell.wire.messages import PROTOCOL, Accepted, CancelCall, Failed, Hello, Items, Message, Outputs, Refused, Welcome
from swell.wire.shelf import Shelf

if TYPE_CHECKING:
    from swell.sdk.connection.lease_pool import LeasePool
    from swell.sdk.connection.tls_socket import TlsSocket

__all__ = ["UNSOLICITED", "BlockingLink", "Link", "Mailbox", "Received"]

_TIMEVAL = struct.Struct("@ll")  #: the kernel's struct timeval: seconds, microseconds

Received = tuple[Message, bytes]
Key = str | int
A = TypeVar("A", bound=Message)
R = TypeVar("R")

UNSOLICITED = ""  #: key of messages that answer no request: the Welcome, and those about a whole app
_BY_CALL = (Outputs, Items, Accepted, Refused)
#: Bytes of one read: few, and many after a read that was full. To allocate many costs as much as all else in a read.
_READ_BYTES, _READ_BYTES_MAX = 16 << 10, 256 << 10


class Mailbox:
    """Holds messages for one call or request until they are taken. Registered with a link from `open` to `close`."""

    __slots__ = ("keys", "messages")

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.messages: deque[Received] = deque()


class Link(ABC):
    """A connection to the server. `receive` is its only method that waits."""

    _requests: ClassVar[itertools.count[int]] = itertools.count(1)

    def __init__(self, frame_max: int, shelf: Shelf | None = None) -> None:
        self._decoder = codec.for_client(frame_max)
        self._mailboxes: dict[Key, list[Mailbox]] = {}
        self.broken: Error | None = None  #: the error that closed this link
        self.welcome = Welcome("", 0, 0)  #: the server's answer to our Hello
        self.leases: LeasePool[Any] | None = None  #: what the server grants here; None: it is not asked for leases
        self.shelf = shelf or Shelf("")  #: where blobs are: elsewhere, or as the Welcome says
        self.unsolicited = self.open(UNSOLICITED)

    @property
    def is_beside_containers(self) -> bool:
        """True if the server and its containers are on this machine, and not those of another node."""
        return not (self.shelf.is_elsewhere or self.welcome.shelf)

    def next_request(self) -> int:
        """Return a number for a request, unique in this process."""
        return next(self._requests)

    def open(self, *keys: Key) -> Mailbox:
        """Return a mailbox that collects messages for these call ids or request numbers."""
        mailbox = Mailbox()
        for key in keys:
            self.add_key(mailbox, key)
        return mailbox

    def add_key(self, mailbox: Mailbox, key: Key) -> None:
        """Make a mailbox collect messages for one more call id or request number."""
        mailbox.keys.append(key)
        self._mailboxes.setdefault(key, []).append(mailbox)

    def close(self, mailbox: Mailbox) -> None:
        """Unregister a mailbox; messages that still arrive for it are dropped."""
        for key in mailbox.keys:
            mailboxes = self._mailboxes.get(key, [])
            if mailbox in mailboxes:
                mailboxes.remove(mailbox)
            if not mailboxes:
                self._mailboxes.pop(key, None)

    async def request(
        self, number: int, message: Message, payload: bytes = b"", *, until: float | None = None
    ) -> Received:
        """Send a request and return its answer, waiting until a time of `time.monotonic()`.

        Raises:
            Error: the server refused the request, for this reason.
            TimeoutError: (the builtin) no answer came in time.
        """
        mailbox = self.open(number)
        try:
            self.send(message, payload)
            received = await self.receive(mailbox, until)
        finally:
            self.close(mailbox)
        if isinstance(received[0], Failed):
            raise from_wire(received[0].code, received[0].text, received[0].fields)
        return received

    async def ask(
        self, kind: type[A], make: Callable[[int], Message], payload: bytes = b"", *, until: float | None = None
    ) -> A:
        """Send the request that `make` builds with its number; return its answer, which is of type `kind`.

        Raises:
            Error, TimeoutError: as `request`.
        """
        number = self.next_request()
        answer, _ = await self.request(number, make(number), payload, until=until)
        assert isinstance(answer, kind)
        return answer

    def abandon(self, call_id: str) -> None:
        """Cancel a call whose results are no longer wanted, if the server still runs."""
        if self.broken is None:
            with contextlib.suppress(Error):  # the server has just gone, and the call with it
                self.send(CancelCall(call_id))

    async def changed(self, mailbox: Mailbox, until: float | None = None) -> None:
        """Return when the mailbox has a message, or after `wake`, or at a time of `time.monotonic()`."""
        try:
            received = await self.receive(mailbox, until)
        except TimeoutError:
            return
        mailbox.messages.appendleft(received)

    @abstractmethod
    def wake(self, mailbox: Mailbox) -> None:
        """Make `changed` return, for a caller that waits for other events as well."""

    async def _greet(self, token: str) -> None:
        self.send(Hello("client", PROTOCOL, "", token))
        welcome, _ = await self.receive(self.unsolicited)
        assert isinstance(welcome, Welcome)
        self.welcome = welcome
        if not self.shelf.is_elsewhere:
            self.shelf = Shelf(welcome.blob_dir, welcome.shelf)

    async def aside(self, act: Callable[[], R], undo: Callable[[], None] | None = None) -> R:
        """Return what a function returns that may wait for blobs to travel.

        Args:
            act: The function.
            undo: Called in place of returning, if whoever waits was cancelled and `act` goes on to its end.
        """
        return act()

    @abstractmethod
    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message. Raises ConnectionError if the server is gone."""

    @abstractmethod
    async def receive(self, mailbox: Mailbox, until: float | None = None) -> Received:
        """Return the next message in a mailbox, waiting until a time of `time.monotonic()`.

        Raises:
            TimeoutError: (the builtin) no message came in time.
            ConnectionError: the server is gone.
        """

    @abstractmethod
    def fileno(self) -> int:
        """Return the descriptor of the connection, for polling."""

    @abstractmethod
    def poll(self) -> None:
        """Sort the messages that have arrived into mailboxes, without waiting."""

    def _sort(self, data: bytes | memoryview) -> list[Mailbox]:
        """Sort the messages in `data` into mailboxes; return the mailboxes that got one."""
        served: list[Mailbox] = []
        try:
            frames = self._decoder.feed(data)
        except codec.FrameError as error:
            raise self._break(f"the server sent something that is not understood here: {error}") from None
        for received in frames:
            message = received[0]
            key = message.call_id if isinstance(message, _BY_CALL) else getattr(message, "request", UNSOLICITED)
            if key == 0 and isinstance(message, Failed):  # not an answer: the server closes this connection
                self.broken = from_wire(message.code, message.text, message.fields)
                raise self.broken
            if key == UNSOLICITED and isinstance(message, LeaseGranted):
                if self.leases is not None:
                    self.leases.granted(message)
                continue
            for mailbox in self._mailboxes.get(key, ()):
                mailbox.messages.append(received)
                served.append(mailbox)
        return served

    def _break(self, why: str) -> Error:
        if self.broken is None:
            self.broken = ConnectionError(why)
        return self.broken


class BlockingLink(Link):
    """A link for one thread. Others may send, too: a generator may be garbage collected, and closed, in any thread."""

    def __init__(self, address: str, frame_max: int, shelf: Shelf | None = None) -> None:
        super().__init__(frame_max, shelf)
        self._lock: threading.Lock | threading.RLock = threading.Lock()
        self._read_bytes = _READ_BYTES
        self._socket = connect(address)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(0, int(SIGNAL_CHECK_S * 1_000_000))
        )
        weakref.finalize(self, self._socket.close)  # when its thread has ended
        self._thread = threading.get_ident()  #: the only thread that may read
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self._socket, select.POLLOUT)

    @classmethod
    async def connect(cls, address: str, token: str, frame_max: int, shelf: Shelf | None = None) -> Self:
        """Connect to a server; blocks the thread, so `run_blocking` runs it.

        Args:
            address: of the server.
            token: that it may ask for.
            frame_max: bytes of a message.
            shelf: where blobs are, if the server is on another machine.

        Raises:
            ConnectionError: no server listens there.
            AuthError: the server refused the token.
        """
        link = cls(address, frame_max, shelf)
        await link._greet(token)
        return link

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message, waiting until the kernel has taken it."""
        if self.broken is not None:
            raise self.broken
        try:
            with self._lock:
                self._write(codec.encode(message, payload))
        except OSError as error:
            raise self._break(how_it_broke(error)) from None

    def _write(self, frame: bytes | memoryview) -> None:
        """Write a frame; while the server does not take it, read what arrives.

        A server stops reading from a client that leaves much unread. Without this, each would wait for the other.
        """
        while frame:
            try:
                sent = self._socket.send(frame, socket.MSG_DONTWAIT)
                if sent == len(frame):
                    return
                frame = memoryview(frame)[sent:]
            except BlockingIOError:
                self._await_room()

    def _await_room(self) -> None:
        may_read = threading.get_ident() == self._thread
        self._writable.modify(self._socket, select.POLLOUT | (select.POLLIN if may_read else 0))
        for _, events in self._writable.poll(SIGNAL_CHECK_S * 1_000):
            if may_read and events & ~select.POLLOUT:  # POLLHUP is always reported; `send` raises for it
                self._read()

    async def receive(self, mailbox: Mailbox, until: float | None = None) -> Received:
        """Return the next message in a mailbox; blocks the thread."""
        self._thread = threading.get_ident()
        while not mailbox.messages:
            if self.broken is not None:
                raise self.broken
            if until is not None and not self._wait(until):
                raise TimeoutError
            self._read()
        return mailbox.messages.popleft()

    def fileno(self) -> int:
        """Return the descriptor of the connection, for polling."""
        return self._socket.fileno()

    def is_quiet(self) -> bool:
        """Tell whether nothing has arrived that is not read yet, not even the end of the connection."""
        return not self._poll.poll(0)

    def poll(self) -> None:
        """Sort the messages that have arrived into mailboxes, without waiting."""
        while self.broken is None and self._poll.poll(0):
            self._read()

    def wake(self, mailbox: Mailbox) -> None:
        """Do nothing: the thread that would wait is the one that calls this."""

    def shut(self) -> None:
        """Close the connection."""
        self._break("the connection was closed on this side")
        self._socket.close()

    def _wait(self, until: float) -> bool:
        while True:
            left = until - time.monotonic()
            if self._poll.poll(min(max(0.0, left), SIGNAL_CHECK_S) * 1_000):
                return True
            if left <= SIGNAL_CHECK_S:
                return False

    def _read(self) -> list[Mailbox]:
        """Sort the messages that have arrived, or arrive first; return the mailboxes that got one."""
        try:
            data = self._socket.recv(self._read_bytes)
        except BlockingIOError:
            return []  # the wait was ended so that Python handles signals
        except OSError as error:
            raise self._break(how_it_broke(error)) from None
        if not data:
            raise self._break("the server is gone")
        self._read_bytes = _READ_BYTES_MAX if len(data) == self._read_bytes else _READ_BYTES
        return self._sort(data)


def how_it_broke(error: OSError) -> str:
    """Return what an error of a connection means to the user."""
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "the server is gone"
    return f"the connection to the server broke: {error.strerror}"


def is_elsewhere(address: str) -> bool:
    """Tell whether an address is that of a server on another machine."""
    return address.startswith("tls:")


def connect(address: str) -> socket.socket | TlsSocket:
    """Connect to a server's address.

    Raises:
        ConnectionError: no server listens there, the socket is another user's, or the address is not of a known kind.
        AuthError: another server than the one with that address listens there.
    """
    if is_elsewhere(address):
        from swell.sdk.connection.tls_socket import connect_tls  # loads TLS

        return connect_tls(address)
    return connect_here(address)


def connect_here(address: str) -> socket.socket:
    """Connect to a server on this machine.

    Raises:
        ConnectionError: as `connect`.
    """
    kind, _, path = address.partition(":")
    if kind != "unix" or not path:
        raise ConnectionError(
            f"{address!r} is not the address of a server; expected unix:/path/to/socket or tls://host:port#fingerprint"
        )
    try:
        return connect_socket(path)
    except OSError as error:
        raise ConnectionError(
            f"no server listens at {address}: {error.strerror}; one that a run started ended with it"
        ) from None
