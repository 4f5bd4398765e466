"""How a browser logs in: a link with a token that works once, in exchange for a cookie.

This module must not know what is behind the login.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from swell.edge.admin.sessions import SESSION_S, Sessions
from swell.edge.session_cookie import SESSION_COOKIE

__all__ = ["how_to_log_in", "routes"]

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>swell</title>
<meta name="color-scheme" content="light dark">
<body style="font:16px/1.5 system-ui;max-width:32em;margin:15vh auto;padding:0 1em">
<h1>swell</h1><p>%s</p></body></html>
"""
_HINT: Final = """Type <code>swell dashboard</code> in a terminal of whoever runs the server: it opens this page, logged
in."""


def how_to_log_in(status: int = 401, why: str = "") -> Response:
    """Return the page for who is not logged in."""
    headers = {"cache-control": "no-store", "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(_PAGE % f"{why} {_HINT}".strip(), status, headers, "text/html")


def routes(sessions: Sessions) -> list[Route]:
    """Return the routes by which browsers log in and out."""

    async def login(request: Request) -> Response:
        cookie = sessions.login(request.query_params.get("token", ""))
        if cookie is None:
            return how_to_log_in(403, "This link has been used, or is older than ten minutes.")
        answer = RedirectResponse("/", 303, {"cache-control": "no-store"})
        answer.set_cookie(SESSION_COOKIE, cookie, max_age=int(SESSION_S), path="/", httponly=True, samesite="strict")
        return answer

    async def logout(request: Request) -> Response:
        sessions.logout(request.cookies.get(SESSION_COOKIE, ""))
        answer = RedirectResponse("/login", 303, {"cache-control": "no-store"})
        answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return [Route("/login", login, methods=["GET"]), Route("/logout", logout, methods=["POST"])]
