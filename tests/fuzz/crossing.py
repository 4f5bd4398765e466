"""Sends requests of an attacker through the gateway to a site, and those of innocent clients after them.

Everything of the gateway but sockets, tokens and the server takes part. The site is h11: it reads what the gateway
writes as strictly as another server would, and answers each request with what that was. However the attacker's bytes
are cut, whatever the site does meanwhile, and whether the attacker stays or leaves: who asks afterwards gets an answer
at once, and it is the one to their own request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import h11
from fakes import Loop, Owner, Wire
from messages import Maker

from swell.config import Settings
from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.context import ExchangeContext
from swell.edge.gateway.downstream import Downstream
from swell.edge.gateway.exchange import Exchange
from swell.edge.gateway.leases import LeaseRequest
from swell.edge.gateway.proxy_auth import OPEN
from swell.edge.gateway.routing import Match, Router
from swell.edge.gateway.upstream import SiteAddress, Upstream
from swell.model import WebSpec
from swell.wire.messages import CancelCall
from swell.wire.web import Release, Route
from swell.wire.web_names import socket_path

VICTIMS = 3
WHOLE_S = 1.0  #: of the loop's time, in which an answer has to come

#: What a site may do with a request, besides answering it.
WAYS = ["whole", "whole", "early", "chunked", "closes", "interim", "forges", "silent", "cuts"]


class Crossed(Exception):
    """Somebody got no answer, or that of another."""


class SiteWire(Wire):
    """The gateway's end of a connection to the site; the other end is in here, too."""

    def __init__(self, loop: Loop, way: Callable[[], str]) -> None:
        super().__init__()
        self.upstream: Upstream | None = None
        self._loop = loop
        self._way = way
        self._doing = ""
        self._server = h11.Connection(h11.SERVER, max_incomplete_event_size=300_000)
        self._request: h11.Request | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self.is_broken:
            self._loop.call_soon(lambda: self._received(data))

    def write_eof(self) -> None:
        super().write_eof()
        self._loop.call_soon(self._close)

    def abort(self) -> None:
        if not self.is_broken:
            super().abort()
            self._loop.call_soon(self._lost)

    def _lost(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.connection_lost(None)

    def _close(self) -> None:
        self.is_broken = True
        self._lost()

    def _received(self, data: bytes) -> None:
        if self.is_broken:
            return
        try:
            self._server.receive_data(data)
            while (event := self._server.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                self._take(event)
                if self.is_broken:
                    return
        except h11.RemoteProtocolError:
            self._close()

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            self._request, self._size = event, 0
            self._doing = self._way() if b"innocent" not in event.target else "whole"
            if self._doing == "early":
                self._answer()
        elif isinstance(event, h11.Data):
            self._size += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            if self._doing not in ("early", "silent"):
                self._answer()
            if self._doing == "silent":
                return
            self._server.send(h11.Response(status_code=400, headers=[("content-length", "0")]))  # for its state only
            self._server.send(h11.EndOfMessage())
            if self._server.our_state is h11.DONE:
                self._server.start_next_cycle()

    def _answer(self) -> None:
        request = self._request
        assert request is not None
        host = dict(request.headers).get(b"host", b"")
        body = b"<%b %b %b %d>" % (request.method, request.target, host, self._size)
        head = b"HTTP/1.1 200 OK\r\n" + (b"Connection: close\r\n" if self._doing == "closes" else b"")
        sent = b"HTTP/1.1 103 Early Hints\r\n\r\n" if self._doing == "interim" else b""
        if self._doing == "chunked":
            sent += head + b"Transfer-Encoding: chunked\r\n\r\n"
            sent += b"" if request.method == b"HEAD" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            sent += head + b"Content-Length: %d\r\n\r\n" % len(body) + (b"" if request.method == b"HEAD" else body)
        if self._doing == "forges":
            sent += b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
        if self._doing == "cuts":
            sent = sent[: len(sent) // 2]
        if self.upstream is not None:
            self.upstream.data_received(sent)
        if self._doing in ("closes", "cuts"):
            self._close()


class Leases:
    """Gives every request the one container, at once."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.context: ExchangeContext | None = None
        self.way: Callable[[], str] = lambda: "whole"
        self.wires: list[SiteWire] = []
        self.lease_requests: list[LeaseRequest] = []
        self.held = 0  #: leases that are not released

    def ask(self, function_id: str, method: str, parameters: bytes, holder: Exchange) -> LeaseRequest:
        del function_id
        lease = LeaseRequest(cast("Any", self), f"fc-{len(self.wires)}", holder)
        self.lease_requests.append(lease)
        self._loop.call_soon(lambda: self._grant(lease, method))
        return lease

    def _grant(self, lease: LeaseRequest, method: str) -> None:
        if lease.holder is None:
            return
        assert self.context is not None
        site = SiteAddress(socket_path(self.context.web_dir, "co-1", method))
        upstream = self.context.upstreams.idle(site)
        if upstream is None:
            wire = SiteWire(self._loop, lambda: self.way())
            upstream = wire.upstream = Upstream(site, self.context.upstreams)
            upstream.connection_made(cast("Any", wire))
            self.wires.append(wire)
        self.context.upstreams.keep(upstream)
        self.held += 1
        lease.leased_at = 0.0
        lease.holder.leased("co-1", "")

    def forget(self, lease: LeaseRequest) -> bool:
        is_known = lease in self.lease_requests
        if is_known:
            self.lease_requests.remove(lease)
        lease.holder = None
        return is_known

    def send(self, message: Release | CancelCall) -> None:
        self.held -= isinstance(message, Release)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self._loop.call_later(seconds, action)


ROUTE = Route(
    label="site",
    function_id="fu-1",
    method="",
    web=WebSpec(kind="asgi"),
    app_id="ap-1",
    app_name="app",
    function_name="site",
    timeout_s=300.0,
)  #: of every request


class SiteOwner(Owner):
    """Sends every request to the one site."""

    def __init__(self, context: ExchangeContext) -> None:
        super().__init__(context.settings, context.peers)
        self._context = context

    def admit(self, client: Downstream) -> RequestSink:
        match = Match(ROUTE, client.head.target, b"")
        exchange = Exchange(self._context, client, match, OPEN, lambda status: None)
        exchange.start()
        return exchange


class Gateway:
    """A gateway without sockets, and its site."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.leases = Leases(self.loop)
        settings = Settings(web_head_max=4_096, web_body_max=100_000)
        loop = cast("Any", self.loop)
        context = ExchangeContext(settings, cast("Any", self.leases), Router(), "/web", loop, upstreams_max=100)
        self.leases.context = context
        self.owner: Owner = SiteOwner(context)

    def connect(self) -> tuple[Downstream, Wire]:
        wire = Wire()
        connection = Downstream(self.owner, self.loop)
        connection.connection_made(cast("Any", wire))
        return connection, wire


def cross(seed: int) -> str:
    """Let an attacker and its victims use one gateway; return a word for what the attacker got.

    Raises:
        Crossed: a victim got no answer, or another's.
    """
    maker = Maker(seed)
    random = maker.random
    gateway = Gateway()
    gateway.leases.way = lambda: random.choice(WAYS)
    attacker, wire = gateway.connect()
    data = b"".join(maker.request() for _ in range(random.choice([1, 2, 3])))
    for piece in maker.cut(data[: random.choice([len(data), random.randrange(len(data) + 1)])]):
        if not wire.reads or wire.is_ended:
            break
        attacker.data_received(piece)
        gateway.loop.run()
    leaves = random.choice(["stays", "leaves", "waits"])
    if leaves == "leaves":
        attacker.connection_lost(None)
    elif leaves == "waits":
        gateway.loop.pass_time(100.0)
    gateway.loop.run()
    for number in range(VICTIMS):
        _check_victim(gateway, number)
    if b"innocent-" in wire.written:
        raise Crossed(f"the attacker has got {wire.written!r}")
    if leaves != "leaves":
        attacker.connection_lost(None)
    gateway.loop.run()
    gateway.loop.pass_time(WHOLE_S)
    if gateway.leases.held:
        raise Crossed(f"{gateway.leases.held} slots are not free, though every client has left")
    statuses = [part[:3] for part in wire.written.split(b"HTTP/1.1 ")[1:]]
    return "answered" if b"200" in statuses else "refused" if statuses else "cut"


def _check_victim(gateway: Gateway, number: int) -> None:
    victim, wire = gateway.connect()
    victim.data_received(b"GET /innocent-%d HTTP/1.1\r\nHost: innocent\r\n\r\n" % number)
    gateway.loop.run()
    gateway.loop.pass_time(WHOLE_S)
    got = wire.written
    if got.count(b"HTTP/1.1") != 1 or not got.endswith(b"\r\n\r\n<GET /innocent-%d innocent 0>" % number):
        raise Crossed(
            f"victim {number} has got {got!r}; to the site went {[each.written for each in gateway.leases.wires]}"
        )
    victim.connection_lost(None)
    gateway.loop.run()
