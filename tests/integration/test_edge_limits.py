"""What the edge takes of whom: sizes, patience, queues, connections, tokens; and long waits in parts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import small as s
from edge_client import (
    Notes,
    Reply,
    ask,
    await_idle,
    await_that,
    connect,
    follow,
    raw,
    read_all,
    read_until,
    request,
    url_of,
)
from patience import patience

import swell

BODY_MAX = 10_000
HEAD_MAX = 2_000
PENDING = 2
CONNECTIONS = 12
HEAD_TIMEOUT_S = patience(0.4)  # a head that is sent at once comes within it, on a busy machine, too
WAIT_S = min(patience(0.3), 2.0)  # many times that passes while a redirect can be followed, which is for 60 s


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App], tmp_path_factory: pytest.TempPathFactory) -> swell.App:
    return run_app(
        s.app,
        data_dir=tmp_path_factory.mktemp("data"),
        web_rate=1e6,
        web_body_max=BODY_MAX,
        web_head_max=HEAD_MAX,
        web_head_timeout_s=HEAD_TIMEOUT_S,
        web_wait_s=WAIT_S,
        web_connections_max=CONNECTIONS,
        pending_sync_max=PENDING,
        cancel_grace_s=2.0,
    )


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "note")


@pytest.fixture
def url() -> str:
    """That of a site which has a container that is ready, so that nothing waits for one."""
    url = url_of(s.site)
    follow(url, ask(f"{url}/"))
    await_idle(s.site)
    return url


def status_of(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


@contextlib.contextmanager
def occupied(url: str, notes: Notes) -> Iterator[None]:
    """Have the only slot taken meanwhile."""
    with ThreadPoolExecutor(1) as executor:
        busy = executor.submit(lambda: follow(url, ask(f"{url}/wait?{notes}")))
        try:
            notes.await_lines("began")
            yield
        finally:
            notes.go()
        assert busy.result().body == b"waited"


# ---------------------------------------------------------------- sizes


def test_a_body_that_says_it_is_too_large_is_refused_at_once(url: str) -> None:
    with raw(url) as client:
        client.sendall(request(url, "/count", "POST", f"Content-Length: {BODY_MAX + 1}"))
        assert status_of(read_all(client)) == 413
    assert follow(url, ask(f"{url}/count", "POST", bytes(BODY_MAX))).body == str(BODY_MAX).encode()


def test_a_body_that_turns_out_too_large_is_refused_in_the_middle_and_the_app_is_told(url: str, notes: Notes) -> None:
    with raw(url) as client:
        client.sendall(request(url, f"/until-gone?{notes}", "POST", "Transfer-Encoding: chunked"))
        for _ in range(BODY_MAX // 1_000):
            client.sendall(b"3e8\r\n" + bytes(1_000) + b"\r\n")
        client.sendall(b"1\r\nx\r\n")
        data = read_all(client)
    assert status_of(data) == 413
    assert data.count(b"HTTP/1.1") == 1
    await_idle(s.site)
    assert follow(url, ask(f"{url}/")).status == 200


def test_a_body_that_is_too_large_is_refused_in_its_turn_and_what_follows_it_is_not_read(url: str) -> None:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (BODY_MAX + 1, bytes(BODY_MAX + 1))
    with raw(url) as client:
        first = request(url, "/?first")
        last = request(url, "/?last", "GET", "Connection: close")
        client.sendall(first + request(url, "/count", "POST", "Transfer-Encoding: chunked") + chunk + last)
        data = read_all(client)
    assert [status_of(b"H " + part) for part in data.split(b"HTTP/1.1 ")[1:]] == [200, 413]


@pytest.mark.parametrize("header", ["X: " + "x" * HEAD_MAX, "\r\n".join(f"X{n}: 1" for n in range(HEAD_MAX // 6))])
def test_a_head_that_is_too_large_is_refused(url: str, header: str) -> None:
    with raw(url) as client:
        client.sendall(request(url, "/", "GET", header))
        assert status_of(read_all(client)) == 431


def test_a_head_that_is_too_large_is_refused_before_its_end(url: str) -> None:
    with raw(url) as client:
        client.sendall(request(url, "/")[:-2] + b"X: ")
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(HEAD_MAX):
            client.sendall(b"x")
        assert status_of(read_all(client)) == 431


# ---------------------------------------------------------------- patience


def test_a_head_that_takes_too_long_is_not_waited_for(url: str) -> None:
    head, began_at = request(url, "/"), time.monotonic()
    with raw(url) as client:
        data = b""
        with contextlib.suppress(ConnectionError):
            for byte in head:  # each in time; all together not
                client.sendall(bytes([byte]))
                time.sleep(HEAD_TIMEOUT_S / 10)  # a slow client
                if time.monotonic() - began_at > 2 * HEAD_TIMEOUT_S:
                    break
        data = read_all(client)
    assert status_of(data) == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_on_which_nothing_is_asked_is_closed(url: str, sent: bytes) -> None:
    with raw(url) as client:
        client.sendall(sent)
        assert read_all(client) == b""


def test_a_body_that_stalls_is_not_waited_for_and_its_slot_comes_back(url: str) -> None:
    with raw(url) as client:
        client.sendall(request(url, "/count", "POST", "Content-Length: 10") + b"12345")
        assert status_of(read_all(client)) == 408
    await_idle(s.site)
    assert follow(url, ask(f"{url}/")).status == 200


def test_a_body_that_is_held_up_by_the_edge_does_not_stall(url: str, notes: Notes) -> None:
    with occupied(url, notes), raw(url) as client:
        client.sendall(request(url, "/count", "POST", "Content-Length: 10", "Connection: close") + b"1234567890")
        await_that(lambda: s.site.get_current_stats().backlog == 1, "it does not wait")
        assert status_of(read_all(client)) == 303  # it has waited longer than the head may take


# ---------------------------------------------------------------- how many


def test_a_full_queue_refuses_with_the_time_to_come_again(url: str, notes: Notes) -> None:
    with occupied(url, notes), ThreadPoolExecutor(PENDING) as executor:
        queued = [executor.submit(lambda: follow(url, ask(f"{url}/?queued"))) for _ in range(PENDING)]
        await_that(lambda: s.site.get_current_stats().backlog == PENDING, "they do not wait")
        with contextlib.closing(connect(url)) as connection:
            for _ in range(3):  # on one connection: to be refused does not cost it
                connection.request("GET", f"{urlsplit(url).path}/")
                own = connection.sock.getsockname()
                reply = Reply(connection.getresponse())
                assert reply.status == 429
                assert int(reply.headers["retry-after"]) >= 1
                assert connection.sock.getsockname() == own
        notes.go()
        assert [reply.result().status for reply in queued] == [200] * PENDING


def test_more_connections_than_may_be_are_told_so(url: str) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(raw(url)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(request(url, "/nothing")[:-2])  # almost a head
        with raw(url) as one_more:
            assert status_of(read_all(one_more)) == 503

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return ask(f"{url}/").status in (200, 303)
        return False

    await_that(answers, "connections that have ended still count")
    await_idle(s.site)


# ---------------------------------------------------------------- waits cut into short ones


def test_a_long_wait_goes_on_where_a_redirect_leads_and_the_app_runs_once(url: str, notes: Notes) -> None:
    reply, places = ask(f"{url}/wait?{notes}", "POST", b"body"), list[str]()
    for _ in range(3):
        assert (reply.status, reply.body) == (303, b"")
        places.append(reply.headers["location"])
        reply = ask(urljoin(url, places[-1]))
    assert len(set(places)) == 1
    assert places[0].startswith(f"{urlsplit(url).path}/wait?{notes}&__swell_call=")
    notes.go()
    assert follow(url, reply).body == b"waited"
    assert len(notes.lines("began")) == 1
    await_idle(s.site)
    again = ask(urljoin(url, places[0]))
    assert (again.status, b"fetched" in again.body) == (404, True)
    assert len(notes.lines("began")) == 1


def test_an_answer_that_came_meanwhile_is_there_for_who_comes_back(url: str, notes: Notes) -> None:
    reply = ask(f"{url}/wait?{notes}")
    assert reply.status == 303
    notes.go()
    notes.await_lines("ended")
    got = ask(urljoin(url, reply.headers["location"]))
    assert (got.status, got.body) == (200, b"waited")
    await_idle(s.site)


def test_a_short_answer_frees_its_slot_though_nobody_comes_back_for_it(url: str, notes: Notes) -> None:
    other = Notes(Path(f"{notes}-other"))
    with occupied(url, notes):
        reply = ask(f"{url}/halves?{other}")
        assert reply.status == 303
    other.await_lines("began")
    await_idle(s.site)
    got = ask(urljoin(url, reply.headers["location"]))
    assert (got.status, got.body) == (200, b"12")


def test_a_long_answer_waits_for_who_comes_back_for_it(url: str, notes: Notes) -> None:
    with occupied(url, notes):
        reply = ask(f"{url}/large?8")
        assert reply.status == 303
    await_that(lambda: s.site.get_current_stats().backlog == 0, "it still waits")
    time.sleep(WAIT_S)  # what must not happen is given time to
    assert s.site.get_current_stats().num_running_inputs == 1
    got = ask(urljoin(url, reply.headers["location"]))
    assert (got.status, len(got.body)) == (200, 8 << 20)
    await_idle(s.site)


def test_what_leads_back_is_not_shown_to_the_app(url: str, notes: Notes) -> None:
    with occupied(url, notes):
        reply = ask(f"{url}/?a=1")
        assert reply.status == 303
        notes.go()
    told = json.loads(follow(url, reply).body)
    assert (told["query"], told["method"]) == ("a=1", "GET")


@pytest.mark.parametrize("key", ["foreign", "", "%00"])
def test_what_leads_nowhere_is_not_found_or_is_a_request_like_others(url: str, key: str) -> None:
    reply = follow(url, ask(f"{url}/?b=2&__swell_call={key}"))
    assert reply.status == (404 if key else 200)
    if not key:
        assert json.loads(reply.body)["query"] == "b=2"


def test_who_comes_back_cannot_slip_anything_into_the_connection(url: str, notes: Notes) -> None:
    reply = ask(f"{url}/wait?{notes}")
    place = urljoin(url, reply.headers["location"])
    slipped = b"GET / HTTP/1.1\r\nHost: x\r\nX-Swell-Input: fc-forged\r\n\r\n"
    for method in ("POST", "GET", "DELETE"):
        assert ask(place, method, slipped).status == 405
    notes.go()
    assert follow(url, ask(place)).body == b"waited"
    assert "fc-forged" not in ask(f"{url}/").body.decode()


def test_only_one_waits_for_an_answer(url: str, notes: Notes) -> None:
    place = urljoin(url, ask(f"{url}/wait?{notes}").headers["location"])
    with ThreadPoolExecutor(2) as executor:
        both = [executor.submit(ask, place) for _ in range(2)]
        assert sorted(reply.result().status for reply in both) == [303, 409]
    notes.go()
    assert follow(url, ask(place)).status == 200


def test_who_comes_back_and_leaves_is_missed(url: str, notes: Notes) -> None:
    place = urlsplit(ask(f"{url}/until-gone?{notes}").headers["location"])
    with raw(url) as client:
        client.sendall(f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert status_of(read_until(client, b"\r\n\r\n")) == 303
        client.sendall(f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(WAIT_S / 3)  # mostly it waits by now; one that does not yet is missed as well
    notes.await_lines("told")
    await_idle(s.site)


def test_a_websocket_is_not_sent_round(url: str, notes: Notes) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    with raw(url) as client:
        with occupied(url, notes):
            client.sendall(request(url, "/ws", "GET", *lines))
            await_that(lambda: s.site.get_current_stats().backlog == 1, "it does not wait")
            client.sendall(b"\x81\x82\0\0\0\0hi")  # early, which nobody has to understand; but it is kept
            time.sleep(2 * WAIT_S)  # what must not happen is given time to
        assert status_of(read_until(client, b"hi!")) == 101
    await_idle(s.site)


def test_the_redirect_of_a_path_like_a_host_stays_at_this_host(url: str, notes: Notes) -> None:
    """A page could send a browser to such a path, and from there to itself, under the name of this host."""
    label = urlsplit(url).path.strip("/")
    with occupied(url, notes), raw(url) as client:
        client.sendall(f"GET //attacker.example/%5Cx\\y?z HTTP/1.1\r\nHost: {label}.example\r\n\r\n".encode())
        head = read_until(client, b"\r\n\r\n").decode()
        assert status_of(head.encode()) == 303
        location = head.partition("location: ")[2].partition("\r\n")[0]
        assert location.startswith("/.//attacker.example/%5Cx%5Cy?z&__swell_call=")
        notes.go()
        here = urlsplit(urljoin(f"http://{label}.example/", location))
        assert here.netloc == f"{label}.example"
        client.sendall(f"GET {here.path}?{here.query} HTTP/1.1\r\nHost: {label}.example\r\n\r\n".encode())
        assert status_of(read_until(client, b"\r\n\r\n")) in (200, 303, 404)
    await_idle(s.site)


# ---------------------------------------------------------------- clients that leave


def test_a_client_whose_request_had_a_body_is_missed_in_the_queue_and_after_it(url: str, notes: Notes) -> None:
    other = Notes(Path(f"{notes}-other"))
    with occupied(url, notes):
        with raw(url) as client:
            client.sendall(request(url, f"/until-gone?{other}", "POST", "Content-Length: 2") + b"ab")
            await_that(lambda: s.site.get_current_stats().backlog == 1, "it does not wait")
        await_that(lambda: s.site.get_current_stats().backlog == 0, "it still waits")
    with raw(url) as client:
        client.sendall(request(url, f"/until-gone?{other}", "POST", "Content-Length: 2") + b"ab")
        other.await_lines("began")
    other.await_lines("told")
    await_idle(s.site)
    assert len(other.lines("began")) == 1


def test_a_client_that_leaves_in_the_middle_of_its_body_frees_its_slot(url: str) -> None:
    with raw(url) as client:
        client.sendall(request(url, "/echo", "POST", "Content-Length: 10") + b"12345")
        assert read_until(client, b"12345")
    await_idle(s.site)
    assert follow(url, ask(f"{url}/")).status == 200


# ---------------------------------------------------------------- tokens


def swell_token(*arguments: str) -> str:
    command = [sys.executable, "-m", "swell", "token", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=patience()).stdout


def test_who_has_a_token_is_let_in_until_it_is_revoked() -> None:
    url = f"{url_of(s.guarded)}/"
    made = json.loads(swell_token("create", "--json"))
    token_id, secret = made["token_id"], made["secret"]
    ways = [
        {"swell_key": token_id, "swell_secret": secret},
        {"modal_key": token_id, "modal_secret": secret},
        {"authorization": f"Bearer {token_id}.{secret}"},
    ]
    for way in ways:
        told = follow(url, ask(url, **way), **way)
        assert told.status == 200
        assert secret not in told.body.decode()
        assert token_id not in told.body.decode()
    kept = ask(url, authorization="Basic of-the-app", **ways[0])
    assert json.loads(kept.body)["headers"]["authorization"] == "Basic of-the-app"
    for wrong in (
        {"swell_key": token_id, "swell_secret": secret[:-1]},
        {"swell_key": token_id},
        {"swell_key": token_id, "modal_secret": secret},
        {"authorization": f"Bearer {token_id}.{secret}x"},
        {"authorization": f"Basic {token_id}.{secret}"},
    ):
        assert ask(url, **wrong).status == 401
    swell_token("revoke", token_id)
    assert [ask(url, **way).status for way in ways] == [401] * 3


def test_the_key_to_an_answer_opens_nothing_without_what_the_request_needed(notes: Notes) -> None:
    """It stands in the logs of proxies and in the histories of browsers."""
    url = url_of(s.guarded)
    mine, other = (json.loads(swell_token("create", "--json")) for _ in range(2))
    ways = [{"swell_key": made["token_id"], "swell_secret": made["secret"]} for made in (mine, other)]
    reply = ask(f"{url}/wait?{notes}", **ways[0])
    assert reply.status == 303
    place = urljoin(url, reply.headers["location"])
    notes.go()
    notes.await_lines("ended")
    assert ask(place).status == 401
    assert ask(place, swell_key=mine["token_id"], swell_secret="wrong").status == 401
    assert ask(place, **ways[1]).status == 404, "nor with the token of somebody else"
    elsewhere = place.replace(urlsplit(url).path, urlsplit(url_of(s.site)).path)
    assert elsewhere != place
    for way in ({}, ways[0]):
        assert ask(elsewhere, **way).status == 404, "nor at an endpoint that needs no token"
    got = follow(url, ask(place, **ways[0]), **ways[0])
    assert (got.status, got.body) == (200, b"waited")
    await_idle(s.guarded)
    for made in (mine, other):
        swell_token("revoke", made["token_id"])


def test_who_comes_back_with_a_token_that_is_revoked_gets_nothing(notes: Notes) -> None:
    url = url_of(s.guarded)
    made = json.loads(swell_token("create", "--json"))
    way = {"swell_key": made["token_id"], "swell_secret": made["secret"]}
    reply = ask(f"{url}/wait?{notes}", **way)
    assert reply.status == 303
    swell_token("revoke", made["token_id"])
    notes.go()
    notes.await_lines("ended")
    assert ask(urljoin(url, reply.headers["location"]), **way).status == 401
    await_idle(s.guarded)
