"""The server's end of the socket to a template. It never blocks the server.

Requests made in one turn of the event loop leave together. This module must not know what the messages mean.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from swell.wire.template import DATAGRAM_MAX, FILES_MAX, Reply, Request

__all__ = ["TemplateChannel"]

LAUNCHES_MAX = 16  #: requests in one datagram: a template reaps its children only between two datagrams

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Reply]).decode


class TemplateChannel:
    """Sends requests, with descriptors, and passes on replies. Owns the socket and the descriptors not yet sent."""

    def __init__(self, sock: socket.socket, on_reply: Callable[[Reply], None]) -> None:
        self._socket = sock
        self._on_reply = on_reply
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Request, Sequence[int]]] = deque()
        self._is_flushing = False
        self._is_open = True
        sock.setblocking(False)
        self._loop.add_reader(sock, self._readable)

    def send(self, request: Request, files: Sequence[int] = ()) -> None:
        """Send a request soon, in order; `files` are closed here once they have left, or cannot leave any more."""
        self._waiting.append((request, files))
        if not self._is_open:
            self._drop_waiting()
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def finish_sending(self) -> None:
        """Tell the template that nothing more will come: it kills its children, reports, and ends."""
        if self._is_open:
            self._drop_waiting()
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self._stop_reading()  # the template is gone already

    def close(self) -> None:
        """Pass on the replies that have arrived, and close the socket. Safe to call twice."""
        if not self._is_open:
            return
        while self._receive():
            pass
        self._is_open = False
        self._stop_reading()
        self._drop_waiting()
        self._socket.close()

    def _readable(self) -> None:
        if self._receive() == b"":
            self._stop_reading()

    def _receive(self) -> bytes | None:
        """Handle one datagram and return it: None when there is none now, empty when there will be none any more."""
        try:
            data = self._socket.recv(DATAGRAM_MAX)
        except BlockingIOError:
            return None
        except ConnectionError:
            return b""
        if data:
            for reply in _decode(data):
                self._on_reply(reply)
        return data

    def _flush(self) -> None:
        while self._waiting and self._is_open:
            requests, files = self._next_datagram()
            try:
                socket.send_fds(self._socket, [_encode(requests)], files)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                self._drop_waiting()  # the template is gone; the watcher of its process reports that
                break
            for _ in requests:
                self._waiting.popleft()
            for fd in files:
                os.close(fd)
        self._is_flushing = False
        if self._is_open:
            self._loop.remove_writer(self._socket)

    def _next_datagram(self) -> tuple[list[Request], list[int]]:
        requests: list[Request] = []
        files: list[int] = []
        for request, own in self._waiting:
            if len(requests) == LAUNCHES_MAX or len(files) + len(own) > FILES_MAX:
                break
            requests.append(request)
            files += own
        return requests, files

    def _drop_waiting(self) -> None:
        for _, files in self._waiting:
            for fd in files:
                os.close(fd)
        self._waiting.clear()

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
