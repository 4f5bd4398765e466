"""Authentication and origin checks, in front of all routes of the admin surface.

A page of any other site can send requests here from the browser of its visitor. So a request must be addressed to a
name of this machine (a name of the attacker's could be made to lead here), must not come from a page of another origin,
and must show the token, or the cookie of a session. This module must not know routes.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from swell.edge.admin.failures import refused
from swell.edge.admin.forwarding import forwarded_host
from swell.edge.admin.login import how_to_log_in
from swell.edge.admin.sessions import Sessions
from swell.edge.session_cookie import SESSION_COOKIE

__all__ = ["OPEN", "AuthMiddleware"]

#: Paths that need no token.
OPEN: Final = frozenset({"/healthz", "/login"})
OPEN_BELOW: Final = "/assets/"

_SAFE: Final = frozenset({"GET", "HEAD"})


class AuthMiddleware:
    """Passes on requests that are allowed, and answers the others.

    Args:
        app: The app behind it.
        host: Address that is listened at.
        token: The admin token.
        sessions: Browsers that are logged in.
    """

    def __init__(self, app: ASGIApp, host: str, token: str, sessions: Sessions) -> None:
        self._app = app
        self._names = _Names(host)
        self._token = token.encode()
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self.refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def refusal(self, scope: Scope) -> Response | None:
        """Return the answer that refuses a request, None if the request is allowed."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.include(hosts[0]):
            return refused(
                421,
                "MisdirectedRequest",
                f"this server does not answer for the host {', '.join(hosts)!r:.200}; use 127.0.0.1 or localhost",
            )
        origin = headers.get("origin")
        if origin is not None and not _is_of(origin, {hosts[0], forwarded_host(scope)}):
            return refused(403, "PermissionDeniedError", f"requests from pages of {origin!r:.200} are not answered")
        if scope["path"] in OPEN or scope["path"].startswith(OPEN_BELOW):
            return None
        if self._has_token(headers) or self._is_logged_in(scope, headers):
            return None
        if scope["type"] == "http" and scope["method"] in _SAFE and "text/html" in headers.get("accept", ""):
            return how_to_log_in()
        return refused(
            401,
            "AuthError",
            "this needs the header `Authorization: Bearer <token>`; `swell status` says which file holds the token",
            {"www-authenticate": 'Bearer realm="swell"'},
        )

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        # An empty token, as a full disk may leave it, is never valid.
        return scheme.lower() == "bearer" and bool(self._token) and compare_digest(shown.strip().encode(), self._token)

    def _is_logged_in(self, scope: Scope, headers: Headers) -> bool:
        cookie = cookie_parser("; ".join(headers.getlist("cookie"))).get(SESSION_COOKIE)
        if cookie is None or not self._sessions.knows(cookie):
            return False
        # A cookie knows no port: pages of web endpoints at the same host send it along, too.
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return scope["type"] == "http" and scope["method"] in _SAFE and headers.get("sec-fetch-mode") == "navigate"
        return True


def _is_of(origin: str, hosts: Collection[str]) -> bool:
    """Return whether an Origin is that of one of these hosts. Texts are compared, so that nothing has to be parsed."""
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and bool(host) and host in hosts


class _Names:
    """The hosts that a request may be addressed to.

    Args:
        host: Address that is listened at.
    """

    def __init__(self, host: str) -> None:
        self._is_loopback = _is_loopback(host)
        self._names = {"localhost", host.lower()}
        if not self._is_loopback:
            self._names.add(socket.gethostname().lower())

    def include(self, netloc: str) -> bool:
        """Return whether the value of a Host header is one of them; any port will do, as it may be forwarded."""
        try:
            parts = urlsplit(f"//{netloc}")
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.netloc != netloc or "@" in netloc or (port is None and netloc.endswith(":")):
            return False
        if name in self._names or name.endswith(".localhost"):
            return True
        # An address cannot be made to lead elsewhere, as a name can.
        return _is_loopback(name) if self._is_loopback else _is_address(name)


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
