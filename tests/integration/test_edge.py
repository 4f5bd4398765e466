"""Requests through the edge to containers, as clients send them and sites see them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import psutil
import pytest
import webs as w
from edge_client import (
    PATIENCE_S,
    Notes,
    ask,
    await_idle,
    await_that,
    connect,
    edge_of,
    raw,
    read_all,
    read_until,
    request,
    url_of,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

import swell
from swell.exception import InvalidError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(w.app, web_rate=1e6, cancel_grace_s=2.0)


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "note")


# ---------------------------------------------------------------- finding the way


def test_a_site_sees_the_request_as_its_client_sent_it() -> None:
    url = url_of(w.site)
    reply = ask(f"{url}/?a=1&b=%20", "POST", b"body", x_color="red", content_type="text/plain")
    told = json.loads(reply.body)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert (told["method"], told["query"], told["body"]) == ("POST", "a=1&b=%20", "body")
    assert told["headers"]["x-color"] == "red"
    assert told["headers"]["host"] == urlsplit(url).netloc
    assert told["client"] == "127.0.0.1"
    assert told["input"].startswith("fc-")


def test_a_label_is_the_first_part_of_the_path_or_of_the_host() -> None:
    url = url_of(w.site)
    parts = urlsplit(url)
    label = parts.path.strip("/")
    by_path = json.loads(ask(f"{url}/").body)
    assert (by_path["root"], by_path["path"]) == (f"/{label}", f"/{label}/")
    with contextlib.closing(connect(url)) as connection:
        connection.request("GET", "/", headers={"Host": f"{label}.localhost:{parts.port}"})
        by_host = json.loads(connection.getresponse().read())
    assert (by_host["root"], by_host["path"]) == ("", "/")


def test_labels_are_made_of_names_or_are_the_functions_own() -> None:
    assert urlsplit(url_of(w.site)).path == "/webs-site-dev"
    assert urlsplit(url_of(w.Shop().look)).path == "/webs-shop-look-dev"
    assert urlsplit(url_of(w.three)).path == "/three-dev"


def test_what_is_no_label_is_not_found_and_only_the_admin_is_told_what_is() -> None:
    url = url_of(w.site)
    nowhere = f"{url.rpartition('/')[0]}/nowhere/"
    assert (ask(nowhere).status, ask(nowhere).body) == (404, b"nothing answers here\n")
    token = next(Path(path).read_text() for path in _arguments("--admin-token-file"))
    told = ask(nowhere, authorization=f"Bearer {token}")
    assert told.status == 404
    assert b"webs-site-dev" in told.body


def test_a_browser_is_sent_to_the_url_where_relative_links_work() -> None:
    url = url_of(w.site)
    sent = ask(f"{url}?a=1", accept="text/html")
    assert (sent.status, urljoin(url, sent.headers["location"])) == (307, f"{url}/?a=1")
    assert ask(f"{url}?a=1", accept="*/*").status == 200
    assert ask(f"{url}?a=1", "POST", b"body", accept="text/html").status == 200
    assert ask(f"{url_of(w.double)}?x=21", "POST", accept="text/html").body == b"42"


def _arguments(name: str) -> list[str]:
    found = [arg.partition("=") for arg in edge_of(w.app).cmdline()]
    return [value for key, _, value in found if key == name]


def test_what_answers_http_is_not_called_and_what_is_called_has_no_url() -> None:
    with pytest.raises(InvalidError, match=r"site is a webhook: .remote\(\) is not possible; send HTTP requests to"):
        w.site.remote()
    assert w.Shop().sell.get_web_url() is None
    assert w.Shop().sell.remote() == 1


# ---------------------------------------------------------------- kinds


def test_a_wsgi_app_answers() -> None:
    reply = ask(f"{url_of(w.classic)}/page", "POST", b"text")
    assert reply.body == b"/page text"


def test_an_endpoint_takes_its_arguments_from_the_query_and_other_methods_are_refused() -> None:
    url = url_of(w.double)
    assert ask(f"{url}?x=21", "POST").body == b"42"
    assert ask(f"{url}?x=21").status == 405
    assert ask(f"{url}?x=two", "POST").status == 422


def test_a_server_of_the_users_answers_and_is_told_nothing_of_us() -> None:
    reply = ask(f"{url_of(w.served)}/webs.py")
    assert reply.status == 200
    assert reply.body == Path(w.__file__).read_bytes()


def test_parameters_of_a_class_stand_in_the_query() -> None:
    url = url_of(w.Shop().look)
    assert json.loads(ask(url).body)["size"] == 1
    told = json.loads(ask(f"{url}?size=7&name=m%C3%A4rkt").body)
    assert (told["size"], told["name"]) == (7, "märkt")
    assert url_of(w.Shop(size=7).look) == f"{url}?size=7"
    assert json.loads(ask(url_of(w.Shop(size=7).look)).body)["size"] == 7


@pytest.mark.parametrize(("query", "text"), [("", "Missing required parameter 'key'"), ("?other=1", "'key'")])
def test_a_parameter_that_is_missing_is_named(query: str, text: str) -> None:
    url, _, own = url_of(w.Strict(key="x").look).partition("?")
    assert own == "key=x"
    reply = ask(url + query)
    assert reply.status == 400
    assert text in reply.body.decode()
    assert ask(f"{url}?key=good").body == b'"good"'


def test_a_parameter_of_another_type_is_named() -> None:
    reply = ask(f"{url_of(w.Shop().look).partition('?')[0]}?size=large")
    assert (reply.status, b"size='large' is no int" in reply.body) == (400, True)


# ---------------------------------------------------------------- HTTP


def test_many_requests_use_one_connection() -> None:
    with contextlib.closing(connect(url_of(w.site))) as connection:
        own = None
        for _ in range(5):
            connection.request("GET", f"{urlsplit(url_of(w.site)).path}/")
            assert connection.getresponse().read()
            assert own in (None, connection.sock.getsockname())
            own = connection.sock.getsockname()


def test_a_head_has_no_body_and_204_neither() -> None:
    url = url_of(w.site)
    head = ask(f"{url}/", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert ask(f"{url}/nothing").status == 204
    with contextlib.closing(connect(url)) as connection:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, f"{urlsplit(url).path}/")
            assert bool(connection.getresponse().read()) == (method == "GET")


def test_http_1_0_is_spoken() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(request(url, "/echo", version="1.0"))
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"chunked" not in head
    assert body == b""


def test_requests_may_be_sent_ahead_and_are_answered_in_order() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(
            b"".join(request(url, f"/?{number}") for number in range(20))
            + request(url, "/?last", "GET", "Connection: close")
        )
        data = read_all(client)
    told = [part.split(b'"query": "')[1].split(b'"')[0] for part in data.split(b"HTTP/1.1 200")[1:]]
    assert told == [b"%d" % number for number in range(20)] + [b"last"]


def test_a_client_that_waits_for_100_continue_is_answered() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(request(url, "/count", "POST", "Content-Length: 3", "Expect: 100-continue", "Connection: close"))
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        client.sendall(b"abc")
        assert read_all(client).endswith(b"3")


def test_headers_between_edge_and_containers_are_not_taken_from_clients() -> None:
    told = json.loads(
        ask(f"{url_of(w.site)}/", x_swell_input="fc-forged", x_swell_root="/forged", x_forwarded_for="1.2.3.4").body
    )
    assert told["input"] != "fc-forged"
    assert told["root"] == "/webs-site-dev"
    assert told["client"] == "1.2.3.4", "a proxy on this machine is believed"
    assert told["headers"]["x-forwarded-for"] == "1.2.3.4"
    assert not [name for name in told["headers"] if name.startswith("x-swell")]


def test_what_concerns_one_connection_is_not_passed_on() -> None:
    told = json.loads(
        ask(f"{url_of(w.site)}/", connection="x-private", x_private="1", te="trailers", keep_alive="5").body
    )
    assert not {"connection", "x-private", "te", "keep-alive"} & told["headers"].keys()


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("swell_session=secret", None),
        ("a=1; swell_session=secret; b=2", "a=1; b=2"),
        ("a=1;swell_session=x;b=2", "a=1; b=2"),
        ("my_swell_session=1", "my_swell_session=1"),
    ],
)
def test_an_app_does_not_see_who_is_logged_in_to_the_dashboard(sent: str, seen: str | None) -> None:
    told = json.loads(ask(f"{url_of(w.site)}/", cookie=sent).body)
    assert told["headers"].get("cookie") == seen


SMUGGLED = b"GET /webs-site-dev/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: +5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: -1"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding : chunked"],
        ["X: a\r\n folded"],
        ["X: a\nTransfer-Encoding: chunked"],
        ["X: a\0b"],
        ["X Y: z"],
        ["Host: second"],
    ],
)
def test_what_two_parsers_may_understand_differently_is_refused(lines: list[str]) -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(request(url, "/", "POST", *lines) + b"0\r\n\r\n" + SMUGGLED)
        data = read_all(client)
    assert data.split(b" ", 2)[1] in (b"400", b"501"), data
    assert data.count(b"HTTP/1.1") == 1, data
    assert b"smuggled" not in data.replace(b"query", b"")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_not_http_as_we_speak_it_is_refused_and_harms_nobody(line: bytes) -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(line)
        client.shutdown(socket.SHUT_WR)
        data = read_all(client)
    assert data == b"" or data.split(b" ", 2)[1] in (b"400", b"405", b"505")
    assert ask(f"{url}/").status == 200


def test_a_body_stays_a_body_whatever_connection_names() -> None:
    url = url_of(w.site)
    lines = (f"Content-Length: {len(SMUGGLED)}", "Connection: content-length, host, close")
    with raw(url) as client:
        client.sendall(request(url, "/", "POST", *lines) + SMUGGLED)
        data = read_all(client)
    assert data.count(b"HTTP/1.1 200") == 1
    assert json.loads(data.partition(b"\r\n\r\n")[2])["body"] == SMUGGLED.decode()


def test_a_target_may_be_a_whole_url() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(
            f"GET {url}/?whole HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        assert b'"query": "whole"' in read_all(client)


def test_the_host_of_a_whole_url_is_the_one_that_the_site_is_told() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        forged = "Host: forged.example"
        client.sendall(f"GET {url}/?whole HTTP/1.1\r\n{forged}\r\nConnection: close\r\n\r\n".encode())
        told = json.loads(read_all(client).partition(b"\r\n\r\n")[2])
    assert told["headers"]["host"] == urlsplit(url).netloc
    assert "forged.example" not in json.dumps(told)


def test_another_protocol_than_websockets_is_not_switched_to() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(
            request(url, "/?one", "GET", "Connection: upgrade, http2-settings", "Upgrade: h2c", "HTTP2-Settings: x")
        )
        assert b'"query": "one"' in read_until(client, b'"input"')


FRAMED = [
    ("Content-Length: 5", b"hello"),
    ("Transfer-Encoding: chunked", b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: 1\r\n\r\n"),
]


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize(("framing", "body"), FRAMED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_offer_with_a_body_is_ignored_and_the_body_passed_on(
    protocol: str, framing: str, body: bytes, method: str
) -> None:
    """Java's client and `curl --http2 -d` offer HTTP/2 so. What is sent behind is another request."""
    url = url_of(w.site)
    offer = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABk")
    data = request(url, "/count", method, framing, *offer) + body
    for pieces in ([data], [data[:-1], data[-1:]], [data[: -len(body)], body], [data[:-9], data[-9:-4], data[-4:]]):
        with raw(url) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces[:-1]:
                client.sendall(piece)
                time.sleep(0.01)  # mostly the pieces arrive one by one; together they mean the same
            client.sendall(pieces[-1] + request(url, "/?behind", "GET", "Connection: close"))
            first, _, second = read_all(client).partition(b"HTTP/1.1 200 OK")[2].partition(b"HTTP/1.1 200 OK")
        assert first.endswith(b"\r\n\r\n5")
        assert b'"query": "behind"' in second


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_body_that_never_comes_is_never_taken_from_the_next_client(protocol: str) -> None:
    """The connection to the site on which it is awaited must not be used again, whatever the site has answered."""
    url = url_of(w.site)
    offer = ("Connection: Upgrade", f"Upgrade: {protocol}", "Content-Length: 5000")
    for path in ("/nothing", "/count", "/no-such-page"):  # which answer at once, or would wait for the body
        for leaves in (True, False):
            with raw(url) as client:
                client.sendall(request(url, path, "POST", *offer))
                if not leaves and path != "/count":
                    read_until(client, b"\r\n\r\n")
            for number in range(3):
                reply = ask(f"{url}/?next-{number}")
                assert (reply.status, json.loads(reply.body)["query"]) == (200, f"next-{number}")
    await_idle(w.site)


# ---------------------------------------------------------------- streams


def test_items_arrive_one_by_one(notes: Notes) -> None:
    with contextlib.closing(connect(url_of(w.site))) as connection:
        connection.request("GET", f"{urlsplit(url_of(w.site)).path}/items?{notes}")
        answer = connection.getresponse()
        for number in range(3):
            notes.go()  # the next is not there before this one was read
            assert answer.read(len(b"data: 0\n\n")) == b"data: %d\n\n" % number
        assert answer.read() == b""


def test_a_body_and_its_answer_stream_at_once() -> None:
    url = url_of(w.site)
    with raw(url) as client:
        client.sendall(request(url, "/echo", "POST", "Transfer-Encoding: chunked", "Connection: close"))
        for part in (b"one", b"twotwo"):
            client.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            assert part in read_until(client, part)
        client.sendall(b"0\r\n\r\n")
        assert read_all(client).endswith(b"0\r\n\r\n")


def test_large_bodies_pass_in_little_memory() -> None:
    url = url_of(w.site)
    edge = edge_of(w.app)
    before, most, size = edge.memory_info().rss, 0, 96 << 20
    with raw(url) as client:
        client.sendall(request(url, "/count", "POST", f"Content-Length: {size}", "Connection: close"))
        piece = bytes(1 << 20)
        for _ in range(size >> 20):
            client.sendall(piece)
            most = max(most, edge.memory_info().rss)
        assert read_all(client).endswith(b"%d" % size)
    with raw(url) as client:
        client.sendall(request(url, "/large?96", "GET", "Connection: close"))
        time.sleep(0.2)  # nobody reads: what cannot be sent on is not read either
        most = max(most, edge.memory_info().rss)
        received = 0
        while part := client.recv(1 << 20):
            received += len(part)
    assert received > size
    assert most - before < 32 << 20, f"{(most - before) >> 20} MiB more"


def test_who_asks_ahead_and_does_not_read_takes_no_memory_and_gets_all() -> None:
    url = url_of(w.site)
    edge = edge_of(w.app)
    before, most, times, size = edge.memory_info().rss, 0, 4, 24
    with raw(url) as client:
        ahead = request(url, f"/large?{size}") * (times - 1)
        client.sendall(ahead + request(url, f"/large?{size}", "GET", "Connection: close"))
        received, took_in = 0, 0
        while part := client.recv(1 << 18):
            received += len(part)
            if received > took_in + (8 << 20):  # now and then nothing is read, also between two answers
                took_in = received
                time.sleep(0.02)
            most = max(most, edge.memory_info().rss)
    assert received > times * size << 20
    assert most - before < 32 << 20, f"{(most - before) >> 20} MiB more"
    for _ in range(3):  # connections to the site that were used so are as good as others
        assert ask(f"{url}/").status == 200
    await_idle(w.site)


def test_who_does_not_read_is_not_answered_further(notes: Notes) -> None:
    url, times = url_of(w.site), 60
    with socket.socket() as client:
        client.settimeout(PATIENCE_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # so that little is on its way
        client.connect((urlsplit(url).hostname, urlsplit(url).port))
        ahead = request(url, f"/block?{notes}") * (times - 1)
        client.sendall(ahead + request(url, f"/block?{notes}", "GET", "Connection: close"))
        began = -1
        while began < len(notes.lines("began")):  # until no more begin
            began = len(notes.lines("began"))
            time.sleep(0.3)  # one that goes on begins much sooner
        assert began < times
        for _ in range(3):  # nor is anybody else kept waiting, who may get the same connections to the site
            assert ask(f"{url}/").status == 200
    assert len(notes.lines("began")) < times
    await_idle(w.site)


def test_a_connection_to_a_site_is_as_good_as_new_after_a_client_that_read_slowly(notes: Notes) -> None:
    url = url_of(w.site)
    with contextlib.ExitStack() as stack:
        for number in range(4):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect((urlsplit(url).hostname, urlsplit(url).port))
            client.sendall(request(url, f"/block?{notes}"))
            notes.await_lines("began", number + 1)
        await_idle(w.site)
        for _ in range(4):
            assert ask(f"{url}/").status == 200


def test_a_large_body_waits_outside_until_there_is_a_container(notes: Notes) -> None:
    url, size = url_of(w.single), 48 << 20
    edge = edge_of(w.app)
    before, most = edge.memory_info().rss, 0
    with ThreadPoolExecutor(2) as executor, raw(url) as client:
        busy = executor.submit(ask, f"{url}/wait?{notes}")
        notes.await_lines("began")
        client.sendall(request(url, "/count", "POST", f"Content-Length: {size}", "Connection: close"))
        sending = executor.submit(client.sendall, bytes(size))
        await_that(lambda: w.single.get_current_stats().backlog == 1, "it does not wait")
        most = max(most, edge.memory_info().rss)
        notes.go()
        while not sending.done():
            most = max(most, edge.memory_info().rss)
        assert read_all(client).endswith(b"%d" % size)
        assert busy.result().status == 200
    assert most - before < 24 << 20, f"{(most - before) >> 20} MiB more"
    await_idle(w.single)


def test_websockets_talk_and_close_with_a_code() -> None:
    url = url_of(w.site).replace("http:", "ws:") + "/ws"
    with websocket(url, subprotocols=["soap", "wamp"]) as ws:
        assert ws.subprotocol == "soap"
        for text in ("one", "two" * 10_000):
            ws.send(text)
            assert ws.recv(PATIENCE_S) == f"{text}!"
        ws.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")
    await_idle(w.site)


def test_a_websocket_that_is_dropped_frees_its_slot() -> None:
    with websocket(url_of(w.single).replace("http:", "ws:") + "/") as ws:
        ws.send("hello")
        assert ws.recv(PATIENCE_S) == "hello!"
        ws.socket.shutdown(socket.SHUT_RDWR)
    await_idle(w.single)
    assert ask(f"{url_of(w.single)}/").status == 200


@pytest.mark.parametrize("is_polite", [True, False])
def test_the_handler_of_a_websocket_is_cancelled_if_it_does_not_hear_that_its_client_has_left(
    notes: Notes, is_polite: bool
) -> None:
    with websocket(url_of(w.single).replace("http:", "ws:") + "/", close_timeout=PATIENCE_S) as ws:
        ws.send(f"deaf {notes}")
        notes.await_lines("began")
        if not is_polite:
            ws.socket.shutdown(socket.SHUT_RDWR)
    await_idle(w.single)
    assert notes.lines("ended") == []
    assert ask(f"{url_of(w.single)}/").status == 200


@pytest.mark.parametrize("is_polite", [True, False])
def test_the_slot_of_a_websocket_whose_handler_goes_on_is_not_given_away(notes: Notes, is_polite: bool) -> None:
    url = url_of(w.single)
    with websocket(url.replace("http:", "ws:") + "/", close_timeout=0.1) as ws:
        ws.send(f"stubborn {notes}")
        notes.await_lines("began")
        if not is_polite:
            ws.socket.shutdown(socket.SHUT_RDWR)
    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(ask, f"{url}/")
        await_that(lambda: w.single.get_current_stats().backlog == 1, "the other does not wait")
        assert w.single.get_current_stats().num_running_inputs == 1
        notes.go()
        assert other.result().status == 200
    assert notes.lines("ended")


def test_bytes_that_follow_a_websockets_head_at_once_are_not_lost() -> None:
    url = url_of(w.site)
    key = base64.b64encode(os.urandom(16)).decode()
    head = request(
        url,
        "/ws",
        "GET",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    )
    frame = b"\x81\x82\0\0\0\0hi"  # the text "hi", masked by nothing
    with raw(url) as client:
        client.sendall(head + frame)
        data = read_until(client, b"hi!")
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    assert data.startswith(b"HTTP/1.1 101")
    assert accept in data


# ---------------------------------------------------------------- slots


def test_as_many_requests_run_at_once_as_there_are_slots(notes: Notes) -> None:
    url = f"{url_of(w.three)}/wait?{notes}"
    with ThreadPoolExecutor(8) as executor:
        replies = [executor.submit(ask, url) for _ in range(8)]
        notes.await_lines("began", 3)
        stats = w.three.get_current_stats()
        assert stats.num_running_inputs == 3
        await_that(lambda: w.three.get_current_stats().backlog == 5, "the others do not wait")
        assert len(notes.lines("began")) == 3
        notes.go()
        assert [reply.result().body for reply in replies] == [b"waited"] * 8
    await_idle(w.three)


def test_a_handler_hears_that_its_client_has_left_and_its_slot_comes_back(notes: Notes) -> None:
    url = url_of(w.single)
    with raw(url) as client:
        client.sendall(request(url, f"/until-gone?{notes}"))
        notes.await_lines("began")
    notes.await_lines("told")
    await_idle(w.single)
    assert ask(f"{url}/").status == 200


def test_a_handler_that_does_not_listen_is_cancelled_when_its_client_has_left(notes: Notes) -> None:
    url = url_of(w.single)
    with raw(url) as client:
        client.sendall(request(url, f"/wait?{notes}"))
        notes.await_lines("began")
    await_idle(w.single)
    assert notes.lines("ended") == []
    assert ask(f"{url}/").status == 200


def test_the_slot_of_a_handler_that_goes_on_without_its_client_is_not_given_away(notes: Notes) -> None:
    url = url_of(w.single)
    with raw(url) as client:
        client.sendall(request(url, f"/stubborn?{notes}"))
        notes.await_lines("began")
    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(ask, f"{url}/")
        await_that(lambda: w.single.get_current_stats().backlog == 1, "the other does not wait")
        assert w.single.get_current_stats().num_running_inputs == 1
        notes.go()
        assert other.result().status == 200
    assert notes.lines("ended")


def test_a_client_that_leaves_the_queue_is_not_served(notes: Notes, tmp_path: Path) -> None:
    url, never = url_of(w.single), Notes(tmp_path / "never")
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(ask, f"{url}/wait?{notes}")
        notes.await_lines("began")
        with raw(url) as client:
            client.sendall(request(url, f"/wait?{never}"))
            await_that(lambda: w.single.get_current_stats().backlog == 1, "it does not wait")
        await_that(lambda: w.single.get_current_stats().backlog == 0, "it still waits")
        notes.go()
        assert first.result().status == 200
    await_idle(w.single)
    assert never.lines("began") == []


# ---------------------------------------------------------------- faults


def test_a_request_that_takes_too_long_is_answered_504_and_its_slot_comes_back(notes: Notes) -> None:
    url = url_of(w.hasty)
    reply = ask(f"{url}/until-gone?{notes}")
    assert reply.status == 504
    notes.await_lines("told")
    await_idle(w.hasty)


def test_an_answer_that_takes_too_long_is_cut(notes: Notes) -> None:
    url = url_of(w.hasty)
    with raw(url) as client:
        client.sendall(request(url, f"/half?{notes}"))
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = read_all(client)
    assert data == b"" or not data.endswith(b"1234567890")
    await_idle(w.hasty)


def test_a_handler_that_cannot_be_stopped_costs_its_container(notes: Notes) -> None:
    url = url_of(w.hasty)
    assert ask(f"{url}/stubborn?{notes}").status == 504
    pid = int(notes.lines("began")[0])
    await_that(lambda: not psutil.pid_exists(pid), "the container stays")
    assert ask(f"{url}/").status == 200


def test_a_thread_that_goes_on_after_its_time_holds_up_nobody(notes: Notes) -> None:
    url = url_of(w.hasty_classic)
    assert ask(f"{url}/?{notes}").status == 504
    assert ask(f"{url}/").body == b"quick"
    notes.go()
    await_idle(w.hasty_classic)


def test_a_container_that_dies_before_it_answers_costs_its_request_502_and_nobody_else(notes: Notes) -> None:
    url = url_of(w.single)
    with ThreadPoolExecutor(2) as executor:
        dying = executor.submit(ask, f"{url}/wait?{notes}")
        notes.await_lines("began")
        waiting = executor.submit(ask, f"{url}/")
        await_that(lambda: w.single.get_current_stats().backlog == 1, "the other does not wait")
        os.kill(int(notes.lines("began")[0]), signal.SIGKILL)
        assert dying.result().status == 502
        assert waiting.result().status == 200
    await_idle(w.single)


def test_a_container_that_dies_in_mid_answer_cuts_it(notes: Notes) -> None:
    url = url_of(w.single)
    with raw(url) as client:
        client.sendall(request(url, f"/half?{notes}"))
        assert read_until(client, b"12345")
        notes.await_lines("began")
        os.kill(int(notes.lines("began")[0]), signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
    await_idle(w.single)
    assert ask(f"{url}/").status == 200


def test_an_app_that_raises_answers_500() -> None:
    assert ask(f"{url_of(w.site)}/raise").status == 500


def test_an_app_that_cannot_be_built_answers_500(capfd: pytest.CaptureFixture[str]) -> None:
    reply = ask(f"{url_of(w.broken)}/")
    assert reply.status == 500
    assert b"could not be started" in reply.body


def test_without_a_token_there_is_no_access() -> None:
    url = url_of(w.private)
    reply = ask(f"{url}/")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="swell"'
    assert ask(f"{url}/", authorization="Bearer wk-x.ws-y").status == 401
    assert ask(f"{url}/", swell_key="wk-x", swell_secret="ws-y").status == 401


def test_an_edge_that_is_killed_comes_back_and_all_slots_with_it(notes: Notes) -> None:
    url = url_of(w.single)
    port = urlsplit(url).port
    with raw(url) as client:
        client.sendall(request(url, f"/until-gone?{notes}"))
        notes.await_lines("began")
        edge = edge_of(w.app)
        edge.kill()
        edge.wait()
    notes.await_lines("told")
    await_idle(w.single)

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return ask(f"{url_of(w.single)}/").status == 200
        return False

    await_that(answers, f"nothing answers any more (it was at port {port})")
