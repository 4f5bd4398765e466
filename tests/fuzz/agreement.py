"""Compares the gateway with h11 on the same bytes, and what the gateway writes with what it has read.

Two parsers that read the same bytes differently are how requests are smuggled. h11 is the second one here: it was
written by others, from the RFCs. Where both accept a message they have to agree on all of it, and on the one behind it.
The gateway may refuse what h11 accepts. What h11 refuses and the gateway accepts is in a list, each with its reason.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import cast

import h11
from fakes import Loop, Owner, Wire
from messages import Maker

from swell.config import Settings
from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.downstream import Downstream
from swell.edge.gateway.head import Forwarding, Origin, RequestHead, ResponseHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.upstream import SiteAddress, Upstream
from swell.edge.gateway.upstream_pool import UpstreamPool
from swell.logs import PeerLog

Headers = list[tuple[bytes, bytes]]

SETTINGS = Settings(web_head_max=4_096, web_body_max=100_000)

#: What h11 says of requests that it refuses and the gateway takes, and why it may.
LENIENT: dict[str, str] = {
    "no request line received": "blank lines before a request: RFC 9112, section 2.2, asks servers to skip them",
}


class Disagreement(Exception):
    """The gateway and h11 do not read the same."""


@dataclass
class Message:
    """What a parser has made of a message."""

    start: tuple[bytes, ...]
    headers: Headers
    body: bytes = b""
    is_whole: bool = False

    def agrees(self, other: Message) -> bool:
        """True if this may be the same message as another, of which there is more or less."""
        if (self.start, self.headers) != (other.start, other.headers):
            return False
        if self.is_whole and other.is_whole:
            return self.body == other.body
        return self.body.startswith(other.body) or other.body.startswith(self.body)


@dataclass
class Reading:
    """What a parser has made of a connection."""

    messages: list[Message] = field(default_factory=list)
    interims: list[int] = field(default_factory=list)
    error: str = ""  #: why it stopped, if it refused something
    is_over: bool = False  #: nothing more is taken
    is_reusable: bool = False  #: an answer was whole, and another request may follow


# ---------------------------------------------------------------- requests


class _Recorder:
    """In the place of an exchange: keeps what comes, writes it to a container, and answers when it is told to."""

    def __init__(self, owner: _Owner, client: Downstream) -> None:
        head = client.head
        self._client = client
        self._keeps_alive = head.keeps_alive
        self.message = Message(start_of(head), _as_h11(head.headers))
        self.head = head
        self.wire = Wire()
        self._upstream = Upstream(
            SiteAddress("site.sock"), UpstreamPool(PeerLog(logging.getLogger("fuzz")), 1, node_timeout_s=5.0)
        )
        self._upstream.connection_made(cast("object", self.wire))  # pyright: ignore[reportArgumentType]
        to = _TO._replace(origin=_TO.origin._replace(host=head.host))
        self._upstream.begin(cast("object", self), head, to)  # pyright: ignore[reportArgumentType]
        self._owner = owner
        owner.recorders.append(self)

    def request_body(self, data: bytes) -> None:
        self.message.body += data
        self._upstream.write_body(data)

    def request_complete(self) -> None:
        if not self.message.is_whole:
            self.message.is_whole = True
            self._upstream.end_body()
            self._owner.to_be_answered = self.answer

    def answer(self) -> None:
        self._client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self._client.finish(may_stay=self._keeps_alive)

    def leave(self) -> None:
        self._upstream.leave()

    def abort(self, error: HTTPError) -> None:
        self._client.respond(error)

    def client_tunnel_data(self, data: bytes) -> None: ...

    def half_closed(self) -> bool:
        return False

    def abandon(self) -> None: ...

    def client_full(self, *, is_full: bool) -> None:
        del is_full


_TO = Forwarding(
    b"/path", [(b"x-swell-input", b"fc-1")], Origin(b"10.0.0.9", b"http", b"here:80"), frozenset(), close=False
)


class _Owner(Owner):
    def __init__(self) -> None:
        super().__init__(SETTINGS, PeerLog(logging.getLogger("fuzz")))
        self.recorders: list[_Recorder] = []
        self.to_be_answered = None

    def admit(self, client: Downstream) -> RequestSink:
        return _Recorder(self, client)

    def answer(self) -> bool:
        """Answer the request that is whole, if there is one."""
        answer, self.to_be_answered = self.to_be_answered, None
        if answer is not None:
            answer()
        return answer is not None


def _as_h11(headers: Headers) -> Headers:
    """Return headers as h11 tells them: it writes transfer codings in lower case."""
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]


def start_of(head: RequestHead) -> tuple[bytes, ...]:
    """Return what the first line and the host of a request come to."""
    return head.method, head.target, head.host


def read_by_gateway(pieces: list[bytes], *, is_prompt: bool) -> tuple[Reading, list[_Recorder]]:
    """Return what a connection of the gateway makes of pieces.

    Args:
        pieces: Come one after another, as long as the connection reads.
        is_prompt: Each request is answered before the next piece comes; else as late as can be.
    """
    loop, owner, wire = Loop(), _Owner(), Wire()
    connection = Downstream(owner, loop)
    connection.connection_made(cast("object", wire))  # pyright: ignore[reportArgumentType]
    for piece in pieces:
        while not wire.reads and owner.answer():
            loop.run()
        if not wire.reads:
            raise Disagreement("the gateway neither reads nor waits for an answer")
        connection.data_received(piece)
        loop.run()
        while is_prompt and owner.answer():
            loop.run()
    while owner.answer():
        loop.run()
    refused = re.search(rb"HTTP/1.1 ([345][0-9][0-9]) [^\0]*\r\n\r\n([^\0]*)", wire.written)
    error = b" ".join(refused.groups()).decode("latin-1") if refused else ""
    if error.startswith("500"):
        raise Disagreement(f"the gateway failed: {error}")
    reading = Reading([each.message for each in owner.recorders], error=error, is_over=wire.is_ended)
    connection.connection_lost(None)
    return reading, owner.recorders


def read_by_h11(pieces: list[bytes]) -> Reading:
    """Return what h11 makes of pieces, as a server that answers each request when it is whole."""
    server, reading = h11.Connection(h11.SERVER, max_incomplete_event_size=SETTINGS.web_head_max), Reading()
    try:
        for piece in pieces:
            server.receive_data(piece)
            while (event := server.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    headers: Headers = [(bytes(name), bytes(value)) for name, value in event.headers]
                    reading.messages.append(Message(_expected(event.method, event.target, headers), headers))
                elif isinstance(event, h11.Data):
                    reading.messages[-1].body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    reading.messages[-1].is_whole = True
                    server.send(h11.Response(status_code=400, headers=[("content-length", "0")]))
                    server.send(h11.EndOfMessage())
                    if server.our_state is not h11.DONE:
                        reading.is_over = True
                        return reading
                    server.start_next_cycle()
    except h11.RemoteProtocolError as error:
        reading.error, reading.is_over = str(error), True
    return reading


def _expected(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, ...]:
    """Return method, path and host of a request, as RFC 9112 tells them from its target and headers."""
    host = dict(headers).get(b"host", b"")
    whole = re.fullmatch(rb"https?://([^/?#]*)([^#]*)", target, re.IGNORECASE)
    if whole is None:
        return method, target, host
    path = whole[2] if whole[2].startswith(b"/") else b"/" + whole[2]
    return method, path, whole[1]


def compare_requests(seed: int) -> str:
    """Compare what is read of the requests of a seed; return a word for what came of it.

    Raises:
        Disagreement: something is read differently, or written differently from how it was read.
    """
    maker = Maker(seed)
    data = maker.requests()
    pieces = maker.cut(data)
    ours, recorders = read_by_gateway(pieces, is_prompt=maker.random.random() < 0.5)
    theirs = read_by_h11([data])
    for number, (mine, other) in enumerate(zip(ours.messages, theirs.messages, strict=False)):
        if not mine.agrees(other):
            raise Disagreement(f"message {number} is {mine} for the gateway, and {other} for h11")
        if other.is_whole and not mine.is_whole and not ours.is_over:
            raise Disagreement(f"message {number} is whole for h11, and the gateway waits for more: {mine}")
        if mine.is_whole and not other.is_whole:
            _excuse(theirs, f"message {number} is whole for the gateway only: {mine}")
    if len(ours.messages) < len(theirs.messages) and not ours.is_over:
        raise Disagreement(f"h11 has read {theirs.messages[len(ours.messages)]}, and the gateway waits for it")
    if len(ours.messages) > len(theirs.messages) and theirs.error:
        _excuse(theirs, f"only the gateway has read {ours.messages[len(theirs.messages)]}")
    for recorder in recorders:
        check_written(recorder)
    return "refused" if ours.error else "closed" if ours.is_over else "taken"


def _excuse(theirs: Reading, text: str) -> None:
    if theirs.error not in LENIENT:
        raise Disagreement(f"{text}; h11 says: {theirs.error or 'nothing'}")


def check_written(recorder: _Recorder) -> None:
    """Check that what was written to a container is the request that was read, and no byte more.

    Raises:
        Disagreement: it is not.
    """
    message, wire = recorder.message, recorder.wire
    written = read_by_h11([wire.written])
    if len(written.messages) != 1 or written.error:
        raise Disagreement(f"{wire.written!r} was written, which is not one request: {written.error}")
    got = written.messages[0]
    start = (message.start[0], _TO.path, message.start[2])
    if got.start != start or got.body != message.body or got.is_whole is not message.is_whole:
        raise Disagreement(f"{message} was read, and {got} written")
    names = [name for name, _ in got.headers]
    if names.count(b"content-length") + names.count(b"transfer-encoding") > 1 or names.count(b"x-swell-input") != 1:
        raise Disagreement(f"{got.headers} were written")
    recorder.leave()
    if not wire.is_broken:
        raise Disagreement("a connection is kept on which no answer was read")


# ---------------------------------------------------------------- answers


class _Sink:
    """Takes an answer."""

    def __init__(self) -> None:
        self.reading = Reading()

    def interim_response(self, head: ResponseHead) -> None:
        self.reading.interims.append(head.status)

    def response_head(self, head: ResponseHead) -> None:
        self.reading.messages.append(Message((b"%d" % head.status, head.reason), _as_h11(head.headers)))

    def response_body(self, data: bytes) -> None:
        self.reading.messages[0].body += data

    def response_complete(self) -> None:
        self.reading.messages[0].is_whole = True

    def tunnel_data(self, data: bytes) -> None:
        self.reading.messages[0].body += data

    def upstream_lost(self, *, in_order: bool, fault: str) -> None:
        if in_order:
            self.reading.messages[0].is_whole = True
        self.reading.is_over = True
        self.reading.error = fault

    def upstream_full(self, *, is_full: bool) -> None:
        del is_full


def answers_by_gateway(pieces: list[bytes], method: bytes) -> Reading:
    """Return what a connection to a container makes of pieces, after which that closes the connection."""
    pool, wire, sink = UpstreamPool(PeerLog(logging.getLogger("fuzz")), 1, node_timeout_s=5.0), Wire(), _Sink()
    upstream = Upstream(SiteAddress("site.sock"), pool)
    upstream.connection_made(cast("object", wire))  # pyright: ignore[reportArgumentType]
    upstream.begin(sink, RequestHead(method, b"/", "1.1", [(b"host", b"x")]), _TO)
    has_left = False
    for piece in pieces:
        if not wire.is_broken:
            upstream.data_received(piece)
        if not has_left and sink.reading.messages and sink.reading.messages[0].is_whole:
            has_left = True
            upstream.leave()
    sink.reading.is_reusable = pool.idle(SiteAddress("site.sock")) is upstream
    upstream.connection_lost(None)
    return sink.reading


def answers_by_h11(pieces: list[bytes], method: bytes) -> Reading:
    """Return what h11 makes of pieces, as a client that has asked once."""
    client, reading = h11.Connection(h11.CLIENT, max_incomplete_event_size=300_000), Reading()
    client.send(h11.Request(method=method, target=b"/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    try:
        for piece in [*pieces, b""]:
            client.receive_data(piece)
            while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.InformationalResponse):
                    reading.interims.append(event.status_code)
                elif isinstance(event, h11.Response):
                    headers: Headers = [(bytes(name), bytes(value)) for name, value in event.headers]
                    reading.messages.append(Message((b"%d" % event.status_code, bytes(event.reason)), headers))
                elif isinstance(event, h11.Data):
                    reading.messages[0].body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    reading.messages[0].is_whole = True
                    is_reusable = client.our_state is h11.DONE and client.their_state is h11.DONE
                    reading.is_reusable = is_reusable and not client.trailing_data[0]
                elif isinstance(event, h11.ConnectionClosed):
                    return reading
    except h11.RemoteProtocolError as error:
        reading.error = str(error)
    return reading


def compare_answers(seed: int) -> str:
    """Compare what is read of the answer of a seed; return a word for what came of it.

    Raises:
        Disagreement: something is read differently.
    """
    maker = Maker(seed)
    method = maker.random.choice([b"GET", b"GET", b"HEAD", b"POST"])
    data = maker.answers()
    ours, theirs = answers_by_gateway(maker.cut(data), method), answers_by_h11([data], method)
    for mine, other in zip(ours.messages, theirs.messages, strict=False):
        if not mine.agrees(other) or ours.interims[: len(theirs.interims)] != theirs.interims:
            raise Disagreement(f"{method!r}: {ours.interims} {mine} for the gateway, {theirs.interims} {other} for h11")
        if mine.is_whole and not other.is_whole:
            _excuse(theirs, f"{method!r}: whole for the gateway only: {mine}")
        # h11 takes a bare LF for the end of a line. An answer that ends with one is not over for the gateway.
        if other.is_whole and not mine.is_whole and not ours.error and not re.search(rb"(?<!\r)\n", data):
            raise Disagreement(f"{method!r}: whole for h11 only: {other}")
    if len(ours.messages) > len(theirs.messages):
        _excuse(theirs, f"{method!r}: only the gateway has read {ours.messages[0]}")
    if ours.is_reusable and not theirs.is_reusable:
        raise Disagreement(f"{method!r}: the gateway would send another request behind {ours.messages[0]}")
    return "refused" if ours.error else "kept" if ours.is_reusable else "closed"
