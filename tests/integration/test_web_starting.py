"""How a container begins to answer HTTP: apps are built, sockets made, lifespans run."""

from __future__ import annotations

import importlib.util
import json
import os
import stat

import pytest
from web_program import ASGI, FRAME, SEES, WSGI, Start, await_that, cls, failure, function

from swell.errors import ExecutionError, InvalidError
from swell.model import MethodSpec, WebSpec

# ------------------------------------------------------------ starting


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


# ------------------------------------------------------------ lifespan


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
