"""What `@app.function` and `@app.cls` may stand on, and how containers find it again."""

from __future__ import annotations

import functools
import math
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from swell.errors import InvalidError, SerializationError
from swell.model import Source
from swell.sdk.app import App
from swell.sdk.declare.source import finish_source, is_async, is_generator, source_of


def plain(x: int) -> int:
    return x


class Holder:
    def method(self) -> None: ...


def local_function() -> Callable[[], int]:
    def inner() -> int:
        return 41

    return inner


def local_class() -> type:
    class Inner:
        pass

    return Inner


# ---------------------------------------------------------------- targets


def test_a_class_is_not_a_function() -> None:
    with pytest.raises(TypeError, match=r"use @app\.cls\(\)"):
        App().function()(Holder)


@pytest.mark.parametrize("target", [plain, 3, "x"], ids=["function", "number", "text"])
def test_a_function_is_not_a_class(target: Any) -> None:
    with pytest.raises(TypeError, match=r"@app\.cls\(\) takes classes"):
        App().cls()(target)


def test_a_method_is_not_a_function() -> None:
    with pytest.raises(InvalidError, match=r"method Holder\.method.*@app\.cls"):
        App().function()(Holder.method)


@pytest.mark.parametrize("target", [3, None, "x"])
def test_a_function_is_a_function(target: Any) -> None:
    with pytest.raises(InvalidError, match="takes a function"):
        App().function()(target)


def test_what_is_local_must_be_serialized() -> None:
    with pytest.raises(InvalidError, match=r"global scope.*serialized=True"):
        App().function()(local_function())
    with pytest.raises(InvalidError, match=r"global scope.*serialized=True"):
        App().function()(lambda x: x)
    with pytest.raises(InvalidError, match=r"global scope.*serialized=True"):
        App().cls()(local_class())
    assert App().function(serialized=True)(local_function()).spec.name == "inner"
    assert App().cls(serialized=True)(local_class()).spec.name == "Inner.*"


def test_what_is_registered_is_not_registered_again() -> None:
    app = App()
    with pytest.raises(InvalidError, match="plain is registered already"):
        app.function()(app.function()(plain))
    with pytest.raises(InvalidError, match="Inner is registered already"):
        app.cls(serialized=True)(app.cls(serialized=True)(local_class()))


def test_a_builtin_function_will_do() -> None:
    assert App().function()(math.sqrt).spec.source == Source("math", "sqrt", source_of(math.sqrt).file)


# ---------------------------------------------------------------- kinds


def test_kinds_of_callables() -> None:
    async def coroutine() -> None: ...

    async def stream() -> Any:
        yield 1

    def generate() -> Any:
        yield 1

    class Callables:
        async def __call__(self) -> None: ...

    assert [is_async(f) for f in (plain, coroutine, stream, generate)] == [False, True, True, False]
    assert [is_generator(f) for f in (plain, coroutine, stream, generate)] == [False, False, True, True]
    assert is_async(functools.partial(coroutine))
    assert is_generator(functools.partial(functools.partial(generate)))
    assert is_async(Callables())
    assert not is_async(math.sqrt)


# ---------------------------------------------------------------- sources


def test_a_function_is_found_by_module_and_name() -> None:
    assert source_of(plain) == Source(__name__, "plain", str(Path(__file__).resolve()))


@pytest.mark.parametrize("module", ["__main__", "__swell_main__"])
def test_a_script_is_known_by_its_path_on_both_sides(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = type(sys)(module)
    script.__file__ = "script.py"
    monkeypatch.setitem(sys.modules, module, script)
    function = type(plain)(plain.__code__, {"__name__": module}, "plain")
    assert source_of(function) == Source("__main__", "plain", str(Path.cwd() / "script.py"))


def test_importable_functions_are_not_pickled() -> None:
    spec = App().function()(plain).spec
    assert finish_source(spec, plain) is spec


def test_serialized_functions_are_pickled_when_the_app_is_opened() -> None:
    function = local_function()
    spec = App().function(serialized=True)(function).spec
    assert spec.source.pickled == b""
    finished = finish_source(spec, function)
    assert cloudpickle.loads(finished.source.pickled)() == 41
    assert finish_source(finished, function) is finished


@pytest.mark.parametrize("names", [{}, {"__file__": "<stdin>"}], ids=["prompt", "stdin"])
def test_what_stands_in_no_file_is_pickled_unasked(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    prompt = type(sys)("__main__")
    prompt.__dict__.update(names)
    monkeypatch.setitem(sys.modules, "__main__", prompt)
    function: Any = type(plain)(plain.__code__, {"__name__": "__main__"}, "plain")
    prompt.__dict__["plain"] = function
    spec = App().function()(function).spec
    assert spec.source == Source("__main__", "plain")
    assert cloudpickle.loads(finish_source(spec, function).source.pickled)(5) == 5


def test_what_cannot_be_pickled_is_told_by_name() -> None:
    lock = threading.Lock()

    def locks() -> bool:
        return lock.acquire()

    spec = App().function(serialized=True)(locks).spec
    with pytest.raises(SerializationError, match="locks cannot be serialized"):
        finish_source(spec, locks)


def with_luggage(size: int) -> Callable[[], int]:
    luggage = bytes(size)

    def carry() -> int:
        return len(luggage)

    return carry


def test_a_heavy_function_gives_a_warning() -> None:
    function = with_luggage(300 << 10)
    spec = App().function(serialized=True)(function).spec
    with pytest.warns(UserWarning, match="carry serializes to"):
        assert finish_source(spec, function).source.pickled


def test_a_function_that_is_too_heavy_is_refused() -> None:
    function = with_luggage((16 << 20) + 1)
    spec = App().function(serialized=True)(function).spec
    with pytest.raises(InvalidError, match="at most 16,777,216 are accepted"):
        finish_source(spec, function)
