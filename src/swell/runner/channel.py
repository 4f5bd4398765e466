"""The two connections of a container: one carries inputs and results, on the other the server gives orders.

Everything the container says goes through `Channel`, one frame at a time, whichever thread speaks. This module must not
know what messages mean or how inputs are run.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from swell.errors import InvalidError
from swell.private_files import connect_socket
from swell.wire import codec
from swell.wire.messages import PROTOCOL, Hello, Message, ToContainer

__all__ = ["Channel", "Receiver", "connect", "die", "die_if_raises"]

READ_SIZE: Final = 256 << 10


def connect(address: str) -> socket.socket:
    """Open a connection to the server.

    Raises:
        InvalidError: the address is not of the form unix:/path.
        ConnectionError: who answers is another user.
        OSError: nobody answers there.
    """
    scheme, _, path = address.partition(":")
    if scheme != "unix" or not path:
        raise InvalidError(f"server address {address!r} is not of the form unix:/path")
    return connect_socket(path)


def die() -> NoReturn:
    """End this container at once, with all processes it started: without its server nobody wants them."""
    if os.getpgrp() == os.getpid():  # never the group of whoever started us by hand
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def die_if_raises(body: Callable[[], None]) -> None:
    """Run the body of a thread that the container cannot do without: better no container than a deaf one."""
    try:
        body()
    except BaseException:
        traceback.print_exc()
        die()


class Receiver:
    """The reading end of one connection."""

    def __init__(self, connection: socket.socket, frame_max: int) -> None:
        self.connection = connection
        self.decoder = codec.for_container(frame_max)
        # Mapped, not allocated: its pages take memory only once they are used, and most of them never are.
        self._view = memoryview(mmap.mmap(-1, READ_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def receive(self, flags: int = 0) -> list[tuple[ToContainer, bytes]] | None:
        """Read once and return the frames that are now complete; None at the end of the stream."""
        size = self.connection.recv_into(self._view, 0, flags)
        return self.decoder.feed(self._view[:size]) if size else None


class Channel:
    """What the container says, and the orders it gets.

    Attributes:
        frame_max: Bytes that one message may carry.
        data: Where inputs arrive.
        orders: Where the server's orders arrive.
        is_forked: True in a child process that user code forked off this container.
    """

    def __init__(self, data: socket.socket, control: socket.socket, frame_max: int) -> None:
        self.frame_max = frame_max
        self.data = Receiver(data, frame_max)
        self.orders = Receiver(control, frame_max)
        self.is_forked = False
        self._is_handed_down = False  # the child that is being forked is to have the connections
        self._lock = threading.Lock()  # held while a frame is written
        os.register_at_fork(after_in_child=self._leave_to_parent)

    @classmethod
    def open(cls, address: str, container_id: str, token: str) -> Channel:
        """Connect twice, and introduce this container. Messages may carry nothing until `allow` says how much.

        Raises:
            InvalidError: the address is not of the form unix:/path.
            OSError: nobody answers there.
        """
        data, control = connect(address), connect(address)
        data.sendall(codec.encode(Hello("container", PROTOCOL, container_id, token)))
        control.sendall(codec.encode(Hello("control", PROTOCOL, container_id, token)))
        return cls(data, control, frame_max=0)

    def allow(self, frame_max: int) -> None:
        """Let one message carry so many bytes from now on."""
        self.frame_max = self.data.decoder.frame_max = self.orders.decoder.frame_max = frame_max

    def hand_down(self) -> int:
        """Fork, and let the child be the container from now on; return what `os.fork` does."""
        self._is_handed_down = True
        pid = os.fork()
        self._is_handed_down = False
        if pid:
            self._hang_up()
        return pid

    def _leave_to_parent(self) -> None:
        # The child must neither speak for the container nor keep its connections open.
        if not self._is_handed_down:
            self.is_forked = True
            self._hang_up()

    def _hang_up(self) -> None:
        self.data.connection.close()
        self.orders.connection.close()

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send one message."""
        frame = codec.encode(message, payload)
        with self._lock:
            self._write(frame)

    def flush(self, take: Callable[[], tuple[Message, bytes] | None], *after: Message) -> None:
        """Send what `take` gives, then other messages. Taking and sending are one step, so that nothing overtakes."""
        with self._lock:
            waiting = take()
            if waiting is not None:
                self._write(codec.encode(*waiting))
            for message in after:
                self._write(codec.encode(message))

    def _write(self, frame: bytes) -> None:
        try:
            self.data.connection.sendall(frame)
        except OSError:
            die()

    def stop_reading(self) -> None:
        """Make the reader of `data` see the end of the stream after what has arrived."""
        try:
            self.data.connection.shutdown(socket.SHUT_RD)
        except OSError:
            die()
