"""The two ends of the client's side: what an exchange may do with its client, and what a client's connection tells it.

This module must not know how either is done.
"""

from __future__ import annotations

from typing import Protocol

from swell.edge.gateway.head import RequestHead
from swell.edge.gateway.http_error import HTTPError

__all__ = ["Client", "RequestSink"]


class Client(Protocol):
    """Gets the response to one request."""

    head: RequestHead
    address: str

    def send(self, data: bytes) -> None:
        """Send bytes of the response."""
        ...

    def expect_body(self) -> None:
        """Expect the body, which the client has held back until it is told to send it."""
        ...

    def pause(self, *, is_paused: bool) -> None:
        """Take no more of the request from the network for now, or go on."""
        ...

    def start_tunnel(self) -> None:
        """Pass bytes on unread from now on, in both directions."""
        ...

    def respond(self, error: HTTPError) -> None:
        """Send a response of the edge's own. The exchange is over."""
        ...

    def finish(self, *, may_stay: bool) -> None:
        """End the response, which is complete. The exchange is over.

        Args:
            may_stay: Another request may follow on this connection, as far as the exchange knows.
        """
        ...

    def abort(self) -> None:
        """Break the connection, so that the response cannot be taken for complete. The exchange is over."""
        ...


class RequestSink(Protocol):
    """Takes one request from the connection of a client. The twin of `ResponseSink`, on the container's side."""

    def request_body(self, data: bytes) -> None:
        """Take a chunk of the body."""
        ...

    def request_complete(self) -> None:
        """All of the request has arrived."""
        ...

    def client_tunnel_data(self, data: bytes) -> None:
        """Take bytes that the client sent after a switch of protocols."""
        ...

    def client_full(self, *, is_full: bool) -> None:
        """The client reads slower than it is sent to, or has caught up."""
        ...

    def half_closed(self) -> bool:
        """The client sends nothing more; return True if it may still be listening, as in a tunnel."""
        ...

    def abort(self, error: HTTPError) -> None:
        """The rest of the request does not arrive, or cannot be taken: respond with an error."""
        ...

    def abandon(self) -> None:
        """The client has left: nobody wants the response."""
        ...
