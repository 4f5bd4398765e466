"""Whom apps are told that a request is from: by a proxy that is trusted, and by nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.config import Settings
from swell.edge.gateway.head import Header, Origin, RequestHead, is_host
from swell.edge.gateway.proxies import Proxies
from swell.errors import InvalidError

TRUSTED = "127.0.0.0/8, ::1, 10.0.0.0/8"


def origin(*headers: Header, peer: str = "127.0.0.1", trusted: str = TRUSTED) -> Origin:
    return Proxies(trusted).origin(RequestHead(b"GET", b"/", "1.1", [(b"host", b"here:80"), *headers]), peer)


ALL = (
    (b"x-forwarded-for", b"1.2.3.4"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"shop.example"),
)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "10.9.9.9"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    assert origin(*ALL, peer=peer) == Origin(b"1.2.3.4", b"https", b"shop.example")


@pytest.mark.parametrize("peer", ["192.168.0.1", "2001:db8::1", "", "here"])
def test_what_others_say_is_replaced(peer: str) -> None:
    assert origin(*ALL, peer=peer) == Origin(peer.encode(), b"http", b"here:80")
    assert origin((b"forwarded", b"for=1.2.3.4;proto=https;host=there"), peer=peer).chain == peer.encode()


def test_nobody_is_trusted_if_the_setting_is_empty() -> None:
    assert origin(*ALL, trusted="") == Origin(b"127.0.0.1", b"http", b"here:80")


def test_who_connects_without_a_proxy_is_the_client() -> None:
    assert origin() == Origin(b"127.0.0.1", b"http", b"here:80")


@pytest.mark.parametrize(
    ("said", "chain"),
    [
        ([b"1.1.1.1, 2.2.2.2"], b"1.1.1.1, 2.2.2.2"),  # the first is a claim
        ([b"1.1.1.1, 2.2.2.2, 10.0.0.3"], b"1.1.1.1, 2.2.2.2"),  # a proxy of ours stands before the nearest
        ([b"6.6.6.6, 10.0.0.1", b"2.2.2.2", b"10.0.0.3, 127.0.0.1"], b"6.6.6.6, 10.0.0.1, 2.2.2.2"),
        ([b"10.0.0.1, 10.0.0.2"], b"10.0.0.1"),  # all of them: the farthest
        ([b"", b" , "], b"127.0.0.1"),
        ([b"2.2.2.2:4711"], b"2.2.2.2"),
        ([b"[2001:db8::1]:4711"], b"2001:db8::1"),
        ([b"2001:db8::1"], b"2001:db8::1"),
        ([b"<script>, 10.0.0.3"], b"unknown"),
    ],
)
def test_the_last_address_that_is_not_trusted_is_the_client(said: list[bytes], chain: bytes) -> None:
    assert origin(*((b"x-forwarded-for", value) for value in said)).chain == chain


@pytest.mark.parametrize(
    ("said", "proto"),
    [(b"https", b"https"), (b"HTTPS", b"https"), (b"wss", b"https"), (b"http, https", b"https"), (b"gopher", b"http")],
)
def test_the_nearest_proxy_tells_the_protocol(said: bytes, proto: bytes) -> None:
    assert origin((b"x-forwarded-proto", said)).proto == proto


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"a\\b", b"a@b:x"])
def test_a_host_that_is_none_is_not_told(host: bytes) -> None:
    assert origin((b"x-forwarded-host", host)).host == b"here:80"


def test_the_standard_header_says_the_same() -> None:
    said = b'for="[2001:db8::17]:47011";proto=https;host="shop.example:8443", For=10.0.0.3; by=203.0.113.43'
    assert origin((b"forwarded", said)) == Origin(b"2001:db8::17", b"https", b"shop.example:8443")
    assert origin((b"forwarded", b"for=_hidden"), (b"forwarded", b"for=1.1.1.1")).chain == b"unknown, 1.1.1.1"
    assert origin((b"forwarded", b"for=1.1.1.1, for=10.0.0.3;proto=https")).proto == b"https"


@pytest.mark.parametrize(
    "claims",
    [
        b'for=9.9.9.9;proto=https;host=evil;x="',  # a quote that is left open
        b"for=9.9.9.9;proto=https;host=evil",
        b"proto=https;host=evil",
    ],
)
def test_claims_of_the_client_are_not_what_its_proxy_notes(claims: bytes) -> None:
    found = origin((b"forwarded", claims + b", for=1.2.3.4"))
    assert found.chain.endswith(b", 1.2.3.4")
    assert (found.proto, found.host) == (b"http", b"here:80")


def test_a_zone_of_an_address_is_not_passed_on() -> None:
    assert origin((b"x-forwarded-for", b"fe80::1%<script>")).chain == b"unknown"
    assert origin((b"forwarded", b'for="[fe80::1%, 9.9.9.9]"')).chain == b"unknown, unknown"


def test_the_standard_header_is_not_read_beside_the_others() -> None:
    """A proxy that writes those passes it on as its client has sent it."""
    assert origin((b"x-forwarded-for", b"1.1.1.1"), (b"forwarded", b"for=6.6.6.6;proto=https;host=evil")) == Origin(
        b"1.1.1.1", b"http", b"here:80"
    )


NAMES = st.sampled_from([b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"])


@given(st.lists(st.tuples(NAMES, st.binary(max_size=60)), max_size=6))
def test_whatever_is_said_what_apps_are_told_fits_into_a_header(said: list[Header]) -> None:
    found = origin(*said)
    assert set(found.chain) <= set(b"0123456789abcdefunkow.:, ")
    assert found.chain
    assert found.proto in (b"http", b"https")
    assert is_host(found.host)


@pytest.mark.parametrize("text", ["here", "127.0.0.1/99", "10.0.0.1/8"])
def test_what_is_no_network_is_refused_where_settings_are_read(text: str) -> None:
    with pytest.raises(InvalidError, match="web_trusted_proxies"):
        Settings.load({"SWELL_WEB_TRUSTED_PROXIES": text}, file="/nonexistent")
