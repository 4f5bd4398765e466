"""Heads as they are understood, and as they are written anew."""

from __future__ import annotations

import contextlib

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.edge.gateway.head import Forwarding, Header, Origin, RequestHead, ResponseHead, response_bytes
from swell.edge.gateway.http_error import BadMessage, HTTPError

NOTHING: frozenset[bytes] = frozenset()


class Heard:
    """What a strict parser of HTTP makes of bytes."""

    def __init__(self) -> None:
        self.headers: list[Header] = []
        self.url = b""
        self.count = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.count += 1

    def all(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]


def parsed(data: bytes) -> Heard:
    heard = Heard()
    with contextlib.suppress(httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(heard).feed_data(data)
    assert heard.count == 1
    return heard


def head(*headers: Header, method: bytes = b"GET", target: bytes = b"/", version: str = "1.1") -> RequestHead:
    return RequestHead(method, target, version, [(b"host", b"here:80"), *headers])


def written(request: RequestHead, *extra: Header, drop: frozenset[bytes] = NOTHING, close: bool = False) -> Heard:
    return parsed(request.written(Forwarding(request.target, list(extra), origin(request), drop, close)))


def origin(request: RequestHead) -> Origin:
    """Of a client that has connected itself."""
    return Origin(b"10.0.0.9", b"http", request.host)


def test_what_is_for_the_app_is_passed_on_in_order_and_as_often_as_it_came() -> None:
    heard = written(head((b"cookie", b"a=1"), (b"x", b"\xff"), (b"cookie", b"b=2"), (b"accept", b"")))
    assert heard.headers[:5] == [
        (b"host", b"here:80"),
        (b"cookie", b"a=1"),
        (b"x", b"\xff"),
        (b"cookie", b"b=2"),
        (b"accept", b""),
    ]


def test_what_concerns_one_connection_is_not_passed_on() -> None:
    names = (b"keep-alive", b"te", b"trailer", b"proxy-authorization", b"proxy-connection", b"upgrade", b"x-mine")
    heard = written(head((b"connection", b"X-Mine, keep-alive ,"), *((name, b"1") for name in names)))
    assert {name for name, _ in heard.headers} == {b"host", b"x-forwarded-for", b"x-forwarded-proto"}


def test_what_only_a_proxy_could_know_is_not_believed() -> None:
    names = (b"forwarded", b"x-real-ip", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix")
    heard = written(head(*((name, b"there") for name in names)))
    assert {name for name, _ in heard.headers} == {b"host", b"x-forwarded-for", b"x-forwarded-proto"}


def test_a_name_with_underscores_is_no_way_around() -> None:
    """Under WSGI, both are the same variable."""
    names = (
        b"x_forwarded_for",
        b"x-forwarded_proto",
        b"x_swell_input",
        b"content_length",
        b"transfer_encoding",
        b"a_b",
    )
    heard = written(head(*((name, b"1") for name in names)))
    assert [name for name, _ in heard.headers if b"_" in name] == [b"a_b"]
    assert heard.all(b"x-forwarded-for") == [b"10.0.0.9"]


def test_what_edge_and_container_say_to_each_other_comes_from_the_edge_alone() -> None:
    heard = written(head((b"x-swell-input", b"forged"), (b"x-swell-new", b"1")), (b"x-swell-input", b"fc-1"))
    assert heard.all(b"x-swell-input") == [b"fc-1"]
    assert heard.all(b"x-swell-new") == []


def test_who_asked_is_told_and_not_what_it_claims() -> None:
    heard = written(head((b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-proto", b"https")))
    assert heard.all(b"x-forwarded-for") == [b"10.0.0.9"]
    assert heard.all(b"x-forwarded-proto") == [b"http"]


def test_what_is_found_of_the_origin_is_told_in_place_of_all_claims() -> None:
    request = head((b"x-forwarded-for", b"1.1.1.1"), (b"forwarded", b"for=1.1.1.1"), (b"x-forwarded-host", b"there"))
    told = Origin(b"2.2.2.2", b"https", b"shop.example")
    heard = parsed(request.written(Forwarding(b"/", [], told, NOTHING, close=False)))
    assert heard.headers == [
        (b"host", b"shop.example"),
        (b"x-forwarded-for", b"2.2.2.2"),
        (b"x-forwarded-proto", b"https"),
    ]


def test_tokens_are_dropped() -> None:
    heard = written(head((b"authorization", b"a"), (b"swell-key", b"k")), drop=frozenset((b"swell-key",)))
    assert (heard.all(b"authorization"), heard.all(b"swell-key")) == ([b"a"], [])


def test_a_body_is_announced_in_one_way() -> None:
    length = head((b"content-length", b"007"), method=b"POST")
    assert (length.length, length.is_chunked, length.has_body) == (7, False, True)
    assert written(length).all(b"transfer-encoding") == []
    chunked = head((b"transfer-encoding", b" Chunked"), method=b"POST")
    assert (chunked.length, chunked.is_chunked, chunked.has_body) == (None, True, True)
    assert written(chunked).all(b"transfer-encoding") == [b"chunked"]
    assert not head((b"content-length", b"0")).has_body


@pytest.mark.parametrize(
    ("headers", "options", "status"),
    [
        ([(b"transfer-encoding", b"gzip, chunked")], {}, 501),
        ([(b"transfer-encoding", b"identity")], {}, 501),
        ([(b"transfer-encoding", b"chunked")], {"version": "1.0"}, 400),
        ([(b"host", b"other")], {}, 400),
        ([], {"version": "2.0"}, 505),
        ([], {"version": "0.9"}, 505),
        ([], {"method": b"CONNECT", "target": b"a:443"}, 405),
        ([], {"target": b"path"}, 400),
        ([], {"target": b"ftp://a/"}, 400),
        ([], {"target": b"http:///x"}, 400),
        ([], {"target": b"http://user@there/"}, 400),
        ([(b"content-length", b"5"), (b"content-length", b"5")], {}, 400),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], {}, 400),
        ([(b"transfer-encoding", b"chunked"), (b"content-length", b"5")], {}, 400),
        ([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], {}, 501),
    ],
)
def test_what_nobody_should_serve_is_refused(headers: list[Header], options: dict[str, bytes], status: int) -> None:
    with pytest.raises(HTTPError) as refused:
        head(*headers, **options)  # pyright: ignore[reportArgumentType]
    assert refused.value.status == status


@pytest.mark.parametrize(
    "value", [b"", b"+5", b"-5", b"5_0", b"0x5", b"5, 5", b" 5", b"\xc2\xb2", b"\xb2", b"1" * 19, b"1" * 5_000]
)
def test_a_length_is_a_number_in_digits(value: bytes) -> None:
    with pytest.raises(HTTPError) as refused:
        head((b"content-length", value))
    assert refused.value.status == 400
    with pytest.raises(BadMessage):
        answer(200, (b"content-length", value))


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"a?b", b"a@b", b"a\\b", b"a:b", b"a:1:2", b"a,b c", b"[::1", b"\xff", b"a#b"]
)
def test_a_host_is_a_name_or_an_address(host: bytes) -> None:
    with pytest.raises(HTTPError) as refused:
        RequestHead(b"GET", b"/", "1.1", [(b"host", host)])
    assert refused.value.status == 400
    if not {b"/", b"?"} & {host[1:2]}:
        with pytest.raises(HTTPError):
            head(target=b"http://" + host + b"/")


@pytest.mark.parametrize("host", [b"", b"a", b"a.b-c_d:80", b"127.0.0.1:8700", b"[::1]:8700", b"[2001:db8::1]", b"a:"])
def test_hosts_of_all_kinds_are_taken(host: bytes) -> None:
    request = RequestHead(b"GET", b"/", "1.1", [(b"host", host)])
    assert written(request).all(b"host") == [host]


def test_the_host_of_a_whole_url_is_what_the_app_is_told() -> None:
    """RFC 9112, section 3.2.2: a Host that says something else must not reach it."""
    for version in ("1.0", "1.1"):
        assert written(head(target=b"http://there:1/a", version=version)).all(b"host") == [b"there:1"]
    assert written(RequestHead(b"GET", b"http://there/", "1.0", [])).all(b"host") == [b"there"]
    assert written(RequestHead(b"GET", b"/", "1.0", [])).all(b"host") == [b""]


def test_a_host_is_needed_from_1_1_on() -> None:
    assert RequestHead(b"GET", b"/", "1.0", []).host == b""
    with pytest.raises(HTTPError):
        RequestHead(b"GET", b"/", "1.1", [])


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"/a?b=http://c", b"/a?b=http://c", b"here:80"),
        (b"http://there:1/a?b", b"/a?b", b"there:1"),
        (b"HTTP://there", b"/", b"there"),
        (b"https://there?a=/b", b"/?a=/b", b"there"),
        (b"*", b"*", b"here:80"),
    ],
)
def test_a_target_may_name_a_host(target: bytes, path: bytes, host: bytes) -> None:
    request = head(target=target)
    assert (request.target, request.host) == (path, host)


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        ("1.1", b"", True),
        ("1.1", b"Close", False),
        ("1.1", b"x, close", False),
        ("1.0", b"", False),
        ("1.0", b"Keep-Alive", True),
        ("1.0", b"keep-alive, close", False),
    ],
)
def test_whether_a_connection_is_kept(version: str, connection: bytes, keeps: bool) -> None:
    assert head((b"connection", connection), version=version).keeps_alive is keeps


def test_a_websocket_is_asked_for_by_two_headers_and_get() -> None:
    both = ((b"upgrade", b"WebSocket"), (b"connection", b"keep-alive, Upgrade"))
    request = head(*both)
    assert request.wants_websocket
    assert not request.keeps_alive
    assert written(request).all(b"connection") == [b"upgrade"]
    assert written(request).all(b"upgrade") == [b"websocket"]
    assert not head(both[0]).wants_websocket
    assert not head(both[1]).wants_websocket
    assert not head(*both, method=b"POST").wants_websocket
    assert not head(*both, version="1.0").wants_websocket
    assert written(head((b"upgrade", b"h2c"), both[1])).all(b"upgrade") == []


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0, h2c"])
@pytest.mark.parametrize("framing", [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_an_offer_with_a_body_is_ignored_and_the_body_announced(
    protocol: bytes, framing: Header, method: bytes
) -> None:
    offer = ((b"upgrade", protocol), (b"connection", b"Upgrade, HTTP2-Settings"), (b"http2-settings", b"AAMAAABk"))
    request = head(*offer, framing, method=method)
    assert (request.wants_websocket, request.has_body, request.keeps_alive) == (False, True, True)
    heard = written(request)
    assert heard.all(framing[0]) == [framing[1]]
    assert not {b"upgrade", b"connection", b"http2-settings"} & {name for name, _ in heard.headers}


NAMES = st.sampled_from(
    [
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"te",
        b"x-swell-input",
        b"x-a",
        b"x-b",
        b"cookie",
        b"expect",
    ]
)
VALUES = st.sampled_from([b"", b"1", b"close", b"chunked", b"x-a, x-b", b"content-length", b"upgrade", b"websocket"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans())
def test_whatever_is_let_in_is_one_request_with_one_way_to_tell_its_end(headers: list[Header], close: bool) -> None:
    raw = b"POST /x HTTP/1.1\r\nhost: a\r\n" + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n"
    heard = Heard()
    parser = httptools.HttpRequestParser(heard)
    try:
        parser.feed_data(raw)
        request = RequestHead(parser.get_method(), heard.url, parser.get_http_version(), heard.headers)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade, HTTPError):
        return
    again = written(request, (b"x-swell-input", b"fc-1"), close=close)
    lengths, codings = again.all(b"content-length"), again.all(b"transfer-encoding")
    assert len(lengths) + len(codings) <= 1
    assert [int(each) for each in lengths] == ([] if request.length is None else [request.length])
    assert codings == ([b"chunked"] if request.is_chunked else [])
    assert again.all(b"x-swell-input") == [b"fc-1"]


# ---------------------------------------------------------------- answers


def answer(status: int, *headers: Header) -> ResponseHead:
    return ResponseHead(status, b"As It Is", list(headers))


def test_an_answer_is_written_for_its_client() -> None:
    head_1_1, head_1_0 = head(), head(version="1.0")
    told = answer(200, (b"a", b"1"), (b"connection", b"b"), (b"b", b"2"), (b"transfer-encoding", b"chunked"))
    assert told.written(head_1_1, chunked=True, close=False) == (
        b"HTTP/1.1 200 As It Is\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    assert told.written(head_1_0, chunked=False, close=True).endswith(b"\r\na: 1\r\nconnection: close\r\n\r\n")
    assert told.written(head_1_0, chunked=False, close=False).endswith(b"\r\na: 1\r\nconnection: keep-alive\r\n\r\n")


@pytest.mark.parametrize("status", [100, 103, 101, 204])
def test_a_length_is_not_told_where_there_can_be_no_body(status: int) -> None:
    told = answer(status, (b"content-length", b"5")).written(head(), chunked=False, close=False)
    assert b"content-length" not in told


@pytest.mark.parametrize("status", [200, 304])
def test_a_length_is_told_once_as_it_was_understood(status: int) -> None:
    told = answer(status, (b"content-length", b"005")).written(head(method=b"HEAD"), chunked=False, close=False)
    assert told.count(b"content-length: 5\r\n") == told.count(b"content-length") == 1


@pytest.mark.parametrize(
    ("status", "method", "has_body"),
    [(200, b"GET", True), (200, b"HEAD", False), (204, b"GET", False), (304, b"GET", False)],
)
def test_which_answers_have_a_body(status: int, method: bytes, has_body: bool) -> None:
    assert answer(status, (b"content-length", b"5")).has_body(method) is has_body


def test_the_edges_own_answers_are_whole() -> None:
    data = response_bytes(429, "too müch", [(b"retry-after", b"3")], close=True)
    told, _, body = data.partition(b"\r\n\r\n")
    assert told.split(b"\r\n")[0] == b"HTTP/1.1 429 Too Many Requests"
    assert body == "too müch\n".encode()
    assert b"content-length: %d" % len(body) in told
    assert b"retry-after: 3" in told
    assert b"connection: close" in told
    assert response_bytes(429, "x", close=False, is_head=True).endswith(b"\r\n\r\n")


def test_connection_cannot_take_away_what_says_where_a_body_ends() -> None:
    named = (b"connection", b"content-length, host, x-mine")
    asked = RequestHead(b"POST", b"/", "1.1", [(b"host", b"x"), (b"content-length", b"5"), named, (b"x-mine", b"1")])
    written = asked.written(Forwarding(b"/", [], origin(asked), frozenset(), close=False))
    assert b"content-length: 5\r\n" in written
    assert b"host: x\r\n" in written
    assert b"x-mine" not in written
    answer = ResponseHead(200, b"OK", [(b"content-length", b"5"), named])
    assert b"content-length: 5\r\n" in answer.written(asked, chunked=False, close=False)
