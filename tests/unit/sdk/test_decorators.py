"""Decorators under `@app.function` and `@app.cls`: what they note, and where they refuse to stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swell.errors import DeprecationError, InvalidError
from swell.model import Batching, Concurrency
from swell.sdk.app import App
from swell.sdk.declare.marks import marks_of
from swell.sdk.decorators import batched, concurrent, enter, exit, method
from swell.sdk.web_decorators import asgi_app, fastapi_endpoint, web_endpoint, web_server, wsgi_app


def plain(x: int) -> int:
    return x


def nothing() -> None: ...


def lists(xs: list[int]) -> list[int]:
    return xs


def fresh(function: Any) -> Any:
    """Return a copy of a function that has no marks yet."""
    copy = type(function)(function.__code__, globals(), function.__name__)
    copy.__defaults__, copy.__kwdefaults__, copy.__qualname__ = (
        function.__defaults__,
        function.__kwdefaults__,
        function.__qualname__,
    )
    return copy


WEB: dict[str, Callable[[], Any]] = {
    "fastapi_endpoint": lambda: fastapi_endpoint(),
    "asgi_app": lambda: asgi_app(),
    "wsgi_app": lambda: wsgi_app(),
    "web_server": lambda: web_server(8000),
}
ALL: dict[str, Callable[[], Any]] = {
    "method": lambda: method(),
    "enter": lambda: enter(),
    "exit": lambda: exit(),
    "batched": lambda: batched(max_batch_size=2, wait_ms=0),
    "concurrent": lambda: concurrent(max_inputs=2),
    **WEB,
}


# ---------------------------------------------------------------- what is noted


def test_marks_are_noted_on_the_plain_function() -> None:
    function = fresh(lists)
    marked = batched(max_batch_size=4, wait_ms=5)(concurrent(max_inputs=3, target_inputs=2)(function))
    assert marked is function
    assert function.__swell_marks__ == {
        "concurrent": {"max_inputs": 3, "target_inputs": 2},
        "batched": {"max_batch_size": 4, "wait_ms": 5},
    }


def test_marks_stack_in_any_order() -> None:
    first, second = fresh(lists), fresh(lists)
    batched(max_batch_size=4, wait_ms=5)(concurrent(max_inputs=3)(first))
    concurrent(max_inputs=3)(batched(max_batch_size=4, wait_ms=5)(second))
    assert App().function()(first).spec == App().function()(second).spec


def test_marks_become_part_of_the_spec() -> None:
    function = concurrent(max_inputs=3, target_inputs=2)(batched(max_batch_size=4, wait_ms=5)(fresh(lists)))
    spec = App().function()(function).spec
    assert spec.concurrency == Concurrency(3, 2)
    assert spec.batching == Batching(4, 5)


def test_method_and_hooks_note_their_arguments() -> None:
    class Model:
        @enter(snap=True)
        def early(self) -> None: ...

        @enter()
        def late(self) -> None: ...

        @exit()
        def end(self) -> None: ...

        @method(is_generator=True)
        def stream(self) -> Iterator[int]:
            return iter(())

    assert marks_of(Model.early) == {"enter": {"snap": True}}
    assert marks_of(Model.late) == {"enter": {"snap": False}}
    assert marks_of(Model.end) == {"exit": {}}
    assert marks_of(Model.stream) == {"method": {"is_generator": True}}


def test_marks_of_a_base_class_are_not_those_of_a_class() -> None:
    class Base: ...

    concurrent(max_inputs=3)(Base)

    class Child(Base): ...

    assert marks_of(Child) == {}
    assert marks_of(concurrent(max_inputs=4)(Child)) == {"concurrent": {"max_inputs": 4, "target_inputs": None}}
    assert marks_of(Base) == {"concurrent": {"max_inputs": 3, "target_inputs": None}}


# ---------------------------------------------------------------- wrong company


@pytest.mark.parametrize("name", ALL)
def test_a_decorator_above_the_app_is_told_to_swap(name: str) -> None:
    function = App().function()(fresh(nothing))
    with pytest.raises(InvalidError, match="swap the order"):
        ALL[name]()(function)


@pytest.mark.parametrize("name", ALL)
def test_a_decorator_above_app_cls_is_told_to_swap(name: str) -> None:
    cls = App().cls(serialized=True)(type("Model", (), {}))
    with pytest.raises(InvalidError, match="swap the order"):
        ALL[name]()(cls)


@pytest.mark.parametrize("name", sorted(ALL.keys() - WEB.keys()))
def test_the_same_decorator_twice_is_refused(name: str) -> None:
    function = fresh(lists)
    ALL[name]()(function)
    with pytest.raises(InvalidError, match=f"swell.{name} twice"):
        ALL[name]()(function)


@pytest.mark.parametrize("first", WEB)
@pytest.mark.parametrize("second", WEB)
def test_two_web_decorators_are_refused(first: str, second: str) -> None:
    function = WEB[first]()(fresh(nothing))
    with pytest.raises(InvalidError, match="twice"):
        WEB[second]()(function)


@pytest.mark.parametrize("hook", ["enter", "exit"])
@pytest.mark.parametrize("interface", ["method", "batched", *WEB])
def test_hooks_are_not_interfaces(hook: str, interface: str) -> None:
    for first, second in ((hook, interface), (interface, hook)):
        function = ALL[first]()(fresh(lists if interface == "batched" else nothing))
        with pytest.raises(InvalidError, match="lifecycle"):
            ALL[second]()(function)


@pytest.mark.parametrize("web", WEB)
@pytest.mark.parametrize("interface", ["method", "batched"])
def test_web_functions_are_not_called(web: str, interface: str) -> None:
    function = ALL[interface]()(fresh(lists if interface == "batched" else nothing))
    with pytest.raises(InvalidError, match="both a web endpoint and callable"):
        WEB[web]()(function)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"concurrent"}))
def test_decorators_of_methods_are_not_for_classes(name: str) -> None:
    with pytest.raises(InvalidError, match="one of its methods"):
        ALL[name]()(type("Model", (), {}))


def test_concurrent_is_not_for_methods() -> None:
    with pytest.raises(InvalidError, match="decorate the class"):

        class Model:
            @concurrent(max_inputs=2)
            def run(self) -> None: ...


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "target", [3, staticmethod(plain), classmethod(plain)], ids=["number", "static method", "class method"]
)
def test_decorators_need_a_function(name: str, target: Any) -> None:
    with pytest.raises(InvalidError, match="needs a function"):
        ALL[name]()(target)


@pytest.mark.parametrize("decorator", [method, enter, exit, concurrent, fastapi_endpoint, asgi_app, wsgi_app])
def test_forgotten_parentheses_are_pointed_out(decorator: Any) -> None:
    with pytest.raises(InvalidError, match=f"@swell.{decorator.__name__}"):
        decorator(fresh(nothing))


def test_forgotten_arguments_are_pointed_out() -> None:
    with pytest.raises(TypeError, match="max_batch_size"):
        batched(fresh(lists))
    with pytest.raises(InvalidError, match="port must be an int"):
        web_server(fresh(nothing))


@pytest.mark.parametrize("name", ["method", "enter", "exit"])
def test_decorators_of_methods_are_not_for_functions(name: str) -> None:
    function = ALL[name]()(fresh(nothing))
    with pytest.raises(InvalidError, match=f"@swell.{name} is for methods"):
        App().function()(function)


# ---------------------------------------------------------------- concurrent


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_max_inputs_is_a_positive_int(value: Any) -> None:
    with pytest.raises(InvalidError, match="max_inputs must be a positive integer"):
        concurrent(max_inputs=value)


def test_max_inputs_has_a_ceiling() -> None:
    concurrent(max_inputs=1000)
    with pytest.raises(InvalidError, match="max_inputs cannot be greater than 1000"):
        concurrent(max_inputs=1001)


@pytest.mark.parametrize("value", [-1, 0, 1.5])
def test_target_inputs_is_a_positive_int(value: Any) -> None:
    with pytest.raises(InvalidError, match="target_inputs must be a positive integer"):
        concurrent(max_inputs=10, target_inputs=value)


def test_the_target_is_at_most_the_maximum() -> None:
    concurrent(max_inputs=3, target_inputs=3)
    with pytest.raises(InvalidError, match="target_inputs=4 cannot be greater than max_inputs=3"):
        concurrent(max_inputs=3, target_inputs=4)


def test_a_missing_maximum_is_told_by_the_app() -> None:
    function = concurrent(target_inputs=3)(fresh(plain))
    with pytest.raises(TypeError, match="max_inputs"):
        App().function()(function)
    cls = concurrent(target_inputs=3)(type("Model", (), {}))
    with pytest.raises(TypeError, match="max_inputs"):
        App().cls(serialized=True)(cls)


# ---------------------------------------------------------------- batched


def test_both_arguments_of_batched_are_required() -> None:
    with pytest.raises(TypeError, match="wait_ms"):
        batched(max_batch_size=3)
    with pytest.raises(TypeError, match="max_batch_size"):
        batched(wait_ms=3)


@pytest.mark.parametrize(
    ("size", "wait", "message"),
    [
        (0, 0, "max_batch_size must be a positive integer"),
        (-1, 0, "max_batch_size must be a positive integer"),
        (1.5, 0, "max_batch_size must be a positive integer"),
        (1001, 0, "max_batch_size cannot be greater than 1000"),
        (1, -1, "wait_ms must be a non-negative integer"),
        (1, 0.5, "wait_ms must be a non-negative integer"),
        (1, 600_001, "wait_ms cannot be greater than 600000"),
    ],
)
def test_bounds_of_a_batch(size: Any, wait: Any, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        batched(max_batch_size=size, wait_ms=wait)


@pytest.mark.parametrize(("size", "wait"), [(1, 0), (1000, 600_000)])
def test_the_bounds_of_a_batch_belong_to_it(size: int, wait: int) -> None:
    assert App().function()(batched(max_batch_size=size, wait_ms=wait)(fresh(lists))).spec.batching == Batching(
        size, wait
    )


def generator(xs: list[int]) -> Iterator[int]:
    yield from xs


async def async_generator(xs: list[int]) -> Any:
    yield xs


def defaults(xs: list[int], ys: list[int] = []) -> list[int]:  # noqa: B006
    return xs + ys


def keyword_default(xs: list[int], *, ys: list[int] | None = None) -> list[int]:
    return xs + (ys or [])


def varargs(*xs: list[int]) -> list[int]:
    return list(*xs)


def varkwargs(**xs: list[int]) -> list[int]:
    return list(*xs.values())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (generator, "cannot be a generator"),
        (async_generator, "cannot be a generator"),
        (defaults, "cannot have default arguments"),
        (keyword_default, "cannot have default arguments"),
        (varargs, r"cannot have \*xs"),
        (varkwargs, r"cannot have \*\*xs"),
    ],
)
def test_functions_that_cannot_be_batched(function: Any, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        batched(max_batch_size=2, wait_ms=0)(fresh(function))


def test_methods_that_cannot_be_batched() -> None:
    with pytest.raises(InvalidError, match="default arguments"):

        class Model:
            @batched(max_batch_size=2, wait_ms=0)
            def run(self, xs: list[int], scale: int = 2) -> list[int]:
                return xs


def test_a_function_declared_a_generator_cannot_be_batched() -> None:
    with pytest.raises(InvalidError, match="cannot be a generator"):
        App().function(is_generator=True)(batched(max_batch_size=2, wait_ms=0)(fresh(lists)))


def test_batching_goes_with_retries() -> None:
    function = batched(max_batch_size=2, wait_ms=0)(fresh(lists))
    assert App().function(retries=2)(function).spec.retry is not None


# ---------------------------------------------------------------- web


def build() -> object: ...


async def build_async() -> object: ...


def build_with_default(x: int = 1) -> object: ...


def build_varargs(*x: int) -> object: ...


def stream() -> Iterator[int]:
    yield 1


def test_web_marks_become_the_web_spec() -> None:
    endpoint = App().function()(fastapi_endpoint(method="post", docs=True, label="l")(fresh(plain))).spec
    assert endpoint.web is not None
    assert (endpoint.web.kind, endpoint.web.method, endpoint.web.docs, endpoint.web.label) == (
        "endpoint",
        "POST",
        True,
        "l",
    )
    server = App().function()(web_server(8000, startup_timeout=9)(fresh(nothing))).spec
    assert server.web is not None
    assert (server.web.kind, server.web.port, server.web.startup_timeout_s) == ("server", 8000, 9.0)
    for decorator, kind in ((asgi_app, "asgi"), (wsgi_app, "wsgi")):
        app = App().function()(decorator(requires_proxy_auth=True)(fresh(build))).spec
        assert app.web is not None
        assert (app.web.kind, app.web.requires_proxy_auth) == (kind, True)


def test_custom_domains_are_recorded() -> None:
    spec = App().function()(asgi_app(custom_domains=["a.example"])(fresh(build))).spec
    assert spec.recorded["custom_domains"] == ["a.example"]


@pytest.mark.parametrize("decorator", [fastapi_endpoint, asgi_app, wsgi_app])
def test_custom_domains_are_a_list(decorator: Any) -> None:
    with pytest.raises(AssertionError, match="custom_domains must be a list"):
        decorator(custom_domains="a.example")


@pytest.mark.parametrize("name", ["asgi_app", "wsgi_app", "web_server"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (build_async, "async function"),
        (plain, "can't have parameters"),
        (build_with_default, "can't have parameters"),
        (build_varargs, "can't have parameters"),
        (stream, "StreamingResponse"),
    ],
)
def test_app_builders_are_plain_and_without_parameters(name: str, function: Any, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        WEB[name]()(fresh(function))


def test_self_is_no_parameter_of_an_app_builder() -> None:
    class Model:
        @asgi_app()
        def build(self) -> object: ...

    assert marks_of(Model.build)["web"]["kind"] == "asgi"


def test_an_endpoint_may_be_async_and_take_arguments_but_not_yield() -> None:
    fastapi_endpoint()(fresh(build_async))
    fastapi_endpoint()(fresh(plain))
    with pytest.raises(InvalidError, match="StreamingResponse"):
        fastapi_endpoint()(fresh(stream))


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("name", WEB)
def test_web_functions_have_no_retries(name: str, retries: int) -> None:
    function = WEB[name]()(fresh(nothing))
    with pytest.raises(InvalidError, match="web function"):
        App().function(retries=retries)(function)


def test_web_functions_cannot_be_declared_generators() -> None:
    with pytest.raises(InvalidError, match="StreamingResponse"):
        App().function(is_generator=True)(fastapi_endpoint()(fresh(nothing)))


@pytest.mark.parametrize("port", [0, -1, 65_536, "8000", 80.0, True])
def test_ports_have_bounds(port: Any) -> None:
    with pytest.raises(InvalidError, match="port must be an int from 1 to 65535"):
        web_server(port)


@pytest.mark.parametrize("seconds", [0, -1, "5"])
def test_a_server_gets_time_to_start(seconds: Any) -> None:
    with pytest.raises(InvalidError, match="startup_timeout must be more than 0"):
        web_server(8000, startup_timeout=seconds)


def test_the_old_name_of_endpoints_is_gone() -> None:
    with pytest.raises(DeprecationError, match="fastapi_endpoint"):
        web_endpoint()
    with pytest.raises(DeprecationError, match="fastapi_endpoint"):
        web_endpoint(method="POST")(plain)
