"""One exchange: a request of a client and the response to it, at the pace of the slower end.

Three parties take part, and each may do the next thing at any time. The client sends its body, stops reading, leaves,
or has waited so long that it is told to come back. The container responds, falls behind, or dies. The server ends the
request, because its time is over or somebody cancelled it. What may follow on what is a table (`states`), as h11 has
it: an event that has no place there is a defect. Three things hold in every path through it, and are why it is written
down:

1. **A client gets one response.** Its head is sent only to a client that waits. An error of the edge's own is sent only
   in its place; once the head is out, all that can go wrong breaks the connection, so that a part cannot be taken for
   the whole. Anything else would be read as the response to the client's next request: response smuggling.
2. **The slot is released once, and not too soon.** A handler runs on after its client has left, and its slot is taken
   until it has noticed: an exchange that is abandoned waits for the end of the container's connection. How it
   gets to a container, and the lease of its slot, are in `upstream_request`.
3. **Nothing waits here without a bound.** A body that arrives before there is a container, and a response whose client
   is not back, are kept up to 64 KiB each; beyond that, the sender is no longer read from. Everything else passes
   through: a side that is full has the other paused.

A client that waits long gets a redirect and comes back for the response: between the two, the exchange is *parked*, and
what arrives is kept in a `ParkedRequest`. This module must not know how a client's bytes are parsed, or how containers
are found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from swell.edge.gateway.client import Client
from swell.edge.gateway.context import ExchangeContext
from swell.edge.gateway.framing import LAST_CHUNK, chunk
from swell.edge.gateway.head import ResponseHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.parking import ParkedRequest
from swell.edge.gateway.proxy_auth import Authorization
from swell.edge.gateway.routing import Match
from swell.edge.gateway.states import OPEN_STATES, ExchangeEvent, ExchangeState, next_state
from swell.edge.gateway.upstream_request import UpstreamRequest
from swell.model import OutputStatus

__all__ = ["Exchange"]

#: Bound here because Python 3.11 takes 0.1 µs to find a member in its enum, and a request needs a dozen.
_WAITING, _PARKED, _TUNNEL = ExchangeState.WAITING, ExchangeState.PARKED, ExchangeState.TUNNEL
_HEAD, _SWITCH, _END = ExchangeEvent.HEAD, ExchangeEvent.SWITCH, ExchangeEvent.END
_SUCCESS, _FAILURE = OutputStatus.SUCCESS, OutputStatus.FAILURE


class Exchange(UpstreamRequest):
    """One request and its response.

    Args:
        context: What all exchanges share.
        client: Gets the response.
        match: Where the request goes.
        authorization: How the request was admitted.
        ended: Called once with the status of the response, 0 if there was none.
    """

    __slots__ = (
        "_authorization",
        "_client",
        "_ended",
        "_is_chunked",
        "_is_last",
        "_parked",
        "_redirect_timer",
        "_response",
        "_state",
    )

    def __init__(
        self,
        context: ExchangeContext,
        client: Client,
        match: Match,
        authorization: Authorization,
        ended: Callable[[int], None],
    ) -> None:
        super().__init__(context, match, client.head, address=client.address, drop=authorization.drop)
        self._client: Client | None = client
        self._authorization = authorization
        self._ended = ended
        self._state = _WAITING
        self._response: ResponseHead | None = None
        self._is_chunked = False  # the client gets the body in chunks
        self._is_last = False  # its connection ends after this response
        self._parked: ParkedRequest | None = None
        self._redirect_timer: asyncio.TimerHandle | None = None

    @property
    def token_id(self) -> str:
        """Of the token by which it was admitted; "" if it needed none."""
        return self._authorization.token_id

    @property
    def _is_wanted(self) -> bool:
        """True as long as somebody waits for a response."""
        return self._state in OPEN_STATES

    def start(self) -> None:
        """Ask for a container.

        Raises:
            HTTPError: the query lacks parameters of the class, or has wrong ones.
        """
        self._start()
        self._time_redirect()

    # ------------------------------------------------------------ from the client

    def half_closed(self) -> bool:
        """The client sends nothing more; return True if it may still be listening, as in a tunnel."""
        if self._state is _TUNNEL and self._upstream is not None:
            self._upstream.write_eof()
            return True
        return False

    def abort(self, error: HTTPError) -> None:
        """Respond with an error, and have the container stop: the request cannot go on."""
        self._fail(error)
        self._cancel_upstream()

    def abandon(self) -> None:
        """The client has left, or has not come back: have the container notice that nobody wants the response."""
        self._client = None
        self._state = next_state(self._state, ExchangeEvent.LEFT)
        self._stop_timer()
        if self._parked is not None:
            self._parked.leave()
        if not self._cancel_upstream():
            self._close(0)

    # ------------------------------------------------------------ from the container

    def interim_response(self, head: ResponseHead) -> None:
        """Pass on a head before the response proper."""
        if self._client is not None and self._head.version == "1.1":
            self._client.send(head.written(self._head, chunked=False, close=False))
            if head.status == 100:
                self._client.expect_body()

    def response_head(self, head: ResponseHead) -> None:
        """Send the head of the response, or keep it for a client that is not back."""
        self._response = head
        self._stop_timer()
        if self._client is not None:
            self._send_head(self._client, head)
        elif self._state is _PARKED:
            assert self._parked is not None
            self._parked.await_client()

    def _send_head(self, client: Client, head: ResponseHead) -> None:
        request = client.head
        is_tunnel = head.status == 101
        is_open_ended = head.length is None and not is_tunnel and head.has_body(request.method)
        is_chunked = self._is_chunked = is_open_ended and request.version == "1.1"
        is_last = self._is_last = not request.keeps_alive or (is_open_ended and not is_chunked)
        self._state = next_state(self._state, _SWITCH if is_tunnel else _HEAD)
        client.send(head.written(request, chunked=is_chunked, close=is_last and not is_tunnel))
        if is_tunnel:
            client.start_tunnel()

    def response_body(self, data: bytes) -> None:
        """Pass on a chunk of the response's body, or keep it for a client that is not back."""
        if self._client is not None:
            self._client.send(chunk(data) if self._is_chunked else data)
        elif self._state is _PARKED:
            assert self._parked is not None
            if not self._parked.keep(data):
                self.client_full(is_full=True)

    def response_complete(self) -> None:
        """The response is complete: the slot is free."""
        response = self._response
        assert response is not None
        self._finish_upstream(_FAILURE if response.status >= 500 else _SUCCESS)
        self._complete(may_stay=True)

    def _complete(self, *, may_stay: bool) -> None:
        if self._state is _PARKED:
            assert self._parked is not None
            self._parked.is_complete = True
        else:
            self._finish(may_stay=may_stay)

    def tunnel_data(self, data: bytes) -> None:
        """Pass on bytes that the container sent after a switch of protocols."""
        if self._client is not None:
            self._client.send(data)

    def upstream_full(self, *, is_full: bool) -> None:
        """The container reads slower than the client sends, or has caught up."""
        if self._client is not None:
            self._client.pause(is_paused=is_full)

    def upstream_lost(self, *, in_order: bool, fault: str) -> None:
        """The connection to the container has ended: in a tunnel and after some responses that is their end."""
        has_response = self._response is not None
        if self._state not in OPEN_STATES:
            self._end_upstream(OutputStatus.TERMINATED)
            self._close(0)
        elif has_response and (in_order or self._state is _TUNNEL):
            self._end_upstream(_SUCCESS)
            self._complete(may_stay=False)
        else:
            error = HTTPError(502, fault or "the container broke the connection off before it had answered")
            self._break_off(error, is_known=has_response or bool(fault))

    # ------------------------------------------------------------ ends

    def _fail(self, error: HTTPError) -> None:
        """Respond with an error; where the client has a part of the response, break its connection instead."""
        client, self._client = self._client, None
        was_parked = self._state is _PARKED
        has_begun = self._response is not None and not was_parked
        self._state = next_state(self._state, _END)
        if client is not None:
            if has_begun:
                client.abort()
            else:
                client.respond(error)
        elif was_parked:
            assert self._parked is not None
            self._parked.fail(error)
        self._close(0 if has_begun else error.status)

    def _finish(self, *, may_stay: bool) -> None:
        """The client, if it is there, has all of the response."""
        client, self._client = self._client, None
        self._state = next_state(self._state, _END)
        if client is not None:
            if self._is_chunked:
                client.send(LAST_CHUNK)
            may_stay = may_stay and self._has_all and not self._is_last and not self._head.wants_websocket
            client.finish(may_stay=may_stay)
        self._close(0 if self._response is None else self._response.status)

    def _close(self, status: int) -> None:
        """Count the exchange, once."""
        self._stop_timer()
        parked = self._parked
        if parked is not None and parked.error is None:  # an error waits for its client without the exchange
            parked.leave()
        ended, self._ended = self._ended, _nothing
        ended(status)

    # ------------------------------------------------------------ clients that wait long

    def _time_redirect(self) -> None:
        self._redirect_timer = self._context.loop.call_later(self._context.settings.web_wait_s, self._redirect)

    def _stop_timer(self) -> None:
        if self._redirect_timer is not None:
            self._redirect_timer.cancel()
            self._redirect_timer = None

    def _redirect(self) -> None:
        """Have the client come back for the response."""
        client, parking = self._client, self._context.parking
        assert client is not None
        if self._head.wants_websocket or not self._has_all or parking.is_full:
            self._time_redirect()
            return
        if self._parked is None:
            self._parked = parking.park(self, self._head)
        self._client = None
        self._redirect_timer = None
        self._state = next_state(self._state, ExchangeEvent.REDIRECT)
        self.client_full(is_full=False)  # that of the connection on which it comes back is told again
        client.respond(self._parked.redirect(client.head.target))

    def resume(self, client: Client) -> None:
        """Respond to a client that has come back.

        Raises:
            HTTPError: somebody waits for the response already; it is not asked for as it should be; it is the response.
        """
        parked, response = self._parked, self._response
        assert parked is not None
        if self._client is not None:
            raise HTTPError(409, "somebody waits for this answer already")
        kept = parked.come_back(client.head)
        self._client = client
        self._state = next_state(self._state, ExchangeEvent.RESUME)
        if response is None:
            self._time_redirect()
            return
        self._send_head(client, response)
        for data in kept:
            self.response_body(data)
        if parked.is_complete:
            self._finish(may_stay=True)
        else:
            self.client_full(is_full=False)


def _nothing(status: int) -> None:
    del status
