"""Endpoints made by FastAPI, and WSGI apps: what their users and their clients see."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from patience import patience, wait_until

from swell.model import ClassSpec, Concurrency, FunctionSpec, MethodSpec, OutputStatus, Source, WebSpec
from swell.wire.messages import Drain

Start = Callable[..., Any]

PATIENCE_S = patience(60.0)


def function(web: WebSpec, max_inputs: int = 8, **options: Any) -> FunctionSpec:
    concurrency = Concurrency(max_inputs, max_inputs)
    return FunctionSpec("f", Source("program", "f"), web=web, concurrency=concurrency, **options)


def endpoint(method: str = "GET", *, docs: bool = False, max_inputs: int = 8) -> FunctionSpec:
    return function(WebSpec("endpoint", method, docs=docs), max_inputs)


def wsgi(max_inputs: int = 8) -> FunctionSpec:
    return function(WebSpec("wsgi"), max_inputs)


def await_that(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, what, pause_s=0.002)


def ask_at_once(peer: Any, count: int) -> list[Any]:
    async def ask_all() -> list[Any]:
        connector = aiohttp.UnixConnector(peer.socket_path(), limit=count)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def ask(number: int) -> Any:
                async with session.get("http://x/", headers={"x-swell-input": f"fc-{number}"}) as answer:
                    return await answer.json(content_type=None)

            return await asyncio.gather(*(ask(number) for number in range(count)))

    return asyncio.run(ask_all())


# ---------------------------------------------------------------- endpoints


def test_arguments_of_an_endpoint_are_those_of_the_query(start: Start) -> None:
    peer = start(endpoint(), "def f(name: str, times: int = 1): return {'said': name * times}")
    peer.ready()
    assert peer.ask(path="/?name=ab&times=2") == (200, b'{"said":"abab"}')
    status, body = peer.ask(path="/?times=x")
    assert status == 422
    assert {tuple(problem["loc"]) for problem in json.loads(body)["detail"]} == {("query", "name"), ("query", "times")}
    assert peer.ask(path="/elsewhere")[0] == 404


def test_an_endpoint_takes_a_body_and_the_request_itself(start: Start) -> None:
    code = """
from __future__ import annotations
from fastapi import Request, Response
from pydantic import BaseModel
class Item(BaseModel):
    name: str
    count: int = 1
async def f(item: Item, request: Request, response: Response, q: str = ""):
    response.headers["x-client"] = request.client.host
    response.status_code = 201
    return [item.name, item.count, q, str(request.url)]
"""
    peer = start(endpoint("POST"), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("POST", "/?q=z", json.dumps({"name": "n"}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("x-client")) == (201, "127.0.0.1")
        assert json.loads(answer.read()) == ["n", 1, "z", "http://site.example/?q=z"]


def test_other_methods_are_answered_405(start: Start) -> None:
    peer = start(endpoint("PUT"), "def f(): return 1")
    peer.ready()
    assert [peer.ask(verb)[0] for verb in ("PUT", "GET", "POST", "DELETE")] == [200, 405, 405, 405]


def test_every_site_may_ask_from_a_browser(start: Start) -> None:
    peer = start(endpoint("POST"), "def f(): return 1")
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-Anything"}
        connection.request("OPTIONS", "/", headers={"Origin": "https://any.example", **wanted})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        assert answer.getheader("access-control-allow-origin") in ("*", "https://any.example")
        assert "POST" in str(answer.getheader("access-control-allow-methods"))
        assert "X-Anything" in str(answer.getheader("access-control-allow-headers"))
        connection.request("POST", "/", headers={"Origin": "https://any.example"})
        assert connection.getresponse().getheader("access-control-allow-origin") in ("*", "https://any.example")


@pytest.mark.parametrize("docs", [True, False])
def test_documentation_is_there_if_asked_for(start: Start, docs: bool) -> None:
    peer = start(endpoint(docs=docs), "def f(name: str): return name")
    peer.ready()
    statuses = [peer.ask(path=path)[0] for path in ("/docs", "/redoc", "/openapi.json")]
    assert statuses == [200 if docs else 404] * 3
    assert peer.ask(path="/?name=x") == (200, b'"x"')
    if docs:
        assert json.loads(peer.ask(path="/openapi.json")[1])["info"]["title"] == "f"


def test_a_sync_endpoint_runs_on_threads_as_many_as_inputs_and_each_is_its_own_input(start: Start) -> None:
    code = """
import threading
from swell.wire.context import current_input_id
together = threading.Barrier(64)
def f():
    together.wait(300)
    return [current_input_id(), threading.current_thread() is threading.main_thread()]
"""
    peer = start(endpoint(max_inputs=64), code)
    peer.ready()
    assert ask_at_once(peer, 64) == [[f"in-{number}:0", False] for number in range(64)]


def test_threads_of_sync_endpoints_are_kept(start: Start) -> None:
    peer = start(endpoint(max_inputs=1), "import threading\ndef f(): return threading.get_native_id()")
    peer.ready()
    assert len({peer.ask() for _ in range(20)}) == 1
    assert peer.end()[0] == 0


def test_an_endpoint_streams(start: Start) -> None:
    code = """
import os, time
from fastapi.responses import StreamingResponse
def pieces():
    for number in range(3):
        yield f"{number}\\n"
        while not os.path.exists(f"go{number}"): time.sleep(0.001)
def f(): return StreamingResponse(pieces())
"""
    peer = start(endpoint(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        for number in range(3):
            assert answer.readline() == b"%d\n" % number
            peer.mark(f"go{number}").touch()
        assert answer.read() == b""


def test_an_endpoint_that_raises_is_answered_500_and_told_once(start: Start) -> None:
    code = """
from fastapi import HTTPException
def f(code: int = 0):
    if code: raise HTTPException(code, "as asked")
    raise LookupError("not there")
"""
    peer = start(endpoint(), code)
    peer.ready()
    assert peer.ask()[0] == 500
    assert peer.ask(path="/?code=418") == (418, b'{"detail":"as asked"}')
    code, _, err = peer.end()
    assert code == 0
    assert err.count("LookupError: not there") == 1
    assert "uvicorn" not in err


def test_methods_of_a_class_are_endpoints(start: Start) -> None:
    code = """
import swell
app = swell.App("a")
@app.cls()
class C:
    size: int = swell.parameter(default=3)
    @swell.enter()
    def load(self): self.loaded = True
    @swell.fastapi_endpoint()
    def show(self, x: int): return [self.size, self.loaded, x]
    @swell.fastapi_endpoint(method="POST")
    async def change(self, x: int): self.size = x
    @swell.method()
    def read(self): return self.size
"""
    methods = (
        MethodSpec("show", web=WebSpec("endpoint")),
        MethodSpec("change", is_async=True, web=WebSpec("endpoint", "POST")),
        MethodSpec("read"),
    )
    peer = start(
        FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec(methods), parameters=b"\x81\xa4size\x05"), code
    )
    peer.ready()
    assert peer.ask(path="/?x=7", method="show") == (200, b"[5,true,7]")
    assert peer.ask("POST", "/?x=9", method="change") == (200, b"null")
    assert peer.ask("POST", "/?x=9", method="show")[0] == 405
    assert peer.run((), method="read") == [(OutputStatus.SUCCESS, 9)]
    assert peer.end()[0] == 0


def test_links_lead_through_the_edge(start: Start) -> None:
    code = """
import swell
from fastapi import FastAPI, Request
from flask import Flask, request, url_for
app = swell.App("a")
fast, flask = FastAPI(), Flask("flask")
@fast.get("/items/{name}")
def item(name: str, request: Request): return [name, str(request.url), str(request.url_for("item", name="x"))]
@flask.get("/items/<name>")
def flask_item(name): return [name, request.url, url_for("flask_item", name="x", _external=True)]
@app.cls()
class C:
    @swell.asgi_app()
    def one(self): return fast
    @swell.wsgi_app()
    def two(self): return flask
"""
    methods = (MethodSpec("one", web=WebSpec("asgi")), MethodSpec("two", web=WebSpec("wsgi")))
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec(methods)), code)
    peer.ready()
    base = "https://site.example/label/items"
    for method in ("one", "two"):
        said = {"X_Swell_Root": "/label", "X_Forwarded_Proto": "https"}
        assert json.loads(peer.ask(path="/items/a?q=1", method=method, **said)[1]) == [
            "a",
            f"{base}/a?q=1",
            f"{base}/x",
        ]
        assert peer.ask(path="/items/a", method=method)[0] == 200


# ---------------------------------------------------------------- WSGI

FLASK = """
import os, threading, time
from flask import Flask, Response, jsonify, request
from swell.wire.context import current_input_id
site = Flask("site")
@site.route("/seen/<name>", methods=["GET", "POST"])
def seen(name):
    return jsonify(name=name, args=request.args.to_dict(flat=False), form=request.form, url=request.url,
                   client=request.remote_addr, cookies=request.cookies, mine=request.headers.get("X-Mine"),
                   swell=[key for key in request.headers.keys() if "swell" in key.lower()],
                   input=current_input_id(), main=threading.current_thread() is threading.main_thread())
@site.route("/body", methods=["POST"])
def body(): return str(len(request.get_data()))
@site.route("/stream")
def stream():
    def pieces():
        for number in range(3):
            yield f"{number}\\n"
            while not os.path.exists(f"go{number}"): time.sleep(0.001)
    return Response(pieces())
@site.route("/fail")
def fail(): raise LookupError("not there")
def f(): return site
"""


def test_a_wsgi_app_sees_the_request_and_which_input_it_is(start: Start) -> None:
    peer = start(wsgi(), FLASK)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "a=b",
            "X-Mine": "1",
            "X_Mine": "2",
            "X-Swell-Input": "fc-5",
            "X-Forwarded-For": "10.0.0.7",
            "X-Forwarded-Proto": "https",
        }
        connection.request("POST", "/seen/gr%C3%B6%C3%9Fe?x=1&x=2", "k=v", headers)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (200, "application/json")
        assert answer.getheader("transfer-encoding") is None
        assert json.loads(answer.read()) == {
            "name": "größe",
            "args": {"x": ["1", "2"]},
            "form": {"k": "v"},
            "url": "https://site.example/seen/größe?x=1&x=2",
            "client": "10.0.0.7",
            "cookies": {"a": "b"},
            "mine": "1",
            "swell": [],
            "input": "in-5:0",
            "main": False,
        }


@pytest.mark.parametrize("chunked", [False, True])
def test_a_wsgi_app_reads_large_bodies(start: Start, chunked: bool) -> None:
    peer = start(wsgi(), FLASK)
    peer.ready()
    pieces = [bytes(1 << 20)] * 30
    with contextlib.closing(peer.http()) as connection:
        if chunked:
            connection.request("POST", "/body", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        else:
            connection.request("POST", "/body", b"".join(pieces))
        assert connection.getresponse().read() == str(30 << 20).encode()


def test_a_wsgi_app_streams(start: Start) -> None:
    peer = start(wsgi(), FLASK)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/stream")
        answer = connection.getresponse()
        for number in range(3):
            assert answer.readline() == b"%d\n" % number
            peer.mark(f"go{number}").touch()
        assert answer.read() == b""


def test_a_wsgi_app_that_fails_harms_nobody(start: Start) -> None:
    peer = start(wsgi(), FLASK)
    peer.ready()
    for _ in range(20):
        assert peer.ask(path="/fail")[0] == 500
        assert peer.ask(path="/nowhere")[0] == 404
    assert peer.ask("HEAD", "/seen/x") == (200, b"")
    code, _, err = peer.end()
    assert code == 0
    assert err.count("LookupError: not there") == 20


BARE = """
import os, sys, threading, time
from swell.wire.context import current_input_id
log = []
def site(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one "), write(b"two ")
        return [b"three"]
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    if path == "/single":
        start_response("200", [])
        return [b"exactly"]
    if path == "/length":
        start_response("200 OK", [("Content-Length", "5")])
        return iter([b"12", b"345", b"too much"])
    if path == "/lines":
        start_response("200 OK", [])
        body = environ["wsgi.input"]
        return [repr([body.readline(), body.read(2), body.readlines(), body.read()]).encode()]
    if path == "/late":
        start_response("200 OK", [])
        def pieces():
            yield b"begun"
            try: raise LookupError("too late")
            except LookupError: start_response("500 Oh", [], sys.exc_info())
        return pieces()
    if path == "/again":
        start_response("200 OK", [])
        try: raise LookupError
        except LookupError: start_response("500 Oh", [], sys.exc_info())
        return [b"error page"]
    if path == "/twice":
        start_response("200 OK", []), start_response("200 OK", [])
    if path == "/never": return [b"no head"]
    if path == "/stop": raise StopIteration
    if path == "/interrupt": raise KeyboardInterrupt
    if path == "/endless": return Endless(start_response)
    if path == "/together":
        together.wait(300)
        start_response("200 OK", [])
        return [f'"{current_input_id()}"'.encode()]
    if path == "/hold":
        open("held", "w").close()
        while not os.path.exists("go"): time.sleep(0.001)
        start_response("200 OK", [])
        return [b"done"]
    start_response("404 Not Found", [])
    return []
class Endless:
    def __init__(self, start_response): start_response("200 OK", [])
    def __iter__(self):
        while True: yield b"more\\n"
    def close(self): open(f"closed{time.monotonic_ns()}", "w").close()
together = threading.Barrier(50)
def f(): return site
"""


def test_a_wsgi_app_may_use_all_of_wsgi(start: Start) -> None:
    peer = start(wsgi(), BARE)
    peer.ready()
    assert peer.ask(path="/write") == (200, b"one two three")
    assert peer.ask(path="/empty") == (204, b"")
    assert peer.ask(path="/length") == (200, b"12345")
    assert peer.ask("POST", "/lines", b"a\nbcd\nef") == (200, b"[b'a\\n', b'bc', [b'd\\n', b'ef'], b'']")
    assert peer.ask(path="/again") == (500, b"error page")
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/single")
        answer = connection.getresponse()
        assert (answer.getheader("content-length"), answer.read()) == ("7", b"exactly")
    for path in ("/twice", "/never", "/stop"):
        assert peer.ask(path=path)[0] == 500
    with pytest.raises(http.client.IncompleteRead):
        peer.ask(path="/late")
    code, _, err = peer.end()
    assert code == 0
    for text in ("start_response twice", "before it called start_response", "StopIteration", "LookupError: too late"):
        assert text in err


def test_wsgi_requests_run_at_once_on_as_many_threads_as_inputs(start: Start) -> None:
    peer = start(wsgi(max_inputs=50), BARE.replace('"/together"', '"/"'))
    peer.ready()
    for _ in range(3):
        assert ask_at_once(peer, 50) == [f"in-{number}:0" for number in range(50)]


def test_an_endless_answer_ends_with_its_client(start: Start) -> None:
    peer = start(wsgi(max_inputs=2), BARE)
    peer.ready()

    def closed() -> int:
        return len(list(peer.directory.glob("closed*")))

    for _ in range(6):  # more than there are threads
        before = closed()
        with contextlib.closing(peer.http()) as connection:
            connection.request("GET", "/endless")
            assert connection.getresponse().readline() == b"more\n"
        await_that(lambda before=before: closed() > before, "its iterable was not closed")
    assert peer.ask(path="/single") == (200, b"exactly")
    assert peer.end()[::2] == (0, "")


def test_a_client_that_goes_away_amid_its_body_frees_the_thread(start: Start) -> None:
    peer = start(wsgi(max_inputs=1), BARE)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.socket_path())
        client.sendall(b"POST /lines HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello")
    assert peer.ask(path="/single") == (200, b"exactly")
    assert peer.end()[::2] == (0, "")


def test_websockets_are_refused_by_wsgi_apps(start: Start) -> None:
    peer = start(wsgi(), BARE)
    peer.ready()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert peer.ask(**upgrade, **{"Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw=="})[0] == 403


def test_wsgi_requests_finish_before_a_drained_container_leaves(start: Start) -> None:
    peer = start(wsgi(), BARE)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/hold")
        await_that(peer.mark("held").exists, "never called")
        peer.order(Drain(PATIENCE_S))
        peer.mark("go").touch()
        assert connection.getresponse().read() == b"done"
    assert peer.wait()[0] == 0


def test_threads_of_wsgi_requests_do_not_keep_an_interrupted_container(start: Start) -> None:
    peer = start(wsgi(), BARE)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/hold")
        await_that(peer.mark("held").exists, "never called")
        peer.interrupt()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            connection.getresponse()
        assert peer.wait()[::2] == (0, "")


def test_keyboard_interrupt_of_a_wsgi_app_makes_the_container_leave(start: Start) -> None:
    peer = start(wsgi(), BARE)
    peer.ready()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        peer.ask(path="/interrupt")
    assert peer.wait()[0] == 0
