"""What a container answers to HTTP, as any client on its sockets sees it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import json
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from patience import patience, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect

from swell.errors import ExecutionError, InvalidError
from swell.model import ClassSpec, Concurrency, FunctionSpec, MethodSpec, OutputStatus, Source, WebSpec
from swell.wire import payload
from swell.wire.messages import Drain, StartFailed

Start = Callable[..., Any]

PATIENCE_S = patience(60.0)

ASGI, WSGI = WebSpec("asgi"), WebSpec("wsgi")

#: Code for tests to wait in, and a small framework: `@page` answers with what a handler returns.
FRAME = """
import asyncio, functools, json, os, sys, threading, time
from swell.wire.context import current_function_call_id, current_input_id
def reached(name):
    open(name, "w").close()
def is_there(name):
    return os.path.exists(name)
async def await_file(name):
    while not os.path.exists(name): await asyncio.sleep(0.001)
async def body_of(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body
async def answer(send, body=b"", status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else json.dumps(body).encode()})
def page(handler):
    @functools.wraps(handler)
    async def app(scope, receive, send):
        if scope["type"] == "lifespan": raise NotImplementedError
        await answer(send, await handler(scope, receive))
    return app
"""


def function(web: WebSpec = ASGI, max_inputs: int = 8, **options: Any) -> FunctionSpec:
    return FunctionSpec(
        "f", Source("program", "f"), web=web, concurrency=Concurrency(max_inputs, max_inputs), **options
    )


def cls(*methods: MethodSpec, max_inputs: int = 8) -> FunctionSpec:
    return FunctionSpec(
        "C.*", Source("program", "C"), cls=ClassSpec(methods), concurrency=Concurrency(max_inputs, max_inputs)
    )


def await_that(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, what, pause_s=0.002)


def failure(peer: Any) -> BaseException:
    """What a container that does not start reports."""
    message, data = peer.data.read()
    assert isinstance(message, StartFailed), message
    assert peer.wait()[0] == 1
    error: BaseException = payload.decode_exception(data)
    return error


def websocket(peer: Any, path: str = "/", method: str = "", **options: Any) -> ClientConnection:
    uri = f"ws://site.example{path}"
    return unix_connect(peer.socket_path(method), uri, open_timeout=PATIENCE_S, max_size=None, **options)


def receive_answer(client: socket.socket) -> bytes:
    """What arrives up to the end of a chunked answer."""
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        piece = client.recv(10_000)
        assert piece, received
        received += piece
    return received


broken_off = pytest.raises((http.client.RemoteDisconnected, ConnectionError))


# ---------------------------------------------------------------- requests


SEES = (
    FRAME
    + """
@page
async def app(scope, receive):
    seen = {key: scope[key] for key in ("method", "path", "scheme", "client", "server", "root_path", "http_version")}
    seen |= {key: scope[key].decode() for key in ("raw_path", "query_string")}
    seen["headers"] = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    return {**seen, "body": (await body_of(receive)).decode(), "input": current_input_id()}
def f(): return app
"""
)


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


# ---------------------------------------------------------------- bodies


def test_an_answer_arrives_while_it_is_made(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(3):
        await send({"type": "http.response.body", "body": b"data: %d\\n\\n" % number, "more_body": True})
        await await_file(f"go{number}")
    await send({"type": "http.response.body", "body": b""})
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        for number in range(3):
            assert answer.readline() == b"data: %d\n" % number
            assert answer.readline() == b"\n"
            peer.mark(f"go{number}").touch()
        assert answer.read() == b""


def test_a_body_arrives_while_it_is_sent(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    pieces = []
    while not pieces or pieces[-1]:
        message = await receive()
        pieces.append(message["body"].decode())
        reached(f"got-{message['body'].decode()}")
    await answer(send, pieces)
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(peer.socket_path())
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in (b"one", b"two"):
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            await_that(peer.mark(f"got-{piece.decode()}").exists, "it does not arrive before the others")
        client.sendall(b"0\r\n\r\n")
        assert b'["one", "two", ""]' in receive_answer(client)


COUNTS = (
    FRAME
    + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    if scope["path"] == "/unread": await await_file("go")
    size, more = 0, scope["method"] == "POST"
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(200 if scope["path"] == "/large" else 0):
        await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        if number == 100: reached("halfway")
    with open("/proc/self/status") as status:
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    await send({"type": "http.response.body", "body": b"%d %d" % (size, peak_kb)})
def f(): return app
"""
)


def test_large_bodies_are_not_held(start: Start) -> None:
    peer = start(function(), COUNTS)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request(
            "POST",
            "/large",
            (bytes(1 << 20) for _ in range(200)),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        received = connection.getresponse().read()
    size, peak_kb = map(int, received[200 << 20 :].split())
    assert size == 200 << 20
    assert peak_kb < 150_000


def test_an_answer_waits_for_its_reader(start: Start) -> None:
    peer = start(function(), COUNTS)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/large")
        answer = connection.getresponse()
        assert peer.ask()[0] == 200, "another request is not held up"
        assert not peer.mark("halfway").exists()
        assert len(answer.read()) > 200 << 20
    assert peer.mark("halfway").exists()


def test_a_body_waits_for_its_handler(start: Start) -> None:
    peer = start(function(), COUNTS)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.socket_path())
        client.settimeout(1)
        client.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (100 << 20))
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100 << 20:
                sent += client.send(bytes(1 << 16))
        assert sent < 8 << 20
        peer.mark("go").touch()
        client.settimeout(PATIENCE_S)
        client.sendall(bytes((100 << 20) - sent))
        assert b"%d " % (100 << 20) in receive_answer(client)


def test_a_handler_is_told_that_its_client_has_gone(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    await body_of(receive)
    reached("called")
    assert (await receive())["type"] == "http.disconnect"
    await answer(send, b"to nobody")
    reached("told")
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("POST", "/", b"x")
        await_that(peer.mark("called").exists, "never called")
    await_that(peer.mark("told").exists, "never told")
    assert peer.end()[::2] == (0, "")


def test_a_connection_ends_with_the_handler_when_its_client_has_left(start: Start) -> None:
    """The edge half-closes it, and gives the slot to another request when it sees its end."""
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    while (await receive())["type"] != "http.disconnect": pass
    reached("told")
    await await_file("go")
    await answer(send, b"nobody reads this")
    reached("ended")
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.socket_path())
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        await_that(peer.mark("told").exists, "never told")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        peer.mark("go").touch()
        client.settimeout(PATIENCE_S)
        assert client.recv(1) == b""
    assert peer.mark("ended").exists()
    assert peer.end()[::2] == (0, "")


def test_an_endless_answer_holds_up_nobody_when_its_client_has_gone(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] == "lifespan": raise NotImplementedError
    if scope["path"] == "/": return await answer(send, b"fine")
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while True: await send({"type": "websocket.send", "bytes": bytes(1000)})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True: await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/endless")
        assert len(connection.getresponse().read(10_000)) == 10_000
    with websocket(peer, "/endless") as ws:
        for _ in range(100):
            assert ws.recv(PATIENCE_S) == bytes(1000)
        ws.socket.shutdown(socket.SHUT_RDWR)
    assert [peer.ask() for _ in range(20)] == [(200, b"fine")] * 20
    assert peer.end(grace_s=1.0)[0] == 0


# ---------------------------------------------------------------- failures

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


# ---------------------------------------------------------------- starting


def test_an_app_is_built_once_on_the_main_thread_after_the_hooks(start: Start) -> None:
    code = (
        FRAME
        + """
class C:
    async def early(self):
        self.log = ["enter"]
        self.loop = asyncio.get_running_loop()
    early.__swell_marks__ = {"enter": {"snap": False}}
    def site(self):
        main = threading.current_thread() is threading.main_thread()
        self.log.append(["site", main, asyncio._get_running_loop() is None, current_input_id()])
        @page
        async def app(scope, receive):
            return [*self.log, asyncio.get_running_loop() is self.loop, type(self.loop).__module__]
        return app
    async def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
"""
    )
    peer = start(cls(MethodSpec("site", web=ASGI)), code)
    peer.ready()
    for _ in range(2):
        log = json.loads(peer.ask(method="site")[1])
        assert log[:3] == ["enter", ["site", True, True, None], True]
        assert (log[3] == "uvloop") is (importlib.util.find_spec("uvloop") is not None)
    assert peer.end()[:2] == (0, "left\n")


@pytest.mark.parametrize(
    ("code", "web", "kind", "text"),
    [
        ("def f(): raise LookupError('no model')", ASGI, LookupError, "no model"),
        ("def f(): raise SystemExit(0)", WSGI, SystemExit, "0"),
        ("def f(): pass", ASGI, InvalidError, "must return an ASGI app, not a NoneType"),
        ("def f(): return 'app'", WSGI, InvalidError, "must return a WSGI app, not a str"),
        ("async def g(): pass\ndef f(): return g()", ASGI, InvalidError, "coroutine"),
        ("import sys\nsys.modules['fastapi'] = None\ndef f(): pass", WebSpec("endpoint"), InvalidError, "pip install"),
        ("class Odd: pass\ndef f(x: Odd): pass", WebSpec("endpoint"), InvalidError, "cannot make a route of f"),
    ],
)
def test_what_cannot_be_served_is_a_failed_start(
    start: Start, code: str, web: WebSpec, kind: type[BaseException], text: str
) -> None:
    error = failure(start(function(web), code))
    assert isinstance(error, kind)
    assert text in str(error)


def test_sockets_are_for_this_user_only_and_go_with_the_container(start: Start) -> None:
    peer = start(function(), SEES)
    peer.ready()
    mode = os.stat(peer.socket_path()).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert peer.end()[0] == 0
    assert os.listdir(peer.web_dir) == []


def test_an_interrupt_while_an_app_starts_leaves_at_once(start: Start) -> None:
    code = FRAME + "def f():\n    reached('building')\n    time.sleep(1000)"
    peer = start(function(), code)
    await_that(peer.mark("building").exists, "never built")
    peer.interrupt()
    assert peer.wait()[0] == 0


# ---------------------------------------------------------------- lifespan

LIFESPAN = (
    FRAME
    + """
class C:
    def one(self): return self.app("one")
    def two(self): return self.app("two")
    def app(self, name):
        async def app(scope, receive, send):
            if scope["type"] == "http":
                scope["state"]["own"] += 1
                scope["state"]["shared"].append(1)
                await answer(send, [scope["state"]["own"], len(scope["state"]["shared"]), scope["state"]["name"]])
                return
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"].update(own=0, shared=[], name=name)
            await asyncio.sleep(0)
            await send({"type": "lifespan.startup.complete"})
            print("up", name)
            assert (await receive())["type"] == "lifespan.shutdown"
            print("down", name)
            await send({"type": "lifespan.shutdown.complete"})
        return app
    def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
"""
)


def test_each_app_has_its_own_lifespan_and_requests_a_copy_of_its_state(start: Start) -> None:
    peer = start(cls(MethodSpec("one", web=ASGI), MethodSpec("two", web=ASGI)), LIFESPAN)
    peer.ready()
    answers = [json.loads(peer.ask(method=method)[1]) for method in ("one", "one", "two")]
    assert answers == [[1, 1, "one"], [1, 2, "one"], [1, 1, "two"]]
    code, out, err = peer.end()
    assert (code, err) == (0, "")
    assert out.split("\n") == ["up one", "up two", "down one", "down two", "left", ""]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("raise LookupError('no disk')", "LookupError: no disk"),
        ("await send({'type': 'lifespan.startup.failed', 'message': 'no disk'})", "no disk"),
        ("await send({'type': 'lifespan.startup.failed'})", "no reason is given"),
        ("await send({'type': 'lifespan.startup.failed'}); raise LookupError('no disk')", "LookupError: no disk"),
    ],
)
def test_an_app_that_fails_to_start_is_a_failed_start(start: Start, body: str, text: str) -> None:
    code = f"""
async def app(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    {body}
def f(): return app
"""
    error = failure(start(function(), code))
    assert isinstance(error, ExecutionError)
    assert str(error) == f"lifespan startup failed: {text}"


def test_a_failing_lifespan_of_starlette_tells_its_reason(start: Start) -> None:
    code = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
@asynccontextmanager
async def lifespan(app):
    raise LookupError("no disk")
    yield
def f(): return FastAPI(lifespan=lifespan)
"""
    error = failure(start(function(), code))
    assert str(error) == "lifespan startup failed: LookupError: no disk"


@pytest.mark.parametrize(
    "body",
    [
        "raise NotImplementedError",
        "return",
        "await receive()",
        "await answer(send)",
        "await receive()\n        await answer(send)",
        "await receive()\n        await send({'type': 'lifespan.startup.complete'})",
    ],
)
def test_an_app_may_know_nothing_of_lifespans_or_not_all(start: Start, body: str) -> None:
    code = (
        FRAME
        + f"""
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        {body}
        return
    await answer(send, "fine")
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    assert peer.ask() == (200, b'"fine"')
    assert peer.end() == (0, "", "")


def test_an_app_that_fails_to_stop_does_not_keep_exit_hooks_from_running(start: Start) -> None:
    code = (
        FRAME
        + """
class C:
    def site(self):
        async def app(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            raise LookupError("cannot stop")
        return app
    def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
"""
    )
    peer = start(cls(MethodSpec("site", web=ASGI)), code)
    peer.ready()
    code, out, err = peer.end()
    assert (code, out) == (1, "left\n")
    assert "lifespan shutdown failed: LookupError: cannot stop" in err


# ---------------------------------------------------------------- WebSockets

SOCKETS = (
    FRAME
    + """
async def app(scope, receive, send):
    if scope["type"] == "http": return await answer(send, "fine")
    if scope["type"] != "websocket": raise NotImplementedError
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if path == "/refuse": return await send({"type": "websocket.close"})
    chosen = {"subprotocol": scope["subprotocols"][-1]} if scope["subprotocols"] else {}
    await send({"type": "websocket.accept", **chosen})
    if path == "/fail": raise LookupError("mid-way")
    if path == "/bye": return await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
    if path == "/who":
        headers = [name.decode() for name, _ in scope["headers"]]
        await send({"type": "websocket.send", "text": json.dumps([current_input_id(), scope["scheme"], headers])})
    if path == "/flood":
        while True:
            await send({"type": "websocket.send", "bytes": bytes(1 << 20)})
            reached("flooding")
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    reached(f"gone-{message['code']}")
def f(): return app
"""
)


def test_websockets_talk(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with websocket(peer, subprotocols=["one", "two"]) as ws:
        assert ws.subprotocol == "two"
        assert ws.response is not None
        assert "sec-websocket-extensions" not in ws.response.headers, "nothing is compressed"
        for message in ("text", b"bytes", "", "ü" * 500_000, bytes(2 << 20), ["in ", "three ", "pieces"]):
            ws.send(message)
            assert ws.recv(PATIENCE_S) == ("".join(message) if isinstance(message, list) else message)
    await_that(peer.mark("gone-1000").exists, "the app was not told")
    assert peer.end()[::2] == (0, "")


def test_a_websocket_is_an_input(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    said = {"x-swell-input": "fc-3", "x-forwarded-proto": "https"}
    with websocket(peer, "/who", additional_headers=said) as ws:
        input_id, scheme, headers = json.loads(ws.recv(PATIENCE_S))
    assert (input_id, scheme) == ("in-3:0", "wss")
    assert not [name for name in headers if name.startswith("x-swell")]


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_message_has_at_most_two_megabytes(start: Start, pieces: int) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    size = (2 << 20) + 1
    with websocket(peer) as ws, pytest.raises(ConnectionClosed):  # with 1009, if it is not lost with what was unread
        ws.send(bytes(size) if pieces == 1 else [bytes(size // 2), bytes(size // 2), b"xx"])
        ws.recv(PATIENCE_S)
    await_that(peer.mark("gone-1009").exists, "the app was not told")


def test_an_app_refuses_and_closes(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with pytest.raises(InvalidStatus) as refused, websocket(peer, "/refuse"):
        pass
    assert refused.value.response.status_code == 403
    with websocket(peer, "/bye") as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")


def test_a_failing_handler_ends_its_websocket_only(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with websocket(peer) as other:
        with websocket(peer, "/fail") as ws, pytest.raises(ConnectionClosed):
            ws.recv(PATIENCE_S)
        other.send("still there")
        assert other.recv(PATIENCE_S) == "still there"
    assert peer.end()[2].count("LookupError: mid-way") == 1


def test_a_client_that_is_gone_is_noticed(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with websocket(peer) as ws:
        ws.socket.shutdown(socket.SHUT_RDWR)
        await_that(peer.mark("gone-1005").exists, "the app was not told")
    with websocket(peer, "/flood") as ws:
        await_that(peer.mark("flooding").exists, "nothing comes")
        ws.socket.shutdown(socket.SHUT_RDWR)
    assert peer.end()[0] == 0


# ---------------------------------------------------------------- leaving


HOLDS = (
    FRAME
    + """
class C:
    def site(self):
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                print("down")
                return await send({"type": "lifespan.shutdown.complete"})
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                while (message := await receive())["type"] != "websocket.disconnect":
                    if message["type"] == "websocket.receive": await send({**message, "type": "websocket.send"})
                print("hung up", message["code"])
                return
            reached("held" + scope["path"].strip("/"))
            try:
                await await_file("go" + scope["path"].strip("/"))
            except asyncio.CancelledError:
                print("cancelled")
                raise
            await answer(send, b"x" * (20 << 20) if scope["path"] == "/large" else b"done")
        return app
    async def call(self, x):
        await await_file("go")
        return x
    def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
"""
)

HOLDING = cls(MethodSpec("site", web=ASGI), MethodSpec("call", is_async=True))


def test_a_drain_lets_requests_and_calls_finish(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    idle = peer.http("site")
    idle.connect()
    delivery = peer.deliver((5,), method="call")
    with contextlib.closing(peer.http("site")) as connection, contextlib.closing(peer.http("site")) as large:
        connection.request("GET", "/")
        large.request("GET", "/large")
        await_that(lambda: peer.mark("held").exists() and peer.mark("heldlarge").exists(), "never called")
        peer.order(Drain(PATIENCE_S))
        assert idle.sock.recv(1) == b"", "an idle connection is closed"
        idle.close()
        with pytest.raises(OSError, match=r"No such file|refused"):
            peer.ask(method="site")
        peer.mark("go").touch()
        assert connection.getresponse().read() == b"done"
        assert connection.sock is None or connection.sock.recv(1) == b"", "it was the last one on this connection"
        peer.mark("golarge").touch()
        assert len(large.getresponse().read()) == 20 << 20, "what is written is also sent"
    assert peer.results_of(delivery, 1) == [(OutputStatus.SUCCESS, 5)]
    assert peer.wait() == (0, "down\nleft\n", "")


def test_a_drain_lets_websockets_finish(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    with websocket(peer, method="site") as ws:
        peer.order(Drain(PATIENCE_S))
        await_that(lambda: not os.path.exists(peer.socket_path("site")), "it accepts still")
        ws.send("still here")
        assert ws.recv(PATIENCE_S) == "still here"
    assert peer.wait() == (0, "hung up 1000\ndown\nleft\n", "")


def test_a_drain_ends_what_takes_longer_than_the_grace(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    with websocket(peer, method="site") as ws, contextlib.closing(peer.http("site")) as connection:
        connection.request("GET", "/")
        await_that(peer.mark("held").exists, "never called")
        peer.order(Drain(2.0))
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        with broken_off:
            connection.getresponse()
    assert peer.wait() == (0, "hung up 1012\ncancelled\ndown\nleft\n", "")


def test_who_had_connected_before_a_drain_is_served(start: Start) -> None:
    peer = start(
        function(),
        FRAME
        + """
@page
async def app(scope, receive):
    if scope["path"] == "/block":
        reached("blocking")
        while not is_there("go"): time.sleep(0.001)  # the loop sees nothing of what arrives meanwhile
    return "served"
def f(): return app
""",
    )
    peer.ready()
    blocking, waiting = peer.http(), [peer.http() for _ in range(20)]
    blocking.request("GET", "/block")
    await_that(peer.mark("blocking").exists, "never called")
    for connection in waiting:
        connection.request("GET", "/")
    peer.order(Drain(PATIENCE_S))
    peer.mark("go").touch()
    for connection in (blocking, *waiting):
        assert connection.getresponse().read() == b'"served"'
        connection.close()
    assert peer.wait()[0] == 0


@pytest.mark.parametrize("means", ["signal", "twice", "after a drain"])
def test_an_interrupt_breaks_off_requests_and_leaves_in_order(start: Start, means: str) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    with websocket(peer, method="site") as ws, contextlib.closing(peer.http("site")) as connection:
        connection.request("GET", "/")
        await_that(peer.mark("held").exists, "never called")
        if means == "after a drain":
            peer.order(Drain(PATIENCE_S))
            await_that(lambda: not os.path.exists(peer.socket_path("site")), "it accepts still")
        peer.interrupt()
        if means == "twice":
            peer.interrupt()
        with broken_off:
            connection.getresponse()
        with pytest.raises(ConnectionClosed):
            ws.recv(PATIENCE_S)
    code, out, err = peer.wait()
    assert (code, err) == (0, "")
    assert out.splitlines() == ["cancelled", "down", "left"]


# ---------------------------------------------------------------- beside calls


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
