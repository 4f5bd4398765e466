"""The two connections of a container: the data connection carries inputs and results, the control connection commands.

Everything that the container sends goes through `Channel`, one frame at a time, from any thread. This module must not
know what messages mean or how inputs are run.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from swell.errors import InvalidError
from swell.private_files import connect_socket
from swell.wire import codec
from swell.wire.messages import PROTOCOL, Hello, Message, ToContainer

__all__ = ["Channel", "Receiver", "connect", "die", "die_if_raises"]

READ_SIZE: Final = 256 << 10


def connect(address: str) -> socket.socket:
    """Connect to the server.

    Raises:
        InvalidError: the address is not of the form unix:/path.
        ConnectionError: the socket belongs to another user.
        OSError: no server listens at the address.
    """
    scheme, _, path = address.partition(":")
    if scheme != "unix" or not path:
        raise InvalidError(f"server address {address!r} is not of the form unix:/path")
    return connect_socket(path)


def die() -> NoReturn:
    """Kill this container and every process it started: without its server they serve nobody."""
    if os.getpgrp() == os.getpid():  # else the group is that of the shell which started this container by hand
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def die_if_raises(body: Callable[[], None]) -> None:
    """Run the body of a thread that the container needs; if it raises, kill the container."""
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
        """Read once, and return the frames that are complete now; None at the end of the stream."""
        size = self.connection.recv_into(self._view, 0, flags)
        return self.decoder.feed(self._view[:size]) if size else None


class Channel:
    """Sends the container's messages, and owns its two connections.

    Attributes:
        frame_max: The most bytes that one message may carry.
        data: Receives deliveries.
        control: Receives the server's commands: cancel, reclaim, drain, interrupt.
        is_forked: True in a child process that user code forked from this container.
    """

    def __init__(self, data: socket.socket, control: socket.socket, frame_max: int) -> None:
        self.frame_max = frame_max
        self.data = Receiver(data, frame_max)
        self.control = Receiver(control, frame_max)
        self.is_forked = False
        self._is_handed_down = False  # the child that is being forked inherits the connections
        self._lock = threading.Lock()  # held while a frame is written
        os.register_at_fork(after_in_child=self._leave_to_parent)

    @classmethod
    def open(cls, address: str, container_id: str, token: str) -> Channel:
        """Connect twice and greet the server. Messages may carry no payload until `allow` sets the bound.

        Raises:
            InvalidError: the address is not of the form unix:/path.
            OSError: no server listens at the address.
        """
        data, control = connect(address), connect(address)
        data.sendall(codec.encode(Hello("container", PROTOCOL, container_id, token)))
        control.sendall(codec.encode(Hello("control", PROTOCOL, container_id, token)))
        return cls(data, control, frame_max=0)

    def allow(self, frame_max: int) -> None:
        """Let one message carry at most `frame_max` bytes from now on."""
        self.frame_max = self.data.decoder.frame_max = self.control.decoder.frame_max = frame_max

    def hand_down(self) -> int:
        """Fork; the child becomes the container. Return what `os.fork` returns."""
        self._is_handed_down = True
        pid = os.fork()
        self._is_handed_down = False
        if pid:
            self._hang_up()
        return pid

    def _leave_to_parent(self) -> None:
        # The child must neither send messages for the container nor keep its connections open.
        if not self._is_handed_down:
            self.is_forked = True
            self._hang_up()

    def _hang_up(self) -> None:
        self.data.connection.close()
        self.control.connection.close()

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send one message."""
        frame = codec.encode(message, payload)
        with self._lock:
            self._write(frame)

    def flush(self, take: Callable[[], tuple[Message, bytes] | None], *after: Message) -> None:
        """Send what `take` returns, then other messages, as one step: no other message comes between."""
        with self._lock:
            waiting = take()
            if waiting is not None:
                self._write(codec.encode(*waiting))
            for message in after:
                self._write(codec.encode(message))

    def send_together(self, messages: Sequence[tuple[Message, bytes]]) -> None:
        """Send messages as one step: no other message comes between."""
        frames = b"".join([codec.encode(message, payload) for message, payload in messages])
        with self._lock:
            self._write(frames)

    def _write(self, frame: bytes) -> None:
        try:
            self.data.connection.sendall(frame)
        except OSError:
            die()

    def stop_reading(self) -> None:
        """Make the reader of `data` reach the end of the stream after the frames that have arrived."""
        try:
            self.data.connection.shutdown(socket.SHUT_RD)
        except OSError:
            die()
