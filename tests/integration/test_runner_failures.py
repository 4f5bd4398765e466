"""What goes wrong in user code harms only its input, and is reported."""

from __future__ import annotations

import sys

import pytest
from runner_program import FAILURE, SUCCESS, Start, function

from swell.errors import DeserializationError, ExecutionError, InvalidError, SerializationError
from swell.wire import payload


def test_exception_keeps_type_args_and_frames(start: Start) -> None:
    peer = start(function(), "def f(x):\n    return g(x)\ndef g(x):\n    raise KeyError(x, 'two')")
    peer.ready()
    [(status, error)] = peer.run(("one",))
    assert (status, type(error), error.args) == (FAILURE, KeyError, ("one", "two"))
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    assert [(f.name, f.lineno) for f in frames] == [("f", 2), ("g", 4)]
    assert frames[0].filename == f"<ta-1>:{peer.directory}/program.py"
    assert frames[1].line == "raise KeyError(x, 'two')"
    assert "KeyError: ('one', 'two')" in peer.end()[2]


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("raise SystemExit(3)", SystemExit, "3"),
        ("import sys; sys.exit('bye')", SystemExit, "bye"),
        ("raise GeneratorExit", GeneratorExit, ""),
        ("def r(): r()\n    r()", RecursionError, "recursion"),
        ("raise Liar()", BaseException, ""),
        ("raise Mute()", BaseException, ""),
        ("raise TwoArguments(1, 2)", BaseException, "1 and 2"),
        ("raise Holder()", SerializationError, "Holder"),
        ("return threading.Lock()", SerializationError, "lock"),
        ("return (i for i in x)", InvalidError, "is_generator=True"),
        ("return co()", InvalidError, "is_generator=True"),
        ("x = []\n    for _ in range(100000): x = [x]\n    return x", SerializationError, "recursion"),
        ("return NastyReduce()", SerializationError, "nasty"),
    ],
)
def test_whatever_goes_wrong_harms_only_its_input(
    start: Start, body: str, kind: type[BaseException], text: str
) -> None:
    code = f"""
import threading
class Liar(Exception):
    def __reduce__(self): return str, ("not an exception",)
class Mute(Exception):
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__
class TwoArguments(Exception):
    def __init__(self, a, b): super().__init__(f"{{a}} and {{b}}")
class Holder(Exception):
    def __init__(self): self.lock = threading.Lock()
class NastyReduce:
    def __reduce__(self): raise ValueError("nasty")
async def co(): pass
def f(x):
    if x == "fine": return x
    {body}
"""
    peer = start(function(), code)
    peer.ready()
    sys.path.insert(0, str(peer.directory))
    try:
        before, broken, after = peer.run(("fine",), ("x",), ("fine",))
    finally:
        sys.path.remove(str(peer.directory))
        sys.modules.pop("program", None)
    assert before == after == (SUCCESS, "fine")
    assert broken[0] is FAILURE
    assert isinstance(broken[1], kind)
    if text:
        assert text in str(broken[1])
    assert peer.end()[0] == 0


def test_exception_of_a_class_the_caller_has_not_tells_the_remote_traceback(start: Start) -> None:
    peer = start(function(), "class Own(Exception): pass\ndef f(): raise Own('mine')")
    peer.ready()
    [(_, error)] = peer.run(())
    assert isinstance(error, ExecutionError)
    assert "Own: mine" in str(error)
    assert "program.py" in str(error)


def test_arguments_that_cannot_be_read_fail_alone(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    gone = b"\x80\x05cno_such_module\nThing\n."
    results = peer.run((1,), b"garbage", gone, payload.dumps("no arguments"), (2,))
    assert [status for status, _ in results] == [SUCCESS, FAILURE, FAILURE, FAILURE, SUCCESS]
    assert all(isinstance(error, DeserializationError) for _, error in results[1:4])
    assert "no_such_module" in str(results[2][1])


def test_wrong_arguments_are_the_callers_type_error(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    [(status, error)] = peer.run((1, 2))
    assert status is FAILURE
    assert isinstance(error, TypeError)


def test_unknown_method_is_refused(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    [(_, error)] = peer.run((1,), method="nope")
    assert isinstance(error, InvalidError)
    assert "'nope'" in str(error)


def test_what_user_code_prints_and_breaks_does_not_reach_the_protocol(start: Start) -> None:
    code = """
import os, sys, threading
def f(i):
    if i == 0: os.write(1, os.urandom(5000)); os.write(2, b"\\xff\\n")
    if i == 1: sys.stdout.close(); sys.stderr = None
    if i == 2:
        thread = threading.Thread(target=sys.exit); thread.start(); thread.join()
    if i == 3: raise ValueError("unseen")
    return i
"""
    peer = start(function(), code)
    peer.ready()
    results = peer.run(*[(i,) for i in range(5)])
    assert [value for status, value in results if status is SUCCESS] == [0, 1, 2, 4]


def test_a_forked_child_that_returns_does_not_answer(start: Start) -> None:
    code = """
import os, sys
def f(i):
    child = os.fork()
    if child == 0:
        if i == 0: return "child"
        if i == 1: sys.exit(3)
        if i == 2: raise ValueError
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
    peer = start(function(), code)
    peer.ready()
    assert peer.run((0,), (1,), (2,)) == [(SUCCESS, 0), (SUCCESS, 3), (SUCCESS, 1)]
    assert peer.end()[0] == 0


def test_death_in_user_code_is_seen_as_the_end_of_the_connection(start: Start) -> None:
    peer = start(function(), "import os\ndef f(): os._exit(7)")
    peer.ready()
    peer.deliver(())
    assert peer.wait()[0] == 7
    assert peer.results == {}


def test_closing_all_descriptors_ends_the_container_rather_than_hanging_it(start: Start) -> None:
    peer = start(function(), "import os\ndef f(): os.closerange(3, 1000)")
    peer.ready()
    peer.deliver(())
    assert peer.wait()[0] != 0
