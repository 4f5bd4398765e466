"""The gateway: listens, and admits connections and requests. This module must not know bytes."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import socket
import time
from functools import partial
from typing import Final

from swell.edge.connections import Connections
from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.context import ExchangeContext
from swell.edge.gateway.downstream import Downstream
from swell.edge.gateway.exchange import Exchange
from swell.edge.gateway.head import RequestHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.limits import Bucket
from swell.edge.gateway.proxy_auth import OPEN, Authorization, ProxyTokens
from swell.edge.gateway.resume_redirect import split_resume_key
from swell.edge.gateway.routing import Match, labels
from swell.edge.gateway.slash_redirect import slash_redirect
from swell.edge.traffic import Traffic
from swell.listening import accept_at
from swell.wire.web import Route

__all__ = ["Gateway"]

log = logging.getLogger("swell.edge")

_REFUSED: Final = 400  #: from this status on, a request was refused; below, it was sent elsewhere
_TURNED_AWAY_MAX: Final = 64  #: connections that are being told why there is no room for them


class Gateway:
    """Admits requests of clients to web functions.

    Args:
        context: What all exchanges share.
        tokens: Of clients that may use web functions which ask for one.
        admin_token: A client that has it is told which labels there are.
        traffic: Counts requests and connections.
        connections_max: How many connections of clients may be open at once.
    """

    def __init__(
        self, context: ExchangeContext, tokens: ProxyTokens, admin_token: str, traffic: Traffic, *, connections_max: int
    ) -> None:
        self.settings = context.settings
        self.peers = context.peers
        self._context = context
        self._tokens = tokens
        self._admin_token = admin_token.encode()
        self._traffic = traffic
        self._connections: Connections[Downstream] = Connections("web", connections_max, traffic)
        self._turned_away: set[Downstream] = set()
        self._bucket = Bucket(self.settings.web_rate, self.settings.web_burst_s, time.monotonic())
        self._server: asyncio.Server | None = None

    # ------------------------------------------------------------ life

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        self._server = await accept_at(listener, lambda: Downstream(self, loop))

    def close(self) -> None:
        """Accept no more connections, and break those that there are."""
        if self._server is not None:
            self._server.close()
        for connection in [*self._connections, *self._turned_away]:
            connection.close()
        self._context.upstreams.close()

    def enter(self, connection: Downstream) -> bool:
        """Count a connection; return False if there are too many."""
        return self._connections.enter(connection)

    def turn_away(self, connection: Downstream) -> bool:
        """A connection is too many; return True if it may stay for the moment in which its client reads why.

        These are not counted as connections, so there must be few: more of them are closed without a word.
        """
        if len(self._turned_away) >= _TURNED_AWAY_MAX:
            return False
        self._turned_away.add(connection)
        return True

    def leave(self, connection: Downstream) -> None:
        """A connection has ended."""
        self._connections.leave(connection)
        self._turned_away.discard(connection)

    # ------------------------------------------------------------ requests

    def admit(self, client: Downstream) -> RequestSink:
        """Begin with a request whose head is there, or go on with one for which the client has come back.

        Raises:
            HTTPError: it is not admitted; it is counted.
        """
        try:
            return self._admitted(client)
        except HTTPError as error:
            if error.status >= _REFUSED:
                self._traffic.was_refused(error.status)
            raise

    def _admitted(self, client: Downstream) -> RequestSink:
        head = client.head
        wait_s = self._bucket.take(time.monotonic())
        if wait_s:
            text = f"more than {self.settings.web_rate:g} requests per second (web_rate)"
            raise HTTPError(429, text, [(b"retry-after", b"%d" % math.ceil(wait_s))])
        if self._context.leases.is_full:
            raise HTTPError(503, "the server does not keep up with the requests", [(b"retry-after", b"1")])
        target, key = split_resume_key(head.target)
        if key:
            return self._resumed(client, target, key)
        match = self._context.router.find(head.host, target)
        if match is None:
            raise HTTPError(404, self._unknown(head))
        authorization = self._authorised(head, match.route)
        site = slash_redirect(head, match)
        if site is not None:
            raise site
        exchange = Exchange(
            self._context, client, match, authorization, partial(self._ended, match, time.perf_counter())
        )
        exchange.start()
        self._traffic.began(match.route.label)
        return exchange

    def _resumed(self, client: Downstream, target: bytes, key: str) -> RequestSink:
        """Go on with a request whose client is back. The key alone opens nothing: it stands in logs and histories.

        It has to be asked for at the same web function, with the same token if that needs one.
        """
        parked = self._context.parking.find(key)
        if parked is None or parked.request.route.label not in labels(client.head.host, target):
            raise _gone()
        request = parked.request
        if self._authorised(client.head, request.route).token_id != request.token_id:
            raise _gone()
        request.resume(client)
        return request

    def _authorised(self, head: RequestHead, route: Route) -> Authorization:
        """Return how a request is admitted.

        Raises:
            HTTPError: it lacks the token that it needs.
        """
        if not route.web.requires_proxy_auth:
            return OPEN
        authorization = self._tokens.used_by(head)
        if authorization is None:
            text = "a token is needed, as `swell token create` makes it: in the headers Swell-Key and Swell-Secret"
            raise HTTPError(401, text, [(b"www-authenticate", b'Bearer realm="swell"')])
        return authorization

    def _unknown(self, head: RequestHead) -> str:
        text = "nothing answers here"
        scheme, _, token = (head.first(b"authorization") or b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._admin_token):
            text += f"; what does: {', '.join(self._context.router.labels) or 'nothing at all'}"
        return text

    def _ended(self, match: Match, began_at: float, status: int) -> None:
        took_s = time.perf_counter() - began_at
        self._traffic.ended(match.route.label, status, took_s)
        log.debug("%s %d %.1f ms", match.route.label, status, took_s * 1e3)


def _gone() -> HTTPError:
    return HTTPError(
        404, "this answer is gone: it was fetched already, or not in time, or this is not the request that it answers"
    )
