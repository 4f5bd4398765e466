"""How a container loads the user's code, and what it reports if it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_program import SUCCESS, Start, function

from swell.errors import InvalidError
from swell.model import (
    FunctionSpec,
    Source,
)
from swell.wire import payload
from swell.wire.messages import StartFailed


def test_script_is_loaded_as_main_without_its_guard(start: Start, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        """
import sys
class Point: pass
def f():
    main = sys.modules["__main__"]
    return __name__, __spec__, main.__dict__ is globals(), main.Point is Point
if __name__ == "__main__":
    raise SystemExit("the guard ran")
"""
    )
    peer = start(FunctionSpec("f", Source("__main__", "f", str(tmp_path / "script.py"))))
    peer.ready()
    assert peer.run(()) == [(SUCCESS, ("__main__", None, True, True))]


def test_module_is_found_by_its_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "hidden_module.py"
    file.write_text("def f(): return 3\n")
    peer = start(FunctionSpec("f", Source("hidden_module", "f", str(file))))
    peer.ready()
    assert peer.run(()) == [(SUCCESS, 3)]


def test_pickled_function_with_its_closure(start: Start) -> None:
    import cloudpickle

    factor = 7
    peer = start(FunctionSpec("f", Source("m", "f", pickled=cloudpickle.dumps(lambda x: x * factor))))
    peer.ready()
    assert peer.run((6,)) == [(SUCCESS, 42)]


def test_decorated_function_is_unwrapped(start: Start) -> None:
    code = """
class Wrapper:
    def __init__(self, raw): self.__swell_raw__ = raw
@Wrapper
def f(): return "raw"
"""
    peer = start(function(), code)
    peer.ready()
    assert peer.run(()) == [(SUCCESS, "raw")]


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("raise ValueError('at import')", ValueError, "at import"),
        ("def g(): pass", InvalidError, "has no 'f'"),
        ("f = 3", InvalidError, "is a int, not a function"),
        ("import no_such_module", ModuleNotFoundError, "no_such_module"),
        ("raise SystemExit(0)", SystemExit, "0"),
        ("def f(:", SyntaxError, "invalid syntax"),
    ],
)
def test_failed_start_is_reported_and_the_container_leaves(
    start: Start, code: str, kind: type[BaseException], text: str
) -> None:
    peer = start(function(), code)
    message, data = peer.data.read()
    assert isinstance(message, StartFailed)
    error = payload.decode_exception(data)
    assert isinstance(error, kind)
    assert text in str(error)
    assert kind.__name__ in message.text
    code, _, err = peer.wait()
    assert code == 1
    assert kind.__name__ in err


def test_a_failed_start_waits_for_no_thread(start: Start) -> None:
    code = """
import atexit, threading
atexit.register(print, "left")
threading.Thread(target=threading.Event().wait).start()
raise ValueError("at import")
"""
    peer = start(function(), code)
    message, _ = peer.data.read()
    assert isinstance(message, StartFailed)
    exit_code, out, err = peer.wait()
    assert (exit_code, out) == (1, "left\n"), err


def test_multiprocessing_finds_what_a_script_defines(start: Start, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def square(x): return x * x
def f(method):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        return list(pool.map(square, [1, 2, 3]))
if __name__ == "__main__":
    raise SystemExit("the guard ran")
"""
    )
    peer = start(FunctionSpec("f", Source("__main__", "f", str(tmp_path / "script.py"))))
    peer.ready()
    for method in ("spawn", "forkserver", "fork"):
        assert peer.run((method,)) == [(SUCCESS, [1, 4, 9])]
