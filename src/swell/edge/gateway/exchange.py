"""One request on its way: waits for a container, goes there, and its answer back, at the pace of the slower end.

Its slot is released exactly once: when the answer is complete, or when the app has noticed that nobody wants it. This
module must not know how a client's bytes are parsed, or how containers are found.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

from swell.config import Settings
from swell.edge.gateway.framing import LAST_CHUNK, chunk
from swell.edge.gateway.head import Forwarding, Header, RequestHead, ResponseHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.leases import LeaseRequest, Leases
from swell.edge.gateway.parking import Parking
from swell.edge.gateway.proxy_auth import Admission
from swell.edge.gateway.resume_redirect import resume_url
from swell.edge.gateway.routing import Match, Router, parameters_of
from swell.edge.gateway.upstream import Upstream, Upstreams
from swell.errors import NotFoundError, ResourceExhausted
from swell.logs import PeerLog
from swell.model import OutputStatus
from swell.wire.web import Route
from swell.wire.web_names import socket_path

__all__ = ["Client", "Exchange", "ExchangeContext"]

log = logging.getLogger("swell.edge")

_TRIES_MAX: Final = 5  #: containers that did not accept the connection, one after another
_AHEAD_MAX: Final = 64 << 10  #: bytes of a body that are taken before there is a container, or of an answer, a client
_PAUSE_S: Final = 0.1  #: before another is asked for; longer with each
_FOLLOW_S: Final = 60.0  #: how long a request that was sent round waits for its client to come back

SUCCESS, FAILURE, TERMINATED = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED

_FAILURES: Final = {
    OutputStatus.TIMEOUT: (504, "the request took longer than the timeout of its function"),
    OutputStatus.TERMINATED: (503, "the request was cancelled, or its app has stopped"),
    OutputStatus.INIT_FAILURE: (500, "the app could not be started; its logs say why"),
    OutputStatus.INTERNAL_FAILURE: (502, "the container of this request is gone"),
    OutputStatus.OUT_OF_MEMORY: (502, "the container of this request used more memory than it may, and was killed"),
}


class Client(Protocol):
    """Who wants the answer."""

    head: RequestHead
    address: str

    def send(self, data: bytes) -> None:
        """Send bytes of the answer."""
        ...

    def expect_body(self) -> None:
        """Expect the body, which the client has held back until it is told to send it."""
        ...

    def pause(self, *, is_paused: bool) -> None:
        """Take no more of the request from the network for now, or go on."""
        ...

    def start_tunnel(self) -> None:
        """From now on bytes are just bytes, in both directions."""
        ...

    def respond_error(self, error: HTTPError) -> None:
        """Answer in the edge's own words. The exchange is over."""
        ...

    def finish(self, *, may_stay: bool) -> None:
        """The answer is complete. The exchange is over."""
        ...

    def abort(self) -> None:
        """Break the connection, so that the answer cannot be taken for complete. The exchange is over."""
        ...


class ExchangeContext:
    """What all exchanges use.

    Args:
        settings: Limits.
        leases: The connection to the server.
        router: Knows the web functions.
        web_dir: Where containers have their sockets.
        loop: On which all of it happens.
        upstreams_max: How many connections to containers may be open at once.
    """

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        router: Router,
        web_dir: str,
        loop: asyncio.AbstractEventLoop,
        *,
        upstreams_max: int,
    ) -> None:
        self.settings = settings
        self.leases = leases
        self.router = router
        self.web_dir = web_dir
        self.loop = loop
        self.peers = PeerLog(log)
        self.upstreams = Upstreams(self.peers, upstreams_max)
        self.parking: Parking[Exchange] = Parking(settings.web_connections_max)


class Exchange:
    """One request.

    Args:
        means: What all requests share.
        client: Who wants the answer.
        aim: Where it goes.
        admission: How the client was let in.
        ended: Called once with the status of the answer, 0 if there was none.
    """

    def __init__(
        self, context: ExchangeContext, client: Client, match: Match, admission: Admission, ended: Callable[[int], None]
    ) -> None:
        self._context = context
        self._client: Client | None = client
        self._head = client.head
        self._address = client.address
        self._match = match
        self._admission = admission
        self._ended = ended
        self._loop = context.loop
        self._parameters = b""  # of the class, if the request names any
        self._lease: LeaseRequest | None = None
        self._upstream: Upstream | None = None
        self._tries = 0
        self._unsent: list[bytes] = []  # of the body, while there is no container
        self._ahead = 0  # bytes of that
        self._is_client_full = False
        self._has_all = not self._head.has_body  # the request is complete
        self._answer: ResponseHead | None = None
        self._is_told = False  # the client has the head of the answer
        self._is_chunked = False
        self._must_close = False
        self._is_tunnel = False
        self._is_deserted = False  # nobody wants the answer; what handles it is to notice
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._id = ""  # by which a client that was sent round comes back
        self._kept: list[bytes] = []  # of the answer, until it does
        self._kept_bytes = 0
        self._is_answered = False  # all of the answer has come
        self._verdict: HTTPError | None = None  # what it is answered instead, when it comes back

    @property
    def route(self) -> Route:
        """What answers it."""
        return self._match.route

    @property
    def token_id(self) -> str:
        """By which token its client was let in; "" if it needed none."""
        return self._admission.token_id

    # ------------------------------------------------------------ its turn

    def start(self) -> None:
        """Ask for a container.

        Raises:
            HTTPError: the query lacks parameters of the class, or has wrong ones.
        """
        self._parameters = parameters_of(self._match)
        self._timer = self._loop.call_later(self._context.settings.web_wait_s, self._send_round)
        self._ask()

    def _begin_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._connecting = self._loop.create_task(work)
        task.add_done_callback(self._check)

    def _check(self, task: asyncio.Task[None]) -> None:
        """Whatever goes wrong in a task, the request is answered, and its slot comes back."""
        if not task.cancelled() and (error := task.exception()) is not None:
            text = "a defect in the edge: a request did not get to its container: %r"
            self._context.peers.log(logging.ERROR, "request not sent", text, error, defect=error)
            self._release(FAILURE)
            self._refuse(HTTPError(500, "a defect in the edge, which has logged it"))

    def _follow_label(self) -> bool:
        """Go where the label leads now; False if that is where it went. Called while no container has anything of it.

        An app that was replaced ends with its last request. One that was on its way to it finds no function, and the
        server has told the new routes before it says so.
        """
        match = self._context.router.moved(self._match)
        if match is None or self._is_deserted:
            return False
        if match.route.web.requires_proxy_auth and not self._match.route.web.requires_proxy_auth:
            return False  # nobody has looked for its token
        self._match = match
        try:
            self._parameters = parameters_of(match)
            self._ask()
        except HTTPError as error:
            self._refuse(error)
        return True

    def _ask(self) -> None:
        if not self._is_deserted:
            route = self._match.route
            self._lease = self._context.leases.ask(route.function_id, route.method, self._parameters, self)

    def leased(self, container_id: str) -> None:
        """It has a container."""
        route = self._match.route
        path = socket_path(self._context.web_dir, container_id, route.method)
        upstream = None if route.web.kind == "server" else self._context.upstreams.idle(path)
        if upstream is not None:
            self._begin(upstream)
        else:
            self._begin_task(self._connect(path))

    async def _connect(self, path: str) -> None:
        try:
            upstream = await self._context.upstreams.connect(path)
        except OSError:
            self._not_accepted()
            return
        except HTTPError as error:
            self._release(TERMINATED)
            self._refuse(error)
            return
        if self._lease is None or self._is_deserted:
            upstream.abort()
            self._release(TERMINATED)
        else:
            self._begin(upstream)

    def _not_accepted(self) -> None:
        """The container accepts no connections any more, so nothing of the request is there: another may have it.

        The server may not have seen yet that the container is gone, and would name it again: it is given some time.
        """
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release_in_doubt(TERMINATED)
        self._tries += 1
        if self._is_deserted:
            return
        if self._tries < _TRIES_MAX:
            self._loop.call_later(_PAUSE_S * self._tries, self._ask)
        else:
            self._refuse(HTTPError(503, f"{self._tries} containers did not accept the request"))

    def _begin(self, upstream: Upstream) -> None:
        self._upstream = upstream
        match, lease = self._match, self._lease
        assert lease is not None
        extra: list[Header] = []
        is_server = match.route.web.kind == "server"
        if not is_server:
            extra.append((b"x-swell-input", lease.call_id.encode()))
            if match.root:
                extra.append((b"x-swell-root", match.root))
        upstream.begin(self, self._head, Forwarding(match.path, extra, self._address, self._admission.drop, is_server))
        if self._is_client_full:
            upstream.pause(is_paused=True)
        unsent, self._unsent = self._unsent, []
        if unsent and self._client is not None:
            self._client.pause(is_paused=False)  # before the container may be found too slow for what has come already
        for data in unsent:
            upstream.write_body(data)
        if self._has_all:
            upstream.end_body()

    # ------------------------------------------------------------ the request

    def request_body(self, data: bytes) -> None:
        """A part of the body has come."""
        if self._upstream is None:
            self._unsent.append(data)
            self._ahead += len(data)
            if self._client is not None and self._ahead > _AHEAD_MAX:
                self._client.pause(is_paused=True)
        else:
            self._upstream.write_body(data)

    def request_complete(self) -> None:
        """All of the request has come."""
        if not self._has_all:
            self._has_all = True
            if self._upstream is not None:
                self._upstream.end_body()
            elif self._client is not None:
                self._client.pause(is_paused=False)  # there is only its end to be read, which is to be seen

    def client_tunnel_data(self, data: bytes) -> None:
        """Bytes from the client after a switch of protocols."""
        if self._upstream is not None:
            self._upstream.write_raw(data)

    # ------------------------------------------------------------ the answer

    def interim_response(self, head: ResponseHead) -> None:
        """Pass on what is said before the answer proper."""
        if self._client is not None and self._head.version == "1.1":
            self._client.send(head.written(self._head, chunked=False, close=False))
            if head.status == 100:
                self._client.expect_body()

    def response_head(self, head: ResponseHead) -> None:
        """The head of the answer is there."""
        self._answer = head
        self._stop_timer()
        if self._client is not None:
            self._tell(self._client)
        elif not self._is_deserted:  # its client was sent round, and is not back
            self._timer = self._loop.call_later(_FOLLOW_S, self.abandon)

    def _tell(self, client: Client) -> None:
        """Send the head of the answer."""
        head, request = self._answer, client.head
        assert head is not None
        has_body = head.has_body(request.method)
        is_open_ended = has_body and head.length is None and head.status != 101
        self._is_told = True
        self._is_chunked = is_open_ended and request.version == "1.1"
        self._must_close = not request.keeps_alive or (is_open_ended and not self._is_chunked)
        client.send(head.written(request, chunked=self._is_chunked, close=self._must_close and head.status != 101))
        if head.status == 101:
            self._is_tunnel = True
            client.start_tunnel()

    def response_body(self, data: bytes) -> None:
        """Pass on a part of the body."""
        if self._client is not None:
            self._client.send(chunk(data) if self._is_chunked else data)
        elif not self._is_deserted:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Keep a part for a client that is not back; a short answer ends so, and its slot is free at once."""
        self._kept.append(data)
        self._kept_bytes += len(data)
        is_room_left = self._context.parking.keep(len(data))
        if (self._kept_bytes > _AHEAD_MAX or not is_room_left) and self._upstream is not None:
            self._upstream.pause(is_paused=True)

    def _take_kept(self) -> list[bytes]:
        self._context.parking.drop(self._kept_bytes)
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        return kept

    def response_complete(self) -> None:
        """The answer is complete."""
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        assert self._answer is not None
        upstream.leave()
        self._release(FAILURE if self._answer.status >= 500 else SUCCESS)
        self._is_answered = True
        if self._client is not None or self._is_deserted:
            self._finish()

    def tunnel_data(self, data: bytes) -> None:
        """Pass on bytes after a switch of protocols."""
        if self._client is not None:
            self._client.send(data)

    def upstream_lost(self, *, in_order: bool, fault: str) -> None:
        """The connection to the container has ended."""
        self._upstream = None
        if self._is_deserted:
            self._release(TERMINATED)
            self._close(0)
        elif self._answer is not None and (in_order or self._is_tunnel):
            self._must_close = True
            self._is_answered = True
            self._release(SUCCESS)
            if self._client is not None:
                self._finish()
        else:
            error = HTTPError(502, fault or "the container broke the connection off before it had answered")
            lease, self._lease = self._lease, None
            if lease is None:
                self._fail(error)
            elif fault or self._answer is not None:
                lease.release_in_doubt(FAILURE)
                self._fail(error)
            else:  # the server knows why, if the container is gone
                lease.release_in_doubt(FAILURE, partial(self._tell_lost, error))

    def _tell_lost(self, error: HTTPError, status: OutputStatus | None, text: str) -> None:
        """Tell the client how its container ended, if it has."""
        if not self._is_deserted:
            self._fail(error if status is None else self._refusal_of(status, text))

    def _refusal_of(self, status: OutputStatus, text: str) -> HTTPError:
        """Return what the client is told when the server ends its request."""
        if status is OutputStatus.OUT_OF_MEMORY:
            route = self._match.route
            self._context.peers.warning("out of memory", "a request to %s failed: %s", route.label, text)
        return HTTPError(*_FAILURES.get(status, (502, text)))

    def upstream_full(self, *, is_full: bool) -> None:
        """The container reads slower than the client sends, or has caught up."""
        if self._client is not None:
            self._client.pause(is_paused=is_full)

    def client_full(self, *, is_full: bool) -> None:
        """The client reads slower than the container sends, or has caught up."""
        self._is_client_full = is_full
        if self._upstream is not None:
            self._upstream.pause(is_paused=is_full)

    # ------------------------------------------------------------ ends

    def refused(self, code: str, text: str, retry_after_s: float | None) -> None:
        """The server refuses it."""
        self._lease = None
        if code == NotFoundError.code and self._follow_label():
            return
        if code == ResourceExhausted.code:
            seconds = max(1, math.ceil(retry_after_s or 1))
            self._refuse(HTTPError(429, text, [(b"retry-after", b"%d" % seconds)]))
        else:
            self._refuse(HTTPError(404 if code == NotFoundError.code else 503, text))

    def ended(self, status: OutputStatus, text: str) -> None:
        """The server ends it: before it had a container, or while it has it."""
        error = self._refusal_of(status, text)
        if self._lease is not None and self._lease.leased_at is None:
            self._lease = None
            if status is OutputStatus.TERMINATED and self._follow_label():
                return
        self._fail(error)
        self._abandon()

    def abandon(self) -> None:
        """Nobody wants the answer: the client has left, or has been told something else."""
        self._client = None
        self._verdict = None
        self._abandon()

    def _abandon(self) -> None:
        """Have what handles the request notice that its answer is not wanted."""
        if self._is_deserted:
            self._close(0)
            return
        self._is_deserted = True
        lease = self._lease
        if lease is not None and lease.leased_at is None:
            self._context.leases.forget(lease)
            lease.cancel()
            self._lease = None
        if self._upstream is None:
            self._close(0)
        elif self._match.route.web.kind == "server":
            self._upstream.leave()
            self._upstream = None
            self._release(TERMINATED)
            self._close(0)
        else:
            self._upstream.pause(is_paused=False)  # its end is to be seen
            self._upstream.write_eof()

    def abort(self, error: HTTPError) -> None:
        """The rest of the request does not come, or cannot be taken."""
        self._fail(error)
        self.abandon()

    def half_closed(self) -> bool:
        """The client sends nothing more; True if it may still be listening, as after a switch of protocols."""
        if self._is_tunnel and self._upstream is not None:
            self._upstream.write_eof()
            return True
        return False

    def _fail(self, error: HTTPError) -> None:
        if self._is_told:
            self._break()
        else:
            self._refuse(error)

    def _refuse(self, error: HTTPError) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.respond_error(error)
        elif self._context.parking.find(self._id) is self:  # it is told when it comes back
            self._verdict = error
            self._stop_timer()
            self._timer = self._loop.call_later(_FOLLOW_S, self.abandon)
        self._close(error.status)

    def _break(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.abort()
        self._close(0)

    def _finish(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            if self._is_chunked:
                client.send(LAST_CHUNK)
            client.finish(may_stay=self._has_all and not self._must_close and not self._head.wants_websocket)
        self._close(0 if self._answer is None else self._answer.status)

    def _close(self, status: int) -> None:
        if self._verdict is None:
            self._stop_timer()
            self._context.parking.remove(self._id)
        self._take_kept()
        ended, self._ended = self._ended, _nothing
        ended(status)

    def _release(self, status: OutputStatus) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release(status)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ------------------------------------------------------------ round trips of a client that waits long

    def _send_round(self) -> None:
        """Have the client come back for the answer: proxies and browsers do not wait for ever."""
        client, wait_s = self._client, self._context.settings.web_wait_s
        if client is None or self._head.wants_websocket or not self._has_all or self._context.parking.is_full:
            self._timer = self._loop.call_later(wait_s, self._send_round)
            return
        self._id = self._context.parking.park(self, self._id)
        self._client = None
        self.client_full(is_full=False)  # who comes back says so if that connection is, too
        self._timer = self._loop.call_later(_FOLLOW_S, self.abandon)
        client.respond_error(HTTPError(303, "", [(b"location", resume_url(client.head.target, self._id))]))

    def come_back(self, client: Client) -> None:
        """The client is back for the answer.

        Raises:
            HTTPError: somebody waits for it already; it is not asked for as it should be; it is the answer.
        """
        if self._client is not None:
            raise HTTPError(409, "somebody waits for this answer already")
        follows = b"HEAD" if self._head.method == b"HEAD" else b"GET"
        if client.head.method != follows or client.head.has_body:
            raise HTTPError(
                405, f"this answer is waited for with {follows.decode()}, without a body", [(b"allow", follows)]
            )
        verdict, self._verdict = self._verdict, None
        if verdict is not None:
            self._close(verdict.status)
            raise verdict
        self._client = client
        self._stop_timer()
        if self._answer is not None:
            self._tell(client)
            for data in self._take_kept():
                self.response_body(data)
            if self._is_answered:
                self._finish()
            elif self._upstream is not None:
                self._upstream.pause(is_paused=False)
        else:
            self._timer = self._loop.call_later(self._context.settings.web_wait_s, self._send_round)


def _nothing(status: int) -> None:
    del status
