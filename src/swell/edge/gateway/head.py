"""Heads of requests and responses: what is passed on of them, and how they are written anew.

A head is never passed on as it came: two parsers that understand the same bytes differently are how requests are
smuggled past a gateway. What announces the body (`length`, `is_chunked`) and what names the host are read once, and
written from what was read, never copied. This module must not know connections, labels or limits.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from swell.edge.gateway.http_error import BadMessage, HTTPError
from swell.edge.session_cookie import SESSION_COOKIE

__all__ = ["Forwarding", "Header", "Origin", "RequestHead", "ResponseHead", "is_host", "response_bytes"]

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
#: Fields that are not copied from a request: the gateway writes them from what it has parsed, or drops them, as a
#: client can claim anything in them.
_REWRITTEN: Final = _HOP | {b"content-length", b"host", b"forwarded", b"x-real-ip"}
_HOP_OR_LENGTH: Final = _HOP | {b"content-length"}
#: The cookie of a session of the dashboard. Browsers send it to every port of a host, and no app may see it.
_SESSION: Final = SESSION_COOKIE.encode() + b"="
#: Prefixes of names: what edge and containers tell each other, and what proxies claim of a client.
_CLAIMS: Final = (b"x-swell-", b"x-forwarded-")
_BODYLESS: Final = frozenset((204, 304))
_LENGTH_DIGITS_MAX: Final = 18  #: so that a length fits a signed 64-bit integer, whatever the digits
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")

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


class Origin(NamedTuple):
    """Whom a request is from, as the app is told."""

    chain: bytes  #: addresses; the last one is the client's, those before it are claims of the client
    proto: bytes  #: "http" or "https"
    host: bytes  #: that the client has asked


class Forwarding(NamedTuple):
    """How a request is sent to a container."""

    path: bytes  #: what to ask for there, query included
    extra: list[Header]  #: headers that the gateway adds
    origin: Origin
    drop: frozenset[bytes]  #: names of headers that the container must not get
    close: bool  #: whether the connection ends after the response


class RequestHead:
    """The head of a request as it was parsed.

    Args:
        method: In the letters in which it came.
        target: As it came: a path, "*", or a URL.
        version: Of HTTP, as "1.1".
        headers: Names in lower case.

    Raises:
        HTTPError: a request like this is not served.
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
        codings: list[bytes] = []
        upgrade = b""
        for name, value in headers:
            if name == b"host":
                hosts.append(value.strip())
            elif name == b"content-length":
                if self.length is not None:
                    raise HTTPError(400, "a request may have one Content-Length, got several")
                self.length = _length(value)
                if self.length is None:
                    raise HTTPError(400, f"Content-Length must be a number of 1 to 18 digits, got {_shown(value)}")
            elif name == b"transfer-encoding":
                codings.append(value.strip().lower())
            elif name == b"connection":
                self._named.update({part.strip().lower() for part in value.split(b",")} - _KEPT)
            elif name == b"upgrade":
                upgrade = value.strip().lower()
        if version not in ("1.0", "1.1"):
            raise HTTPError(505, f"HTTP {version} is not spoken here")
        if codings:
            self._check_codings(codings)
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            raise HTTPError(400, f"a request names one host, and this one {len(hosts)}")
        if method == b"CONNECT":
            raise HTTPError(405, "this is no proxy for CONNECT")
        self.target, self.host = _split(target, hosts[0] if hosts else b"")
        # An offer to upgrade may be ignored (RFC 9110, section 7.8). One that comes with a body is: the body belongs to
        # HTTP, and is passed on with the request. Java's client and `curl --http2` offer HTTP/2 like that.
        asks_to_switch = upgrade == b"websocket" and b"upgrade" in self._named
        self.wants_websocket = asks_to_switch and method == b"GET" and version == "1.1" and not self.has_body

    def _check_codings(self, codings: list[bytes]) -> None:
        if codings != [b"chunked"]:
            raise HTTPError(501, f"the transfer coding must be chunked, once, got {_shown(b', '.join(codings))}")
        if self.version == "1.0":
            raise HTTPError(400, "HTTP/1.0 has no transfer codings")
        if self.length is not None:
            raise HTTPError(400, "a request may have a Content-Length or a Transfer-Encoding, got both")
        self.is_chunked = True

    @property
    def keeps_alive(self) -> bool:
        """True if the client would send another request on the same connection.

        Not after it asked for a WebSocket and got none: who knows in which protocol it goes on.
        """
        if self.wants_websocket:
            return False
        return b"close" not in self._named and (self.version == "1.1" or b"keep-alive" in self._named)

    @property
    def has_body(self) -> bool:
        """True if a body follows the head."""
        return self.is_chunked or bool(self.length)

    @property
    def waits_to_be_asked(self) -> bool:
        """True if the client sends the body only after the app has asked for it (100 Continue)."""
        return self.version == "1.1" and (self.first(b"expect") or b"").lower() == b"100-continue"

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a header, by its name in lower case."""
        return next((value for known, value in self.headers if known == name), None)

    def written(self, to: Forwarding) -> bytes:
        """Return the head as it is sent to the container."""
        origin = to.origin
        lines = [b"%b %b HTTP/1.1" % (self.method, to.path), b"host: " + origin.host]
        named, drop = self._named, to.drop
        for name, value in self.headers:
            if name in _REWRITTEN or name in named or name in drop:
                continue
            if name.startswith(_CLAIMS) or (b"_" in name and _is_claim(name)):
                continue
            elif name == b"cookie" and _SESSION in value:
                kept = b"; ".join(part for part in map(bytes.strip, value.split(b";")) if not part.startswith(_SESSION))
                if kept:
                    lines.append(b"cookie: " + kept)
            else:
                lines.append(name + b": " + value)
        lines += (b"x-forwarded-for: " + origin.chain, b"x-forwarded-proto: " + origin.proto)
        for name, value in to.extra:
            lines.append(name + b": " + value)
        if self.is_chunked:
            lines.append(b"transfer-encoding: chunked")
        elif self.length is not None:
            lines.append(b"content-length: %d" % self.length)
        if self.wants_websocket:
            lines += (b"connection: upgrade", b"upgrade: websocket")
        elif to.close:
            lines.append(b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"


def is_host(host: bytes) -> bool:
    """Tell whether that may be the host of a request."""
    return _HOST.fullmatch(host) is not None


def _is_claim(name: bytes) -> bool:
    """True if a name with underscores means one of those that only the edge may use.

    Under WSGI and CGI, X_Swell_Input and X-Swell-Input are one variable.
    """
    meant = name.replace(b"_", b"-")
    return meant in _REWRITTEN or meant.startswith(_CLAIMS)


def _length(value: bytes) -> int | None:
    """Return the length that a header announces; None if it is not one number, in digits."""
    return int(value) if value.isdigit() and len(value) <= _LENGTH_DIGITS_MAX else None


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("latin-1"))


def _split(target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Return path and host of a target. One that is a whole URL names the host (RFC 9112, section 3.2.2)."""
    if not target.startswith(b"/") and target != b"*":
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise HTTPError(400, "the target of a request must be a path, or a URL of http")
        end = min((at for mark in (b"/", b"?") if (at := rest.find(mark)) >= 0), default=len(rest))
        host, path = rest[:end], rest[end:]
        target = path if path.startswith(b"/") else b"/" + path
        if not host:
            raise HTTPError(400, "the target of the request is a URL that names no host")
    if not is_host(host):
        raise HTTPError(400, f"{_shown(host)} is not a valid host")
    return target, host


class ResponseHead:
    """The head of a response as it was parsed.

    Args:
        status: Of HTTP.
        reason: Its text.
        headers: Names in lower case.
        version: Of HTTP.

    Raises:
        BadMessage: where the response ends cannot be known from it.
    """

    __slots__ = ("_named", "headers", "is_chunked", "length", "reason", "status", "version")

    def __init__(self, status: int, reason: bytes, headers: list[Header], version: str = "1.1") -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.version = version
        self.length: int | None = None
        self.is_chunked = False
        self._named: set[bytes] = set()
        for name, value in headers:
            if name == b"content-length":
                if self.length is not None:
                    raise BadMessage("the answer has several Content-Lengths")
                self.length = _length(value)
                if self.length is None:
                    raise BadMessage(f"the Content-Length must be a number of 1 to 18 digits, got {_shown(value)}")
            elif name == b"transfer-encoding":
                if self.is_chunked or value.strip().lower() != b"chunked" or version == "1.0":
                    raise BadMessage(f"the transfer coding must be chunked, once, in HTTP/1.1, got {_shown(value)}")
                self.is_chunked = True
            elif name == b"connection":
                self._named.update({part.strip().lower() for part in value.split(b",")} - _KEPT)
        if self.is_chunked and self.length is not None:
            raise BadMessage("the answer has both a Content-Length and a Transfer-Encoding")

    @property
    def is_interim(self) -> bool:
        """True if it comes before the response proper: 100, 103."""
        return 100 <= self.status < 200 and self.status != 101

    @property
    def keeps_alive(self) -> bool:
        """True if the sender would take another request on the same connection. HTTP/1.0 is not relied on for that."""
        return b"close" not in self._named and self.version == "1.1"

    def has_body(self, method: bytes) -> bool:
        """True if a body follows the head of a response to this method."""
        return method != b"HEAD" and self.status >= 200 and self.status not in _BODYLESS

    def written(self, request: RequestHead, *, chunked: bool, close: bool) -> bytes:
        """Return the head as it is sent to the client."""
        named = self._named
        lines = [b"HTTP/1.1 %d %b" % (self.status, self.reason)]
        for name, value in self.headers:
            if name not in _HOP_OR_LENGTH and name not in named:
                lines.append(name + b": " + value)
        if self.status == 101:
            lines += (b"connection: upgrade", b"upgrade: websocket")
        elif chunked:
            lines.append(b"transfer-encoding: chunked")
        elif self.length is not None and self.status >= 200 and self.status != 204:
            lines.append(b"content-length: %d" % self.length)
        if close:
            lines.append(b"connection: close")
        elif request.version == "1.0":
            lines.append(b"connection: keep-alive")
        return b"\r\n".join(lines) + b"\r\n\r\n"


def response_bytes(
    status: int, text: str, headers: list[Header] | None = None, *, close: bool, is_head: bool = False
) -> bytes:
    """Return a whole response of the edge's own, in plain text."""
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
