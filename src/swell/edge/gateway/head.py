"""Heads of requests and answers: what is passed on of them, and how they are written anew.

A head is never passed on as it came: two parsers that understand the same bytes differently are how requests are
smuggled past a gateway. This module must not know connections, labels or limits.
"""

from __future__ import annotations

from typing import Final

from swell.edge.gateway.refusal import Refusal
from swell.edge.session_cookie import SESSION_COOKIE

__all__ = ["Header", "RequestHead", "ResponseHead", "response_bytes"]

Header = tuple[bytes, bytes]

#: What concerns one connection only, and so is not passed on (RFC 9110, section 7.6.1).
_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
#: What Connection cannot take away, whatever it names: without these, a body would be read as the next request.
_KEPT: Final = frozenset((b"content-length", b"host"))
_FORWARDED: Final = frozenset((b"x-forwarded-for", b"x-forwarded-proto"))
#: The cookie by which somebody is logged in to the dashboard. Browsers send it to every port of a host, and it is not
#: the business of an app.
_SESSION: Final = SESSION_COOKIE.encode() + b"="
_OURS: Final = b"x-swell-"  #: what edge and containers say to each other
_BODYLESS: Final = frozenset((204, 304))

_REASONS: Final = {
    100: b"Continue",
    101: b"Switching Protocols",
    200: b"OK",
    303: b"See Other",
    307: b"Temporary Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


class RequestHead:
    """The head of a request as it was parsed.

    Raises:
        Refusal: it is one that nobody should serve.
    """

    __slots__ = ("_named", "headers", "host", "is_chunked", "length", "method", "target", "version", "wants_websocket")

    def __init__(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> None:
        self.method = method
        self.version = version
        self.headers = headers
        self.length: int | None = None
        self.is_chunked = False
        self._named: set[bytes] = set()  #: by Connection: for this hop only
        hosts: list[bytes] = []
        upgrade = b""
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                self.length = int(value)  # one at most, of digits: the parser sees to that
            elif name == b"transfer-encoding":
                self.is_chunked = True
                if value.strip().lower() != b"chunked":
                    raise Refusal(501, f"transfer coding {value.decode('latin-1')!r} is not understood here")
            elif name == b"connection":
                self._named.update({part.strip().lower() for part in value.split(b",")} - _KEPT)
            elif name == b"upgrade":
                upgrade = value.strip().lower()
        if version not in ("1.0", "1.1"):
            raise Refusal(505, f"HTTP {version} is not spoken here")
        if self.is_chunked and version == "1.0":
            raise Refusal(400, "HTTP/1.0 has no transfer codings")
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            raise Refusal(400, f"a request names one host, and this one {len(hosts)}")
        if method == b"CONNECT":
            raise Refusal(405, "this is no proxy for CONNECT")
        self.target, self.host = _split(target, hosts[0] if hosts else b"")
        asks_to_switch = upgrade == b"websocket" and b"upgrade" in self._named
        self.wants_websocket = asks_to_switch and method == b"GET" and version == "1.1"
        if self.wants_websocket and self.has_body:
            raise Refusal(400, "a request for a WebSocket has no body")

    @property
    def keeps_alive(self) -> bool:
        """True if the client would send another request on the same connection.

        Not after it asked for a WebSocket and got none: who knows in which protocol it goes on.
        """
        if self.wants_websocket:
            return False
        return b"close" not in self._named if self.version == "1.1" else b"keep-alive" in self._named

    @property
    def has_body(self) -> bool:
        """True if something follows the head."""
        return self.is_chunked or bool(self.length)

    @property
    def waits_to_be_asked(self) -> bool:
        """True if the client sends the body only when the app has said that it wants it."""
        return self.version == "1.1" and (self.first(b"expect") or b"").lower() == b"100-continue"

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a header, by its name in lower case."""
        return next((value for known, value in self.headers if known == name), None)

    def written(self, path: bytes, extra: list[Header], *, client: str, drop: frozenset[bytes], close: bool) -> bytes:
        """Return the head as the container is to get it.

        Args:
            path: What to ask for there, query included.
            extra: Headers of ours.
            client: Address of who asks.
            drop: Names of headers that are not the container's business.
            close: Whether the connection ends after the answer.
        """
        lines = [b"%b %b HTTP/1.1" % (self.method, path)]
        forwarded_for = client.encode()
        for name, value in self.headers:
            if name in _HOP or name in self._named or name in drop or name.startswith(_OURS):
                continue
            if name == b"cookie" and _SESSION in value:
                kept = b"; ".join(part for part in map(bytes.strip, value.split(b";")) if not part.startswith(_SESSION))
                if kept:
                    lines.append(b"cookie: " + kept)
                continue
            if name in _FORWARDED:
                if name == b"x-forwarded-for":
                    forwarded_for = b"%b, %b" % (value, forwarded_for)
                continue
            lines.append(b"%b: %b" % (name, value))
        lines.append(b"x-forwarded-for: %b" % forwarded_for)
        lines.append(b"x-forwarded-proto: http")
        lines.extend(b"%b: %b" % header for header in extra)
        if self.is_chunked:
            lines.append(b"transfer-encoding: chunked")
        if self.wants_websocket:
            lines += (b"connection: upgrade", b"upgrade: websocket")
        elif close:
            lines.append(b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"


def _split(target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Return path and host of a target, which may be a whole URL."""
    if target.startswith(b"/") or target == b"*":
        return target, host
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise Refusal(400, "the target of a request must be a path, or a URL of http")
    end = min((at for mark in (b"/", b"?") if (at := rest.find(mark)) >= 0), default=len(rest))
    path = rest[end:]
    return path if path.startswith(b"/") else b"/" + path, rest[:end]


class ResponseHead:
    """The head of an answer as it was parsed."""

    __slots__ = ("_named", "headers", "is_chunked", "length", "reason", "status")

    def __init__(self, status: int, reason: bytes, headers: list[Header]) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.length: int | None = None
        self.is_chunked = False
        self._named: set[bytes] = set()
        for name, value in headers:
            if name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                self.is_chunked = True
            elif name == b"connection":
                self._named.update({part.strip().lower() for part in value.split(b",")} - _KEPT)

    def has_body(self, method: bytes) -> bool:
        """True if something follows the head of an answer to this method."""
        return method != b"HEAD" and self.status not in _BODYLESS

    def written(self, request: RequestHead, *, chunked: bool, close: bool) -> bytes:
        """Return the head as the client is to get it."""
        named = self._named
        lines = [b"HTTP/1.1 %d %b" % (self.status, self.reason)]
        lines.extend(b"%b: %b" % header for header in self.headers if header[0] not in _HOP and header[0] not in named)
        if self.status == 101:
            lines += (b"connection: upgrade", b"upgrade: websocket")
        elif chunked:
            lines.append(b"transfer-encoding: chunked")
        if close:
            lines.append(b"connection: close")
        elif request.version == "1.0":
            lines.append(b"connection: keep-alive")
        return b"\r\n".join(lines) + b"\r\n\r\n"


def response_bytes(
    status: int, text: str, headers: list[Header] | None = None, *, close: bool, is_head: bool = False
) -> bytes:
    """Return a whole answer of the edge's own, in plain text."""
    body = f"{text}\n".encode() if text else b""
    lines = [
        b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"")),
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(body),
        b"cache-control: no-store",
        *(b"%b: %b" % header for header in headers or ()),
    ]
    if close:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if is_head else body)
