"""How a browser logs in: what a link spends, and which attributes its cookie has."""

from __future__ import annotations

import contextlib
from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.applications import Starlette

from swell.edge.admin.login import routes
from swell.edge.admin.sessions import Sessions


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def attributes(self) -> set[str]:
        return set(self.headers["set-cookie"].lower().split("; ")[1:])


def ask(sessions: Sessions, method: str, path: str, client: str = "127.0.0.1", **headers: str) -> Answer:
    """What the routes answer, by ASGI alone."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": (client, 5),
        "server": ("127.0.0.1", 8701),
        "scheme": "http",
    }
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    with contextlib.suppress(StopIteration):
        Starlette(routes=routes(sessions))(scope, receive, send).__await__().__next__()  # it waits for nothing
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


def test_only_the_button_of_the_page_spends_a_link() -> None:
    sessions = Sessions()
    path = f"/login?token={sessions.mint()}"
    for method in ("GET", "HEAD", "GET"):
        answer = ask(sessions, method, path)
        assert (answer.status, answer.headers.get("set-cookie")) == (200, None)
        assert answer.headers["cache-control"] == "no-store"
    answer = ask(sessions, "POST", path)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert {"httponly", "samesite=strict", "path=/"} < answer.attributes
    for method in ("GET", "HEAD", "POST"):
        answer = ask(sessions, method, path)
        assert (answer.status, answer.headers.get("set-cookie")) == (403, None)


def test_the_token_is_nowhere_in_the_page_and_no_script_is() -> None:
    sessions = Sessions()
    token = sessions.mint()
    page = ask(sessions, "GET", f"/login?token={token}")
    assert token.encode() not in page.body
    assert b"<script" not in page.body
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "client", "is_secure"),
    [
        ({}, "127.0.0.1", False),
        ({"origin": "http://localhost"}, "127.0.0.1", False),
        ({"origin": "https://dash.example"}, "10.0.0.7", True),
        ({"x_forwarded_proto": "https"}, "127.0.0.1", True),
        ({"x_forwarded_proto": "https"}, "::1", True),
        ({"x_forwarded_proto": "http, https"}, "127.0.0.1", True),
        ({"x_forwarded_proto": "https, http"}, "127.0.0.1", False),
        ({"x_forwarded_proto": "https"}, "10.0.0.7", False),
        ({"x_forwarded_proto": "https"}, "", False),
    ],
)
def test_under_tls_the_cookie_is_secure(headers: dict[str, str], client: str, is_secure: bool) -> None:
    sessions = Sessions()
    answer = ask(sessions, "POST", f"/login?token={sessions.mint()}", client, **headers)
    assert ("secure" in answer.attributes) is is_secure
    left = ask(sessions, "POST", "/logout", client, **headers)
    assert ("secure" in left.attributes) is is_secure
