"""Pipes between clients and the commands that they run beside containers; what passes is not read.

This module must not know how a command is run, or what its user sees.
"""

from __future__ import annotations

from swell.errors import Error, InvalidError, ServiceError, to_wire
from swell.ports import Backend, Pipe
from swell.server.connection import Connection
from swell.wire.messages import Exec, ExecBytes, Failed

__all__ = ["CommandRelay"]


class CommandRelay:
    """The pipes of all clients."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pipes: dict[int, dict[int, Pipe]] = {}  # by connection and request

    def open(self, client: Connection, message: Exec, payload: bytes) -> None:
        """Begin a command."""
        request = message.request
        pipes = self._pipes.setdefault(client.number, {})
        try:
            if request in pipes:
                raise InvalidError(f"request {request} is that of a command that runs")
            pipes[request] = self._backend.exec(message.container_id, _User(self, client, request))
        except Error as error:
            client.send(Failed(request, *to_wire(error)))
        else:
            pipes[request].send(payload)

    def pass_on(self, client: Connection, message: ExecBytes, payload: bytes) -> None:
        """Pass on what a client sends to its command, which may have ended."""
        pipe = self._pipes.get(client.number, {}).get(message.request)
        if pipe is not None:
            pipe.send(payload)

    def forget(self, client: Connection, request: int) -> bool:
        """Forget a command that is over; return whether it was known."""
        return self._pipes.get(client.number, {}).pop(request, None) is not None

    def leave(self, client: Connection) -> None:
        """End the commands of a client that is gone."""
        for pipe in self._pipes.pop(client.number, {}).values():
            pipe.close()


class _User:
    """The client's end of a pipe. Implements `swell.ports.Pipe`."""

    def __init__(self, relay: CommandRelay, client: Connection, request: int) -> None:
        self._relay = relay
        self._client = client
        self._request = request

    def send(self, data: bytes) -> None:
        """Pass on what comes of the command."""
        self._client.send(ExecBytes(self._request), data)

    def close(self, why: str = "") -> None:
        """The command is over, as its user has read in the pipe; or something broke."""
        if self._relay.forget(self._client, self._request) and why:
            self._client.send(Failed(self._request, *to_wire(ServiceError(why))))
