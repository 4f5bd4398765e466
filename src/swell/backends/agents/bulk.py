"""The server's end of the bulk link: files of the server's shelf to agents, and of agents to it, in threads.

Each connection has a thread, of which there are a few for an agent at most, and a few for those that have not
shown a token yet. Of each blob it is known which nodes have a copy, so that these are told when it is deleted.

This module must not know containers, or what is in a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import socket
import ssl
import threading
from typing import Final

from swell.bulk_service import BulkService
from swell.link.bulk import BUNDLES_MAX, TRANSFERS_MAX, BulkError, BulkStream

__all__ = ["BulkServer"]

log = logging.getLogger("swell.server")

#: Of one agent: it replaces those that break, before that is seen here.
CONNECTIONS_MAX: Final = 2 * (TRANSFERS_MAX + BUNDLES_MAX)
ACCEPT_PAUSE_S: Final = 0.1  #: after a connection that could not be accepted: descriptors may be lacking


class _Member:
    """An agent that may use the bulk link. Implements `BulkPeer`."""

    def __init__(self, server: BulkServer, node: str) -> None:
        self._server = server
        self.node = node
        self.name = f"node {node}"
        self.streams: set[BulkStream] = set()
        self.copies: set[str] = set()  #: blobs that its node may have
        self.received_bytes = self.sent_bytes = 0  #: of files, over connections that have ended
        self.is_gone = False

    def takes(self, blob: str) -> None:
        """Note the copy that it will have."""
        self._server.note_copy(self, blob)

    def has_not(self, blob: str) -> None:
        """Note that it has none."""
        self._server.forget_copy(self, blob)

    def drops(self, blob: str) -> None:
        """Refuse: an agent says over its link what may be deleted."""
        raise BulkError(f"{self.name} has blob {blob} deleted over a connection for files")

    def begins(self, stream: BulkStream) -> None:
        """Agents have few connections: none has to make room."""

    def rests(self, stream: BulkStream) -> None:
        """Likewise."""

    def left(self, stream: BulkStream) -> None:
        """Note that a connection has ended."""
        self._server.leave(self, stream)


class BulkServer:
    """Listens for agents, and serves them. `close` ends it, and all threads with it."""

    def __init__(self, directory: str, bundle_dir: str, file_bytes_max: int) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            bundle_dir: of the archives of bundles, each under its digest.
            file_bytes_max: the longest file that an agent may send.
        """
        self._service = BulkService(directory, file_bytes_max, self._join, bundle_dir=bundle_dir)
        self._context: ssl.SSLContext
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()  # of all that follows
        self._members: dict[bytes, _Member] = {}  # by the digest of the token
        self._tokens: dict[str, bytes] = {}  # these digests, by node
        self._holders: dict[str, set[str]] = {}  # nodes that may have a copy, by blob

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
            nodes = list(self._tokens)
        self._service.close()
        for node in nodes:
            self.expel(node)

    def admit(self, node: str) -> str:
        """Let the agent of a node use the bulk link; return its token."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[node] = _digest(token)
            self._members[_digest(token)] = _Member(self, node)
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
        return self._service.delete(name)

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
                    self._service.begin(connection, self._context)
                except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                    if self._listener is listener:
                        log.warning("an agent cannot be connected for files: %s", error)
                        threading.Event().wait(ACCEPT_PAUSE_S)

    def _join(self, stream: BulkStream, token: str) -> _Member | None:
        """Return the agent that a token belongs to, if it may have one connection more."""
        with self._lock:
            member = self._members.get(_digest(token))
            if member is None or len(member.streams) >= CONNECTIONS_MAX:
                return None
            member.streams.add(stream)
            return member

    def leave(self, member: _Member, stream: BulkStream) -> None:
        """Note that a connection of an agent has ended."""
        with self._lock:
            member.streams.discard(stream)
            member.received_bytes += stream.received_bytes
            member.sent_bytes += stream.sent_bytes

    def carried(self, node: str) -> tuple[int, int]:
        """Return how many bytes of files have come from an agent, and were sent to it."""
        with self._lock:
            member = self._members.get(self._tokens.get(node, b""))
            all_of_it = [] if member is None else [member, *member.streams]
            return sum(each.received_bytes for each in all_of_it), sum(each.sent_bytes for each in all_of_it)

    # ------------------------------------------------------------ copies

    def note_copy(self, member: _Member, name: str) -> None:
        """Note that a node is about to have a copy of a blob."""
        with self._lock:
            if member.is_gone:
                raise BulkError(f"{member.name} is gone")
            member.copies.add(name)
            self._holders.setdefault(name, set()).add(member.node)

    def forget_copy(self, member: _Member, name: str) -> None:
        """Note that it has none after all."""
        with self._lock:
            member.copies.discard(name)
            self._forget(name, member.node)

    def _forget(self, name: str, node: str) -> None:
        holders = self._holders.get(name)
        if holders is not None:
            holders.discard(node)
            if not holders:
                del self._holders[name]


def _digest(token: str) -> bytes:
    """Return that by which a token is looked up: how long this takes tells nothing of the tokens there are."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
