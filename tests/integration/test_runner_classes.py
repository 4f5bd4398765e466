"""Instances in a container: their hooks, parameters and state."""

from __future__ import annotations

import signal

import msgspec
from runner_program import SUCCESS, Start

from swell.model import (
    ClassSpec,
    FunctionSpec,
    MethodSpec,
    ParameterSpec,
    Source,
)
from swell.wire.messages import StartFailed


def test_lifecycle_order_and_parameters(start: Start) -> None:
    code = """
log = []
def hook(kind, **values):
    def mark(f):
        f.__swell_marks__ = {kind: values}
        return f
    return mark
class Base:
    @hook("enter", snap=False)
    def base_enter(self): log.append("base")
    @hook("enter", snap=False)
    def overridden(self): log.append("never")
    @hook("exit")
    def base_exit(self): print("exit base")
class C(Base):
    def __init__(self): raise AssertionError("constructors do not run")
    @hook("enter", snap=False)
    async def second(self): log.append("second")
    @hook("enter", snap=True)
    def snap(self): log.append("snap")
    @hook("enter", snap=False)
    def overridden(self): log.append("override")
    @hook("exit")
    def old_exit(self, exc_type, exc, tb): print("exit", exc_type, exc, tb)
    @hook("exit")
    async def async_exit(self): print("exit async")
    @hook("method")
    def m(self): return log, self.name, self.size, type(self).__name__
"""
    parameters = (ParameterSpec("name", "str"), ParameterSpec("size", "int", 3, True))
    spec = FunctionSpec(
        "C.*",
        Source("program", "C"),
        cls=ClassSpec((MethodSpec("m"),), parameters),
        parameters=msgspec.msgpack.encode({"name": "n"}),
    )
    peer = start(spec, code)
    peer.ready()
    log = ["snap", "base", "override", "second"]
    assert peer.run((), method="m") == [(SUCCESS, (log, "n", 3, "C"))]
    code, out, _ = peer.end()
    assert code == 0
    assert out.splitlines() == ["exit base", "exit None None None", "exit async"]


def test_failing_enter_hook_is_a_failed_start_without_exit_hooks(start: Start) -> None:
    code = """
class C:
    def enter(self): raise OSError("no model")
    enter.__swell_marks__ = {"enter": {"snap": False}}
    def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
    def m(self): pass
"""
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    assert isinstance(peer.read_one(), StartFailed)
    code, out, err = peer.wait()
    assert (code, out) == (1, "")
    assert "no model" in err


def test_failing_exit_hook_is_logged_and_the_others_run(start: Start) -> None:
    code = """
class C:
    def a(self): raise OSError("broken")
    def b(self): print("b ran")
    a.__swell_marks__ = b.__swell_marks__ = {"exit": {}}
    def m(self): return 1
"""
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    peer.ready()
    assert peer.run((), method="m") == [(SUCCESS, 1)]
    code, out, err = peer.end()
    assert (code, out) == (1, "b ran\n")
    assert "broken" in err


def test_exit_hooks_have_limited_time(start: Start) -> None:
    code = """
import time
class C:
    def late(self):
        while True: time.sleep(60)
    late.__swell_marks__ = {"exit": {}}
    def m(self): pass
"""
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    peer.ready()
    code, _, err = peer.end(grace_s=0.2)
    assert code == -signal.SIGKILL
    assert "longer than 0.2 s" in err


def test_state_of_the_instance_persists(start: Start) -> None:
    code = "class C:\n    count = 0\n    def m(self):\n        self.count += 1\n        return self.count"
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    peer.ready()
    assert [value for _, value in peer.run((), (), (), method="m")] == [1, 2, 3]
