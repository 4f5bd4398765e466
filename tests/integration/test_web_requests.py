"""What a container answers to HTTP, as any client on its sockets sees it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket

import aiohttp
import pytest
from web_program import ASGI, FRAME, HOLDING, HOLDS, PATIENCE_S, SEES, Start, broken_off, cls, function

from swell.model import MethodSpec, OutputStatus, WebSpec

# ------------------------------------------------------------ requests


def test_an_app_sees_the_request_and_which_input_it_is(start: Start) -> None:
    peer = start(function(), SEES)
    peer.ready()
    status, body = peer.ask("PUT", "/a%20b/c?x=1&y=%2F", b"hello", X_Swell_Input="fc-7", X_Swell_More="1", X_Mine="2")
    assert status == 200
    assert json.loads(body) == {
        "method": "PUT",
        "path": "/a b/c",
        "raw_path": "/a%20b/c",
        "query_string": "x=1&y=%2F",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ["127.0.0.1", 0],
        "server": ["site.example", 80],
        "headers": [
            ["host", "site.example"],
            ["accept-encoding", "identity"],
            ["content-length", "5"],
            ["x-mine", "2"],
        ],
        "body": "hello",
        "input": "in-7:0",
    }


def test_what_the_edge_says_of_the_client_is_what_the_app_sees(start: Start) -> None:
    peer = start(function(), SEES)
    peer.ready()
    said = {"X-Forwarded-For": "6.6.6.6, 10.0.0.7", "X-Forwarded-Proto": "https", "Host": "a.example:8443"}
    seen = json.loads(peer.ask(**said)[1])
    assert (seen["client"], seen["scheme"], seen["server"]) == (["10.0.0.7", 0], "https", ["a.example", 8443])
    seen = json.loads(peer.ask(Host="[::1]:99", X_Forwarded_Proto="gopher")[1])
    assert (seen["server"], seen["scheme"], seen["input"]) == (["::1", 99], "http", None)
    assert json.loads(peer.ask(Host="[::1]", X_Forwarded_Proto="https")[1])["server"] == ["::1", 443]


def test_what_the_edge_has_cut_off_the_path_is_the_root(start: Start) -> None:
    peer = start(function(), SEES)
    peer.ready()
    seen = json.loads(peer.ask(path="/a%20b?x=1", X_Swell_Root="/app-site")[1])
    assert (seen["root_path"], seen["path"], seen["raw_path"]) == ("/app-site", "/app-site/a b", "/app-site/a%20b")


def test_each_of_many_requests_is_its_own_input(start: Start) -> None:
    code = (
        FRAME
        + """
@page
async def app(scope, receive):
    before = current_input_id()
    await asyncio.sleep(0.01)
    return [before, current_input_id(), current_function_call_id()]
def f(): return app
"""
    )
    peer = start(function(max_inputs=100), code)
    peer.ready()

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        async with session.get("http://x/", headers={"x-swell-input": f"fc-{number}"}) as answer:
            assert await answer.json(content_type=None) == [f"in-{number}:0", f"in-{number}:0", f"fc-{number}"]

    async def ask_all() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(peer.socket_path(), limit=100)) as session:
            for _ in range(5):
                await asyncio.gather(*(ask(session, number) for number in range(200)))

    asyncio.run(ask_all())
    assert peer.end()[::2] == (0, "")


def test_requests_run_side_by_side(start: Start) -> None:
    code = (
        FRAME
        + """
inside = 0
@page
async def app(scope, receive):
    global inside
    inside += 1
    while inside < 50: await asyncio.sleep(0.001)
    return "together"
def f(): return app
"""
    )
    peer = start(function(max_inputs=50), code)
    peer.ready()

    async def ask_all() -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(peer.socket_path())) as session:

            async def ask() -> int:
                async with session.get("http://x/") as answer:
                    return answer.status

            return await asyncio.gather(*(ask() for _ in range(50)))

    assert asyncio.run(ask_all()) == [200] * 50


def test_a_connection_carries_many_requests(start: Start) -> None:
    peer = start(function(), SEES)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        for number in range(50):
            connection.request("POST", "/", str(number))
            answer = connection.getresponse()
            assert json.loads(answer.read())["body"] == str(number)
            assert answer.getheader("date")
            assert answer.getheader("server") is None


def test_nonsense_is_answered_400_and_harms_nobody(start: Start) -> None:
    peer = start(function(), SEES)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(peer.socket_path())
        client.sendall(b"\0\1\2 nonsense\r\n\r\n")
        assert b"400 Bad Request" in client.recv(1000)
    assert peer.ask()[0] == 200


# ------------------------------------------------------------ failures


FAILS = (
    FRAME
    + """
@page
async def app(scope, receive):
    match scope["path"]:
        case "/raise": return inner()
        case "/exit": sys.exit(3)
        case "/interrupt": raise KeyboardInterrupt
        case "/surprise": raise asyncio.CancelledError
    return "fine"
def inner(): raise LookupError("not there")
async def broken(scope, receive, send):
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise LookupError("too late")
    if scope["path"] == "/silent": return
    await app(scope, receive, send)
def f(): return broken
"""
)


def test_an_exception_is_answered_500_and_told_once(start: Start) -> None:
    peer = start(function(), FAILS)
    peer.ready()
    assert peer.ask(path="/raise")[0] == 500
    assert peer.ask() == (200, b'"fine"')
    code, _, err = peer.end()
    assert code == 0
    assert err.count("LookupError: not there") == 1
    assert "in inner" in err
    assert "uvicorn" not in err


@pytest.mark.parametrize("path", ["/exit", "/silent", "/surprise"])
def test_whatever_else_goes_wrong_is_answered_500(start: Start, path: str) -> None:
    peer = start(function(), FAILS)
    peer.ready()
    assert peer.ask(path=path)[0] == 500
    assert peer.ask()[0] == 200
    assert peer.end()[0] == 0


def test_an_answer_that_breaks_off_is_seen_to(start: Start) -> None:
    peer = start(function(), FAILS)
    peer.ready()
    with pytest.raises(http.client.IncompleteRead):
        peer.ask(path="/late")
    assert peer.ask()[0] == 200
    assert "LookupError: too late" in peer.end()[2]


def test_keyboard_interrupt_of_a_handler_makes_the_container_leave_without_an_answer(start: Start) -> None:
    peer = start(function(), FAILS)
    peer.ready()
    with broken_off:
        peer.ask(path="/interrupt")
    code, _, err = peer.wait()
    assert (code, err) == (0, "")


def test_logging_of_the_users_gets_no_access_log_and_loses_no_traceback(start: Start) -> None:
    code = (
        FAILS
        + """
import logging, logging.config
logging.basicConfig(level=logging.DEBUG)
def f():
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    logging.basicConfig(level=logging.DEBUG, force=True)
    return broken
"""
    )
    peer = start(function(), code)
    peer.ready()
    assert peer.ask()[0] == 200
    assert peer.ask(path="/raise")[0] == 500
    err = peer.end()[2]
    assert err.count("LookupError: not there") == 1
    assert "GET" not in err


# ------------------------------------------------------------ beside calls


@pytest.mark.parametrize("max_inputs", [1, 4])
def test_a_class_takes_calls_and_requests(start: Start, max_inputs: int) -> None:
    code = (
        FRAME
        + """
class C:
    def site(self):
        @page
        async def app(scope, receive): return "page"
        return app
    def plain(self, x): return x, asyncio._get_running_loop(), threading.current_thread() is threading.main_thread()
    async def tasked(self, x): return x, asyncio.get_running_loop() is not None
"""
    )
    methods = (MethodSpec("site", web=ASGI), MethodSpec("plain"), MethodSpec("tasked", is_async=True))
    peer = start(cls(*methods, max_inputs=max_inputs), code)
    peer.ready()
    for x in range(20):
        assert peer.ask(method="site") == (200, b'"page"')
        assert peer.run((x,), method="plain") == [(OutputStatus.SUCCESS, (x, None, max_inputs == 1))]
        assert peer.run((x,), method="tasked") == [(OutputStatus.SUCCESS, (x, True))]
    assert peer.end()[::2] == (0, "")


def test_a_web_method_is_not_called(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    [(status, error)] = peer.run((), method="site")
    assert status is OutputStatus.FAILURE
    assert "no method 'site'; it has ['call']" in str(error)


def test_uvicorn_is_loaded_only_where_an_app_is_served(start: Start) -> None:
    code = (
        FRAME
        + """
import http.server
class C:
    def site(self):
        server = http.server.HTTPServer(("", 8651), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    def loaded(self): return sorted({name.partition(".")[0] for name in sys.modules} & {"uvicorn", "httptools"})
"""
    )
    server = MethodSpec("site", web=WebSpec("server", port=8651, startup_timeout_s=PATIENCE_S))
    for index, methods in enumerate(((server, MethodSpec("loaded")), (MethodSpec("loaded"),))):
        peer = start(cls(*methods), code, name=str(index))
        peer.ready()
        assert peer.run((), method="loaded") == [(OutputStatus.SUCCESS, [])]
