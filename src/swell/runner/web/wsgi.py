"""A WSGI app as an ASGI app: each request runs on a thread, and body and answer pass between thread and loop in pieces.

When the client goes away, the app is told as far as WSGI can: its next read or write raises, and its iterable is
closed; else an endless answer would hold its thread for ever. This module must not know how the app is served.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Final, TypeVar

from swell.runner.web.middleware import Receive, Scope, Send
from swell.runner.web.pool import DaemonPool

__all__ = ["WsgiApp", "WsgiBridge"]

T = TypeVar("T")

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType]
StartResponse = Callable[..., Callable[[bytes], None]]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
Message = MutableMapping[str, Any]

_READ_SIZE: Final = 64 << 10
_BODILESS: Final = frozenset((204, 304))


class ClientGoneError(OSError):
    """The client has closed the connection, or the container shuts down."""


class WsgiBridge:
    """An ASGI app that runs a WSGI app, on at most `threads` threads at a time."""

    def __init__(self, app: WsgiApp, threads: int) -> None:
        self._app = app
        self._threads = DaemonPool(threads, "swell-wsgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. WebSockets, which WSGI does not know, are refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"WSGI apps know no {scope['type']}")
        bridge = _ThreadBridge(receive, send)
        loop = asyncio.get_running_loop()
        pump = loop.create_task(bridge.pump())
        context, answer, environ = contextvars.copy_context(), _Response(bridge), _environ(scope, bridge)
        running = loop.run_in_executor(self._threads, lambda: context.run(answer.run, self._app, environ))
        try:
            await asyncio.shield(running)
        except ClientGoneError:
            return  # nobody waits for a response
        except asyncio.CancelledError:
            bridge.abort()
            await asyncio.wait([running])  # its slot is not free before its thread is
            raise
        finally:
            pump.cancel()
            bridge.abort()


class _ThreadBridge:
    """Between the thread of a request and the event loop: `read` and `send` make the thread wait for the loop."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._body: asyncio.Queue[bytes] = asyncio.Queue(1)  # one piece: the next is read when this one is taken
        self._is_aborted = False
        self._waiting: Future[Any] | None = None

    async def pump(self) -> None:
        """Receive the body chunk by chunk, then wait for the client to leave."""
        is_complete = False
        while (message := await self._receive())["type"] != "http.disconnect":
            if is_complete:
                continue
            if message.get("body"):
                await self._body.put(message["body"])
            is_complete = not message.get("more_body", False)
            if is_complete:
                await self._body.put(b"")
        self.abort()

    def abort(self) -> None:
        """Make the thread's present wait, and every later one, raise ClientGoneError."""
        self._is_aborted = True
        if self._waiting is not None:
            self._waiting.cancel()

    def read(self) -> bytes:
        """Return the next piece of the body; empty at its end. Called on the thread."""
        return self._wait(self._body.get())

    def send(self, messages: list[Message]) -> None:
        """Send messages, and wait until the connection takes more. Called on the thread."""
        self._wait(self._send_all(messages))

    async def _send_all(self, messages: list[Message]) -> None:
        for message in messages:
            await self._send(message)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._is_aborted:
            work.close()
            raise ClientGoneError("the client has closed the connection")
        self._waiting = future = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self._is_aborted:  # between the look and the assignment
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise ClientGoneError("the client has closed the connection") from None
        finally:
            self._waiting = None


class _Body(io.RawIOBase):
    """The body of a request as a file."""

    def __init__(self, bridge: _ThreadBridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._rest = memoryview(b"")
        self._is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest and not self._is_over:
            self._rest = memoryview(self._bridge.read())
            self._is_over = not self._rest
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class _Response:
    """The response of a WSGI app, from `start_response` to the end of its iterable. It is used on the thread alone."""

    def __init__(self, bridge: _ThreadBridge) -> None:
        self._bridge = bridge
        self._head: Message | None = None  # kept back until something follows it, as WSGI demands
        self._is_begun = False
        self._is_over = False
        self._left: int | None = None  # bytes to come, by the app's Content-Length

    def run(self, app: WsgiApp, environ: dict[str, Any]) -> None:
        """Call the app and send what it returns."""
        try:
            iterable = app(environ, self._start)
        except StopIteration as error:  # which no future can carry
            raise RuntimeError("the app raised StopIteration") from error
        try:
            if isinstance(iterable, (list, tuple)) and len(iterable) == 1:
                self._give_length(len(iterable[0]))
            for piece in iterable:
                if piece:
                    self._write(piece)
            self._put(b"", more=False)
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExceptionInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._is_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise RuntimeError("the app called start_response twice")
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        lengths = [value for name, value in encoded if name == b"content-length"]
        self._left = int(lengths[0]) if lengths else None
        self._head = {"type": "http.response.start", "status": int(status.split(None, 1)[0]), "headers": encoded}
        return self._write

    def _give_length(self, size: int) -> None:
        head = self._head
        if head is not None and self._left is None and not self._is_begun and head["status"] not in _BODILESS:
            head["headers"].append((b"content-length", str(size).encode()))
            self._left = size

    def _write(self, piece: bytes) -> None:
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        self._put(piece, more=self._left != 0)  # the last piece says that it is; that saves a wait

    def _put(self, piece: bytes, *, more: bool) -> None:
        if self._is_over:
            return
        messages: list[Message] = [{"type": "http.response.body", "body": piece, "more_body": more}]
        if not self._is_begun:
            if self._head is None:
                raise RuntimeError("the app gave a body before it called start_response")
            messages.insert(0, self._head)
            self._is_begun = True
        self._is_over = not more
        self._bridge.send(messages)


def _environ(scope: Scope, bridge: _ThreadBridge) -> dict[str, Any]:
    root = str(scope.get("root_path", ""))
    host, port = scope["server"]
    client, client_port = scope["client"]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _as_latin1(root),
        "PATH_INFO": _as_latin1(str(scope["path"]).removeprefix(root)),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client,
        "REMOTE_PORT": str(client_port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BufferedReader(_Body(bridge), _READ_SIZE),
        "wsgi.input_terminated": True,  # it ends where the body does, also when no Content-Length says where
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "asgi.scope": scope,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name:
            continue  # it would pass for the header with a dash in its place, which may be one that is trusted
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    return environ


def _as_latin1(text: str) -> str:
    """Return the bytes of a path as WSGI has them: one character for each byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
