"""How a browser logs in: a link with a single-use token leads to a page, and its button exchanges it for a cookie.

More than the browser fetches a link: previews of chats and mails, scanners, browsers that prefetch. They send GET and
HEAD, so these change nothing; only the POST of the page's button spends the token. The page has no script, which a
preview might run. This module must not know what is behind the login.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from swell.edge.admin.forwarding import is_over_tls
from swell.edge.admin.sessions import SESSION_S, Sessions
from swell.edge.session_cookie import SESSION_COOKIE

__all__ = ["how_to_log_in", "routes"]

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>swell</title>
<meta name="color-scheme" content="light dark">
<body style="font:16px/1.5 system-ui;max-width:32em;margin:15vh auto;padding:0 1em">
<h1>swell</h1>%s</body></html>
"""
_HINT: Final = "Type <code>swell dashboard</code> in a terminal on the server's machine: it prints a link that logs in."
_USED: Final = "This link has been used, or is older than ten minutes."
#: Without an action, a form is sent to the address of its page, so the token is nowhere in the page.
_FORM: Final = """<p>This link logs in one browser, once.</p>
<form method="post"><button autofocus style="font:inherit;padding:.3em 1.2em">Log in</button></form>"""

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}


def how_to_log_in(status: int = 401, why: str = "") -> Response:
    """Return the page for a browser that is not logged in."""
    return HTMLResponse(_PAGE % f"<p>{why} {_HINT}</p>".replace("<p> ", "<p>"), status, _HEADERS)


def routes(sessions: Sessions) -> list[Route]:
    """Return the routes by which browsers log in and out."""

    async def show(request: Request) -> Response:
        if not sessions.is_unspent(request.query_params.get("token", "")):
            return how_to_log_in(403, _USED)
        return HTMLResponse(_PAGE % _FORM, headers=_HEADERS)

    async def login(request: Request) -> Response:
        cookie = sessions.login(request.query_params.get("token", ""))
        if cookie is None:
            return how_to_log_in(403, _USED)
        answer = RedirectResponse("/", 303, {"cache-control": "no-store"})
        answer.set_cookie(
            SESSION_COOKIE,
            cookie,
            max_age=int(SESSION_S),
            path="/",
            secure=is_over_tls(request.scope),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def logout(request: Request) -> Response:
        sessions.logout(request.cookies.get(SESSION_COOKIE, ""))
        answer = RedirectResponse("/login", 303, {"cache-control": "no-store"})
        answer.delete_cookie(
            SESSION_COOKIE, path="/", secure=is_over_tls(request.scope), httponly=True, samesite="strict"
        )
        return answer

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]
