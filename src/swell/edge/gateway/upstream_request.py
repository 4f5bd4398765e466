"""A request on its way to a container: its lease, its connection, and what has arrived of its body before there is one.

It is asked for a container (a lease), connects to that, and sends the request. Until a container has any byte of the
request, another one may get it: where a container does not accept the connection, another is asked for; where the
function is gone, the one that has its label by now. From the first byte on the request belongs to its container, and
is never sent again.

The lease is released exactly once, whatever happens: when the response is complete, when the container's connection has
ended, or when there was none yet and nobody waits for a response. After an error of the container it is released in
doubt: if the container is gone, the server should not give its slot to another request. This module must not know
clients, or what is done with a response.
"""

from __future__ import annotations

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from swell.edge.gateway.context import ExchangeContext
from swell.edge.gateway.head import Forwarding, Header, RequestHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.leases import LeaseRequest
from swell.edge.gateway.routing import Match, parameters_of
from swell.edge.gateway.upstream import ResponseSink, SiteAddress, Upstream
from swell.errors import NotFoundError, ResourceExhausted
from swell.model import OutputStatus
from swell.wire.web import Route
from swell.wire.web_names import socket_name, socket_path

__all__ = ["UpstreamRequest"]

_TRIES_MAX: Final = 5  #: containers that did not accept the connection, one after another
_PAUSE_S: Final = 0.1  #: before another is asked for; longer with each
_UNSENT_MAX: Final = 64 << 10  #: bytes of a body that are taken before there is a container

_ERRORS: Final = {
    OutputStatus.TIMEOUT: (504, "the request took longer than the timeout of its function"),
    OutputStatus.TERMINATED: (503, "the request was cancelled, or its app has stopped"),
    OutputStatus.INIT_FAILURE: (500, "the app could not be started; its logs say why"),
    OutputStatus.INTERNAL_FAILURE: (502, "the container of this request is gone"),
    OutputStatus.OUT_OF_MEMORY: (502, "the container of this request used more memory than it may, and was killed"),
}


class UpstreamRequest(ResponseSink, ABC):
    """One request in the direction of its container; `Exchange` adds the direction back.

    They are one object: two would refer to each other, and so leave every request to the garbage collector.

    Args:
        context: What all exchanges share.
        match: Where the request goes.
        head: Of the request.
        address: That has connected.
        drop: Names of headers that are not the container's business.
    """

    __slots__ = (
        "_address",
        "_connecting",
        "_context",
        "_drop",
        "_has_all",
        "_head",
        "_is_paused",
        "_lease",
        "_match",
        "_parameters",
        "_tries",
        "_unsent",
        "_unsent_bytes",
        "_upstream",
    )

    def __init__(
        self,
        context: ExchangeContext,
        match: Match,
        head: RequestHead,
        *,
        address: str,
        drop: frozenset[bytes],
    ) -> None:
        self._context = context
        self._match = match
        self._head = head
        self._has_all = not head.has_body  # the request is complete
        self._address = address
        self._drop = drop
        self._parameters = b""  # of the class, if the request names any
        self._lease: LeaseRequest | None = None
        self._upstream: Upstream | None = None
        self._tries = 0
        self._unsent: list[bytes] = []  # of the body, while there is no container
        self._unsent_bytes = 0
        self._is_paused = False  # the client takes no more of the response for now
        self._connecting: asyncio.Task[None] | None = None

    @property
    def route(self) -> Route:
        """The web function that answers it."""
        return self._match.route

    @property
    @abstractmethod
    def _is_wanted(self) -> bool:
        """True as long as somebody waits for a response."""

    @abstractmethod
    def _fail(self, error: HTTPError) -> None:
        """No container answers the request: respond with an error."""

    @abstractmethod
    def abort(self, error: HTTPError) -> None:
        """The same, and what a container is still doing for it has to end."""

    # ------------------------------------------------------------ to a container

    def _start(self) -> None:
        """Ask for a container.

        Raises:
            HTTPError: the query lacks parameters of the class, or has wrong ones.
        """
        self._parameters = parameters_of(self._match)
        self._ask()

    def _ask(self) -> None:
        route = self._match.route
        self._lease = self._context.leases.ask(route.function_id, route.method, self._parameters, self)

    def _ask_again(self) -> None:
        if self._is_wanted:
            self._ask()

    def _follow_label(self) -> bool:
        """Go where the label leads now; False if that is where it went. Called while no container has anything of it.

        An app that was replaced ends with its last request. One that was on its way to it finds no function, and the
        server has sent the new routes before it says so.
        """
        match = self._context.router.moved(self._match)
        if match is None or not self._is_wanted:
            return False
        if match.route.web.requires_proxy_auth and not self._match.route.web.requires_proxy_auth:
            return False  # nobody has looked for its token
        self._match = match
        try:
            self._start()
        except HTTPError as error:
            self._fail(error)
        return True

    def leased(self, container_id: str, where: str) -> None:
        """There is a container."""
        route = self._match.route
        if where:
            site = SiteAddress(socket_name(container_id, route.method), where)
        else:
            site = SiteAddress(socket_path(self._context.web_dir, container_id, route.method))
        upstream = None if route.web.kind == "server" else self._context.upstreams.idle(site)
        if upstream is not None:
            self._begin(upstream)
        else:
            self._begin_task(self._connect(site))

    def _begin_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._connecting = self._context.loop.create_task(work)
        task.add_done_callback(self._check)

    def _check(self, task: asyncio.Task[None]) -> None:
        """After a defect in a task, respond with an error and release the slot."""
        if not task.cancelled() and (error := task.exception()) is not None:
            text = "a defect in the edge: a request did not get to its container: %r"
            self._context.peers.log(logging.ERROR, "request not sent", text, error, defect=error)
            self._release(OutputStatus.FAILURE)
            self._fail(HTTPError(500, "a defect in the edge, which has logged it"))

    async def _connect(self, site: SiteAddress) -> None:
        try:
            upstream = await self._context.upstreams.connect(site)
        except OSError:
            self._not_accepted()
            return
        except HTTPError as error:
            self._release(OutputStatus.TERMINATED)
            self._fail(error)
            return
        if self._lease is None or not self._is_wanted:
            upstream.abort()
            self._release(OutputStatus.TERMINATED)
        else:
            self._begin(upstream)

    def _not_accepted(self) -> None:
        """The container accepts no connections any more, so nothing of the request is there: another may have it.

        The server may not have seen yet that the container is gone, and would name it again: it is given some time.
        """
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release_in_doubt(OutputStatus.TERMINATED)
        self._tries += 1
        if not self._is_wanted:
            return
        if self._tries < _TRIES_MAX:
            self._context.loop.call_later(_PAUSE_S * self._tries, self._ask_again)
        else:
            self._fail(HTTPError(503, f"{self._tries} containers did not accept the request"))

    def _begin(self, upstream: Upstream) -> None:
        """Send the head, and what has arrived of the body."""
        self._upstream = upstream
        match, lease = self._match, self._lease
        assert lease is not None
        extra: list[Header] = []
        is_server = match.route.web.kind == "server"
        if not is_server:
            extra.append((b"x-swell-input", lease.call_id.encode()))
            if match.root:
                extra.append((b"x-swell-root", match.root))
        origin = self._context.proxies.origin(self._head, self._address)
        upstream.begin(self, self._head, Forwarding(match.path, extra, origin, self._drop, is_server))
        if self._is_paused:
            upstream.pause(is_paused=True)
        unsent, self._unsent = self._unsent, []
        if unsent:
            self.upstream_full(is_full=False)  # before the container may be too slow for what has arrived
        for data in unsent:
            upstream.write_body(data)
        if self._has_all:
            upstream.end_body()

    # ------------------------------------------------------------ what is sent

    def request_body(self, data: bytes) -> None:
        """Send a chunk of the body, or keep it while there is no container."""
        if self._upstream is not None:
            self._upstream.write_body(data)
            return
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > _UNSENT_MAX:
            self.upstream_full(is_full=True)

    def request_complete(self) -> None:
        """All of the request has arrived."""
        if not self._has_all:
            self._has_all = True
            if self._upstream is not None:
                self._upstream.end_body()
            else:
                self.upstream_full(is_full=False)  # there is only its end to be read, which is to be seen

    def client_tunnel_data(self, data: bytes) -> None:
        """Send bytes of the client after a switch of protocols."""
        if self._upstream is not None:
            self._upstream.write_raw(data)

    def client_full(self, *, is_full: bool) -> None:
        """The client reads slower than the container sends, or has caught up: pause the container, or go on."""
        self._is_paused = is_full
        if self._upstream is not None:
            self._upstream.pause(is_paused=is_full)

    # ------------------------------------------------------------ ends

    def _finish_upstream(self, status: OutputStatus) -> None:
        """The response is complete: leave the connection to another request, and release the slot."""
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        upstream.leave()
        self._release(status)

    def _end_upstream(self, status: OutputStatus) -> None:
        """The container's connection has ended, and with it the request, with this status."""
        self._upstream = None
        self._release(status)

    def _break_off(self, error: HTTPError, *, is_known: bool) -> None:
        """The container's connection has ended before the response was complete: fail with an error.

        Args:
            error: What the client gets.
            is_known: Why it has ended is in the error; else the server is asked, which knows if the container is gone.
        """
        self._upstream = None
        lease, self._lease = self._lease, None
        if lease is None:
            self._fail(error)
        elif is_known:
            lease.release_in_doubt(OutputStatus.FAILURE)
            self._fail(error)
        else:
            lease.release_in_doubt(OutputStatus.FAILURE, partial(self._fail_with_reason, error))

    def _fail_with_reason(self, error: HTTPError, status: OutputStatus | None, text: str) -> None:
        if self._is_wanted:
            self._fail(error if status is None else self._error_of(status, text))

    def _cancel_upstream(self) -> bool:
        """Nobody waits for the response: return True if the container has to notice before the slot is free."""
        lease, upstream = self._lease, self._upstream
        if lease is not None and lease.leased_at is None:
            self._context.leases.forget(lease)
            lease.cancel()
            self._lease = None
        if upstream is None:
            return False
        if self._match.route.web.kind == "server":  # it may never end the connection, and takes any number of them
            upstream.leave()
            self._end_upstream(OutputStatus.TERMINATED)
            return False
        upstream.pause(is_paused=False)  # its end is to be seen
        upstream.write_eof()
        return True

    def _release(self, status: OutputStatus) -> None:
        """Release the slot, if there is one."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release(status)

    # ------------------------------------------------------------ the server's word

    def refused(self, code: str, text: str, retry_after_s: float | None) -> None:
        """The server refuses the request."""
        self._lease = None
        if code == NotFoundError.code and self._follow_label():
            return
        if code == ResourceExhausted.code:
            seconds = max(1, math.ceil(retry_after_s or 1))
            self._fail(HTTPError(429, text, [(b"retry-after", b"%d" % seconds)]))
        else:
            self._fail(HTTPError(404 if code == NotFoundError.code else 503, text))

    def ended(self, status: OutputStatus, text: str) -> None:
        """The server ends the request: before it has a container, or while it has one."""
        error = self._error_of(status, text)
        if self._lease is not None and self._lease.leased_at is None:
            self._lease = None
            if status is OutputStatus.TERMINATED and self._follow_label():
                return
        elif status is OutputStatus.INTERNAL_FAILURE and self._upstream is None and self._connecting is not None:
            self._connecting.cancel()  # its container has gone before it had accepted the connection
            self._not_accepted()
            return
        self.abort(error)

    def _error_of(self, status: OutputStatus, text: str) -> HTTPError:
        """Return what the client gets when the server ends its request."""
        if status is OutputStatus.OUT_OF_MEMORY:
            label = self._match.route.label
            self._context.peers.warning("out of memory", "a request to %s failed: %s", label, text)
        return HTTPError(*_ERRORS.get(status, (502, text)))
