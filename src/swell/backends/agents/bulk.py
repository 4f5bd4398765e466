"""The server's end of the bulk link: files of the server's shelf to agents, and of agents to it, in threads.

Each connection has a thread, of which there are a few for an agent at most, and a few for those that have not
shown a token yet. What an agent sends counts from the moment at which its last byte is there, and, if it is kept, is on
the disk; if the agent is lost before that, it never was. Of each blob it is known which nodes have a copy, so that
these are told when it is deleted.

This module must not know containers, or what is in a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import socket
import ssl
import threading
from typing import Final

from swell.link.bulk import CONNECT_S, OK, TRANSFERS_MAX, BulkError, BulkStream, refusal
from swell.wire.blob_file import new_blob, open_blob
from swell.wire.blob_names import KEPT, is_blob_name

__all__ = ["BulkServer"]

log = logging.getLogger("swell.server")

CONNECTIONS_MAX: Final = 2 * TRANSFERS_MAX  #: of one agent: it replaces those that break, before that is seen here
STRANGERS_MAX: Final = 64  #: connections that have shown no token yet
ACCEPT_PAUSE_S: Final = 0.1  #: after a connection that could not be accepted: descriptors may be lacking


class _Member:
    """An agent that may use the bulk link."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.streams: set[BulkStream] = set()
        self.copies: set[str] = set()  #: blobs that its node may have
        self.is_gone = False


class BulkServer:
    """Listens for agents, and serves them. `close` ends it, and all threads with it."""

    def __init__(self, directory: str, file_bytes_max: int) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            file_bytes_max: the longest file that an agent may send.
        """
        self._directory = directory
        self._file_bytes_max = file_bytes_max
        self._context: ssl.SSLContext
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()  # of all that follows
        self._members: dict[bytes, _Member] = {}  # by the digest of the token
        self._tokens: dict[str, bytes] = {}  # these digests, by node
        self._holders: dict[str, set[str]] = {}  # nodes that may have a copy, by blob
        self._strangers: dict[ssl.SSLSocket, None] = {}  # the oldest first

    def start(self, host: str, context: ssl.SSLContext) -> int:
        """Begin to listen; return the port."""
        self._context = context
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        threading.Thread(target=self._accept, args=(self._listener,), name="bulk", daemon=True).start()
        return self._listener.getsockname()[1]

    def close(self) -> None:
        """Listen no more, and end all connections. Safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which closing does not
        with self._lock:
            strangers, nodes = list(self._strangers), list(self._tokens)
        for connection in strangers:
            _shut(connection)
        for node in nodes:
            self.expel(node)

    def admit(self, node: str) -> str:
        """Let the agent of a node use the bulk link; return its token."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[node] = _digest(token)
            self._members[_digest(token)] = _Member(node)
        return token

    def expel(self, node: str) -> None:
        """End the connections of an agent, and forget its copies. What it has not sent whole by now is dropped."""
        with self._lock:
            digest = self._tokens.pop(node, b"")
            member = self._members.pop(digest, None)
            if member is None:
                return
            member.is_gone = True
            for name in member.copies:
                self._forget(name, node)
            streams = list(member.streams)
        for stream in streams:
            stream.abort()

    def delete(self, name: str) -> bool:
        """Delete a blob, if it is there; return False if that is no name of one."""
        if not is_blob_name(name):
            return False
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._directory, name))
        return True

    def deleted(self, name: str) -> set[str]:
        """Note that a blob was deleted; return the nodes that may have a copy."""
        with self._lock:
            nodes = self._holders.pop(name, set[str]())
            for node in nodes:
                self._members[self._tokens[node]].copies.discard(name)
        return nodes

    # ------------------------------------------------------------ threads

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while self._listener is listener:
                try:
                    connection, _ = listener.accept()
                    self._begin(connection)
                except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                    if self._listener is listener:
                        log.warning("an agent cannot be connected for files: %s", error)
                        threading.Event().wait(ACCEPT_PAUSE_S)

    def _begin(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stranger = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            if len(self._strangers) >= STRANGERS_MAX:
                _shut(next(iter(self._strangers)))
            self._strangers[stranger] = None
        try:
            threading.Thread(target=self._serve, args=(stranger,), name="bulk", daemon=True).start()
        except RuntimeError:
            self._forget_stranger(stranger)
            stranger.close()
            raise

    def _serve(self, connection: ssl.SSLSocket) -> None:
        """Serve one connection to its end."""
        try:
            connection.settimeout(CONNECT_S)
            connection.do_handshake()
            stream = BulkStream(connection)
            member = self._join(stream, stream.receive_line(CONNECT_S))
            self._forget_stranger(connection)
            if member is not None:
                self._serve_member(member, stream)
        except (OSError, BulkError) as error:
            log.debug("a connection for files has ended: %s", error)
        finally:
            self._forget_stranger(connection)
            connection.close()

    def _forget_stranger(self, connection: ssl.SSLSocket) -> None:
        with self._lock:
            self._strangers.pop(connection, None)

    def _join(self, stream: BulkStream, token: str) -> _Member | None:
        """Return the agent that a token belongs to, if it may have one connection more."""
        with self._lock:
            member = self._members.get(_digest(token))
            if member is None or len(member.streams) >= CONNECTIONS_MAX:
                return None
            member.streams.add(stream)
            return member

    def _serve_member(self, member: _Member, stream: BulkStream) -> None:
        try:
            while request := stream.receive_line(patience_s=None):
                match request.split(" "):
                    case ["get", name] if is_blob_name(name):
                        self._get(member, stream, name)
                    case ["put", size, name] if is_blob_name(name) and size.isdecimal():
                        self._put(member, stream, name, int(size))
                    case _:
                        raise BulkError(f"{request:.200} is no request")
        finally:
            with self._lock:
                member.streams.discard(stream)

    def _get(self, member: _Member, stream: BulkStream, name: str) -> None:
        self._note_copy(member, name)  # first: whoever deletes it from now on tells that node
        try:
            file = open_blob(self._directory, name)
        except OSError as error:
            with self._lock:
                member.copies.discard(name)
                self._forget(name, member.node)
            stream.send_line(refusal(f"the server cannot read blob {name}: {error.strerror}"))
            return
        try:
            size = os.fstat(file).st_size
            stream.send_line(str(size))
            stream.send_file(file, size)
            log.debug("blob %s of %d bytes was sent to node %s", name, size, member.node)
        finally:
            os.close(file)

    def _put(self, member: _Member, stream: BulkStream, name: str, size: int) -> None:
        if why := self._refused(name, size):
            stream.send_line(refusal(why))
            return
        try:
            with new_blob(self._directory, name, to_disk=name.startswith(KEPT)) as file:
                stream.send_line(OK)
                stream.receive_file(file, size)
                if member.is_gone:
                    raise BulkError("the node is gone")
        except (OSError, BulkError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or error
            with contextlib.suppress(OSError):  # the connection may be what has failed
                stream.send_line(refusal(f"the server cannot store blob {name}: {why}"))
            raise
        log.debug("blob %s of %d bytes came from node %s", name, size, member.node)
        stream.send_line(OK)

    def _refused(self, name: str, size: int) -> str:
        """Return why a file is not taken, before a byte of it has come."""
        if size > self._file_bytes_max:
            return f"blob {name} has {size} bytes, over the limit of {self._file_bytes_max} (payload_max)"
        folder = os.path.dirname(os.path.join(self._directory, name))
        try:
            space = os.statvfs(folder)
        except OSError as error:
            return f"the server cannot store blob {name}: {error.strerror}"
        free = space.f_bavail * space.f_frsize
        if size > free:
            return f"the server has no room for blob {name}: {size} bytes, and {free} are free in {folder}"
        return ""

    # ------------------------------------------------------------ copies

    def _note_copy(self, member: _Member, name: str) -> None:
        with self._lock:
            if member.is_gone:
                raise BulkError("the node is gone")
            member.copies.add(name)
            self._holders.setdefault(name, set()).add(member.node)

    def _forget(self, name: str, node: str) -> None:
        holders = self._holders.get(name)
        if holders is not None:
            holders.discard(node)
            if not holders:
                del self._holders[name]


def _digest(token: str) -> bytes:
    """Return that by which a token is looked up: how long this takes tells nothing of the tokens there are."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _shut(connection: socket.socket) -> None:
    """Make whoever uses a connection in another thread fail at once."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
