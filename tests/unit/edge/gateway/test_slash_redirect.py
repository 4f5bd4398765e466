"""Who is sent to the URL with a slash at its end, and who is answered where they ask."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from swell.edge.gateway.head import Header, RequestHead
from swell.edge.gateway.routing import Router
from swell.edge.gateway.slash_redirect import slash_redirect
from swell.model import WebSpec
from swell.wire.web import Route

PAGE: Header = (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")
ANYTHING: Header = (b"accept", b"*/*")


def location(target: bytes, *headers: Header, method: bytes = b"GET", kind: str = "asgi") -> str | None:
    """Where a request is sent to; None if it is answered where it asks."""
    router = Router()
    web = WebSpec(kind, label="shop")
    router.learn([Route("shop", "fu-1", "", web, "ap-1", "app", "site", timeout_s=300.0)])
    head = RequestHead(method, target, "1.1", [(b"host", b"example:8700"), *headers])
    match = router.find(head.host, head.target)
    assert match is not None
    found = slash_redirect(head, match)
    if found is None:
        return None
    assert found.status == 307
    return dict(found.headers)[b"location"].decode()


@pytest.mark.parametrize("kind", ["asgi", "wsgi", "server"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_who_asks_for_a_page_of_a_site_is_sent_to_its_front(kind: str, method: bytes) -> None:
    assert location(b"/shop", PAGE, method=method, kind=kind) == "shop/"
    assert location(b"/shop", method=method, kind=kind) == "shop/"


def test_the_query_goes_along_and_cannot_lead_elsewhere() -> None:
    found = location(b"/shop?size=1&x=//evil\\#y", PAGE)
    assert found == "shop/?size=1&x=//evil%5C%23y"
    assert urljoin("http://example:8700/shop?size=1", found).startswith("http://example:8700/shop/?size=1&")
    assert urljoin("https://proxy.example/before/shop", found).startswith("https://proxy.example/before/shop/?")


@pytest.mark.parametrize("target", [b"/shop/", b"/shop/page", b"/shop//", b"/shop/?a=/shop"])
def test_who_is_there_already_stays(target: bytes) -> None:
    assert location(target, PAGE) is None


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"OPTIONS", b"DELETE"])
def test_other_methods_are_answered_in_place(method: bytes) -> None:
    assert location(b"/shop", PAGE, method=method) is None


def test_who_wants_no_page_is_answered_in_place() -> None:
    upgrade = [(b"connection", b"upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
    assert location(b"/shop", ANYTHING) is None
    assert location(b"/shop", (b"accept", b"application/json")) is None
    assert location(b"/shop", PAGE, *upgrade) is None


def test_an_endpoint_is_answered_in_place() -> None:
    assert location(b"/shop", PAGE, kind="endpoint") is None


def test_at_a_host_of_its_own_a_site_needs_no_slash() -> None:
    router = Router()
    router.learn([Route("shop", "fu-1", "", WebSpec("asgi"), "ap-1", "app", "site", timeout_s=300.0)])
    head = RequestHead(b"GET", b"/shop", "1.1", [(b"host", b"shop.localhost:8700"), PAGE])
    match = router.find(head.host, head.target)
    assert match is not None
    assert slash_redirect(head, match) is None
