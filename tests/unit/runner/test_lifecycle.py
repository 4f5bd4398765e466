"""The instance of a class gets its parameters and no constructor; hooks are found in their order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from swell.errors import InvalidError
from swell.model import ClassSpec, FunctionSpec, MethodSpec, ParameterSpec, Source
from swell.runner.lifecycle import load_program


def mark(key: str, **values: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        vars(f).setdefault("__swell_marks__", {})[key] = values
        return f

    return decorate


class Base:
    @mark("enter", snap=False)
    def first(self) -> str:
        return "Base.first"

    @mark("enter", snap=False)
    def second(self) -> str:
        return "Base.second"

    @mark("exit")
    def leave(self) -> str:
        return "Base.leave"


class Child(Base):
    size = 0
    name = ""

    def __init__(self) -> None:
        raise AssertionError("constructors do not run")

    @mark("enter", snap=False)
    def third(self) -> str:
        return "Child.third"

    @mark("enter", snap=True)
    def early(self) -> str:
        return "Child.early"

    @mark("enter", snap=False)
    def first(self) -> str:
        return "Child.first"

    @mark("exit")
    def old(self, exc_type: object, exc: object, tb: object) -> tuple[object, ...]:
        return exc_type, exc, tb

    @mark("method")
    def m(self, x: int) -> tuple[int, int, str]:
        return x, self.size, self.name

    @staticmethod
    def static(x: int) -> int:
        return x


def function(x: int) -> int:
    return x + 1


def spec(qualname: str = "Child", parameters: dict[str, Any] | None = None, **options: Any) -> FunctionSpec:
    declared = (ParameterSpec("size", "int", 3, True), ParameterSpec("name", "str"))
    cls = ClassSpec((MethodSpec("m"), MethodSpec("static")), declared)
    packed = b"" if parameters is None else msgspec.msgpack.encode(parameters)
    return FunctionSpec("C.*", Source(__name__, qualname), **{"cls": cls, "parameters": packed, **options})


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_hooks_come_base_first_in_order_and_overrides_keep_their_place() -> None:
    program = load_program(spec(parameters={"name": "n"}))
    assert [hook() for hook in program.enter_snap] == ["Child.early"]
    assert [hook() for hook in program.enter] == ["Child.first", "Base.second", "Child.third"]
    assert [hook() for hook in program.exit] == ["Base.leave", (None, None, None)]


def test_parameters_and_their_defaults() -> None:
    assert load_program(spec(parameters={"name": "n"})).entries["m"].call(1) == (1, 3, "n")
    assert load_program(spec(parameters={"name": "n", "size": 9})).entries["m"].call(1) == (1, 9, "n")


def test_missing_parameter_is_named() -> None:
    with pytest.raises(InvalidError, match="Missing required parameter 'name'"):
        load_program(spec())


def test_methods_share_the_instance() -> None:
    program = load_program(spec(parameters={"name": "n"}))
    assert program.entries["m"].call.__self__ is program.enter[0].__self__  # type: ignore[attr-defined]
    assert program.entries["static"].call(4) == 4


def test_function() -> None:
    program = load_program(FunctionSpec("f", Source(__name__, "function")))
    assert program.entries[""].call(1) == 2
    assert not program.is_async
    assert load_program(FunctionSpec("f", Source(__name__, "function"), is_async=True)).is_async


def test_what_is_not_what_the_spec_says() -> None:
    with pytest.raises(InvalidError, match=r"\.spec is a function, not a class"):
        load_program(spec("spec"))
    with pytest.raises(InvalidError, match=r"\.Child\.size is a int, not a function"):
        load_program(FunctionSpec("f", Source(__name__, "Child.size")))
    with pytest.raises(InvalidError, match="class Child has no method 'gone'"):
        load_program(spec(parameters={"name": "n"}, cls=ClassSpec((MethodSpec("gone"),))))
