"""Who may ask the admin surface: by host, by origin, by token or cookie."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from swell.edge.admin.auth import AuthMiddleware
from swell.edge.admin.sessions import Sessions
from swell.edge.session_cookie import SESSION_COOKIE

TOKEN = "the-token"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


def answer(
    sessions: Sessions, *, host: str = "127.0.0.1", path: str = "/api/v1/status", method: str = "GET", **also: Any
) -> int:
    """The status of the refusal; 200 if the middleware lets the request through."""
    headers: list[tuple[str, str]] = also.get("headers", [("host", "127.0.0.1:8701"), *BEARER.items()])
    scope = {
        "type": also.get("type", "http"),
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": also.get("client", ("127.0.0.1", 5)),
    }
    refusal = AuthMiddleware(PlainTextResponse("in"), host, TOKEN, sessions).refusal(scope)
    if refusal is None:
        return 200
    if refusal.media_type == "application/json":
        assert set(json.loads(refusal.body)["error"]) == {"code", "message"}
    return refusal.status_code


def addressed_to(sessions: Sessions, name: str, listening_at: str = "127.0.0.1") -> int:
    return answer(sessions, host=listening_at, headers=[("host", name), *BEARER.items()])


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1:8701", "127.0.0.1", "localhost:9999", "LocalHost", "[::1]:8701", "dash.localhost:8701", "127.1.2.3"],
)
def test_requests_to_this_machine_are_answered(sessions: Sessions, name: str) -> None:
    assert addressed_to(sessions, name) == 200


@pytest.mark.parametrize(
    "name",
    [
        "attacker.example:8701",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "10.0.0.7",
        "0.0.0.0",
        "",
        "localhost:",
        "localhost:port",
        "user@localhost",
        "localhost/path",
        "[::1",
        "localhost, attacker.example",
        "é.example",
    ],
)
def test_requests_to_other_hosts_are_not(sessions: Sessions, name: str) -> None:
    """Else a page could reach this port under a name of its own, that was made to lead here."""
    assert addressed_to(sessions, name) == 421


def test_a_request_has_one_host(sessions: Sessions) -> None:
    assert answer(sessions, headers=[*BEARER.items()]) == 421
    assert answer(sessions, headers=[("host", "localhost"), ("host", "localhost"), *BEARER.items()]) == 421


def test_a_surface_that_others_reach_answers_to_addresses_and_its_own_name(sessions: Sessions) -> None:
    for name in ("192.0.2.7:8701", "[2001:db8::1]", "127.0.0.1", "localhost", socket.gethostname()):
        assert addressed_to(sessions, name, listening_at="0.0.0.0") == 200
    assert addressed_to(sessions, "swell.example", listening_at="swell.example") == 200
    assert addressed_to(sessions, "attacker.example", listening_at="0.0.0.0") == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8701", 200),
        ("https://127.0.0.1:8701", 200),  # behind a proxy that speaks TLS
        ("http://127.0.0.1:8700", 403),  # a page of a web endpoint
        ("http://127.0.0.1", 403),
        ("http://localhost:8701", 403),
        ("https://attacker.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("http://", 403),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/status", "/login", "/assets/index.js", "/healthz"])
def test_pages_of_other_origins_get_nothing(sessions: Sessions, origin: str, status: int, path: str) -> None:
    headers = [("host", "127.0.0.1:8701"), *BEARER.items(), ("origin", origin)]
    assert answer(sessions, path=path, headers=headers) == status


@pytest.mark.parametrize(
    ("client", "forwarded", "status"),
    [
        ("127.0.0.1", "dash.example", 200),
        ("::1", "elsewhere.example, dash.example", 200),
        ("127.0.0.1", "dash.example, elsewhere.example", 403),
        ("127.0.0.1", "", 403),
        ("10.0.0.7", "dash.example", 403),
    ],
)
def test_a_proxy_on_this_machine_tells_which_host_a_page_is_of(
    sessions: Sessions, client: str, forwarded: str, status: int
) -> None:
    headers = [("host", "127.0.0.1:8701"), *BEARER.items(), ("origin", "https://dash.example")]
    headers.append(("x-forwarded-host", forwarded))
    assert answer(sessions, headers=headers, client=(client, 5)) == status


_TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.sampled_from(
        ["http://[", "http://[::1", "//[", "http://]", "http://localhost:x", "http://a@[", "localhost:²", "[::%]", ":"]
    ),
)
_NAMES = st.sampled_from(
    ["host", "origin", "cookie", "authorization", "accept", "sec-fetch-site", "x-forwarded-host", "x-forwarded-proto"]
)


@given(st.lists(st.tuples(_NAMES, _TEXTS), max_size=8), st.sampled_from([(), (("host", "localhost"),)]))
def test_no_header_is_a_defect(headers: list[tuple[str, str]], also: tuple[tuple[str, str], ...]) -> None:
    assert answer(Sessions(), headers=[*also, *headers]) in (401, 403, 421)


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer \xe9"]
)
def test_without_the_token_nothing_is_told(sessions: Sessions, shown: str | None) -> None:
    headers = [("host", "localhost")] + ([] if shown is None else [("authorization", shown)])
    for path in ("/api/v1/status", "/", "/metrics", "/live", "/nope", "/assets", "/healthz/", "//login", "/assetsx"):
        for method in ("GET", "POST", "OPTIONS"):
            assert answer(sessions, path=path, method=method, headers=headers) == 401


def test_what_is_open_is_open(sessions: Sessions) -> None:
    for path in ("/healthz", "/login", "/assets/index.js"):
        assert answer(sessions, path=path, headers=[("host", "localhost")]) == 200


def test_a_browser_is_told_how_to_log_in(sessions: Sessions) -> None:
    middleware = AuthMiddleware(PlainTextResponse("in"), "127.0.0.1", TOKEN, sessions)
    headers = [(b"host", b"localhost"), (b"accept", b"text/html,*/*")]
    refusal = middleware.refusal({"type": "http", "method": "GET", "path": "/", "headers": headers})
    assert refusal is not None
    assert refusal.status_code == 401
    assert b"swell dashboard" in refusal.body


def test_a_session_opens_what_the_token_opens(sessions: Sessions) -> None:
    cookie = sessions.login(sessions.mint())
    given = [("host", "localhost"), ("cookie", f"theme=dark; {SESSION_COOKIE}={cookie}")]
    assert answer(sessions, headers=given) == 200
    assert answer(sessions, method="PATCH", headers=[*given, ("origin", "http://localhost")]) == 200
    assert answer(sessions, type="websocket", headers=given) == 200
    wrong = [("host", "localhost"), ("cookie", f"{SESSION_COOKIE}={cookie}x")]
    assert answer(sessions, headers=wrong) == 401
    assert answer(sessions, headers=[("host", "localhost"), ("cookie", f"other={cookie}; \x01=;;")]) == 401


def test_a_cookie_that_a_page_of_another_port_sends_along_opens_nothing(sessions: Sessions) -> None:
    """Cookies know no ports: pages of web endpoints at the same host carry it, and images and scripts no Origin."""
    cookie = sessions.login(sessions.mint())
    given = [("host", "localhost"), ("cookie", f"{SESSION_COOKIE}={cookie}")]

    def sent(site: str, mode: str, method: str = "GET") -> int:
        headers = [*given, ("sec-fetch-site", site), ("sec-fetch-mode", mode)]
        return answer(sessions, method=method, headers=headers)

    assert sent("same-origin", "cors", "POST") == 200
    assert sent("none", "navigate") == 200
    assert sent("same-site", "navigate") == 200, "a link that somebody follows"
    assert sent("same-site", "no-cors") == 401
    assert sent("same-site", "navigate", "POST") == 401
    assert sent("cross-site", "websocket") == 401


@pytest.mark.parametrize("shown", ["Bearer", "Bearer ", "bearer  "])
def test_an_empty_token_opens_nothing(sessions: Sessions, shown: str) -> None:
    headers = [(b"host", b"127.0.0.1"), (b"authorization", shown.encode())]
    scope = {"type": "http", "method": "GET", "path": "/api/v1/status", "headers": headers}
    for token in ("", TOKEN):
        refusal = AuthMiddleware(PlainTextResponse("in"), "127.0.0.1", token, sessions).refusal(scope)
        assert refusal is not None
        assert refusal.status_code == 401
