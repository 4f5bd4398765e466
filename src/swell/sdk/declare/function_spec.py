"""Makes the `FunctionSpec` of a user's callable, from its marks and its options.

All rules about what may be decorated, and how, are here, and are checked at decoration. This module must not know apps,
handles or how a function is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from msgspec.structs import replace

from swell.errors import InvalidError
from swell.model import ClassSpec, FunctionSpec, MethodSpec, ScheduleSpec, WebSpec
from swell.sdk.declare.concurrency import batching, concurrency
from swell.sdk.declare.container_env import ContainerEnv
from swell.sdk.declare.marks import Marks, check_batchable, marks_of
from swell.sdk.declare.options import ClassOptions, FunctionOptions, check_names
from swell.sdk.declare.parameters import check_parameters, encode_parameters, has_required, parameters_of
from swell.sdk.declare.pool_spec import pool_spec
from swell.sdk.declare.schedule import Schedule
from swell.sdk.declare.source import is_async, is_generator, is_handle, is_importable, is_method, source_of, unwrap

__all__ = ["class_spec", "function_spec", "marked_methods"]


def function_spec(f: Callable[..., Any], options: FunctionOptions, defaults: ContainerEnv) -> FunctionSpec:
    """Return the spec of a function under `@app.function`.

    Raises:
        InvalidError: the target, its marks and the options contradict each other; says what to change.
        TypeError: the target is a class, an option does not exist, or `concurrent` lacks `max_inputs`.
    """
    check_names(options, FunctionOptions, "@app.function()")
    marks = marks_of(f)
    _check_target(f, marks, serialized=bool(options.get("serialized")))
    generator = options.get("is_generator")
    generator = is_generator(f) if generator is None else bool(generator)
    _check_kind(f, marks, options, generator)
    spec = pool_spec(_name(f, options.get("name")), source_of(f), options, defaults)
    return replace(
        spec,
        is_async=is_async(f),
        is_generator=generator,
        web=_web(marks["web"]) if "web" in marks else None,
        schedule=_schedule(f, options.get("schedule")),
        recorded={**spec.recorded, **_domains(marks.get("web", {}))},
        **_inputs(marks.get("concurrent"), marks.get("batched")),
    )


def _check_target(f: Any, marks: Marks, *, serialized: bool) -> None:
    if is_handle(f):
        raise InvalidError(f"{unwrap(f).__qualname__} is registered already: decorate the plain function")
    if isinstance(f, type):
        raise TypeError(f"@app.function() takes functions; for the class {f.__qualname__} use @app.cls()")
    if not callable(f) or not hasattr(f, "__qualname__"):
        raise InvalidError(f"@app.function() takes a function, not {f!r}")
    for key in ("method", "enter", "exit"):
        if key in marks:
            raise InvalidError(
                f"@swell.{key} is for methods: put {f.__qualname__} into a class, and @app.cls() on that class"
            )
    if is_method(f):
        raise InvalidError(
            f"@app.function() cannot be applied to the method {f.__qualname__}: use @swell.method() on it, "
            "and @app.cls() on its class"
        )
    check_importable(f, "@app.function", serialized=serialized)


def check_importable(target: Any, decorator: str, *, serialized: bool) -> None:
    """Refuse a target that a container could not import.

    Raises:
        InvalidError: it is defined inside a function, or is a lambda, and not `serialized`.
    """
    if not serialized and not is_importable(target):
        raise InvalidError(
            f"{target.__qualname__} must be defined in global scope, where containers can import it: move it to the "
            f"top level of its module, or use {decorator}(serialized=True)"
        )


def _check_kind(f: Callable[..., Any], marks: Marks, options: FunctionOptions, generator: bool) -> None:
    if options.get("retries") is not None:
        if generator:
            raise InvalidError(f"{f.__qualname__} is a generator, and generators cannot have retries: remove retries=")
        if "web" in marks:
            raise InvalidError(f"{f.__qualname__} is a web function, and those cannot have retries: remove retries=")
    if generator and "web" in marks:
        raise InvalidError(f"the web function {f.__qualname__} cannot be a generator; return a StreamingResponse")
    if generator and "batched" in marks:
        raise InvalidError(f"a batched function cannot be a generator: {f.__qualname__} must return a list")


def _name(f: Callable[..., Any], name: object) -> str:
    if name is None:
        return f.__name__
    if not isinstance(name, str) or not name:
        raise InvalidError(f"name must be a str that is not empty, not {name!r}")
    return name


def _web(values: dict[str, Any]) -> WebSpec:
    return WebSpec(**{key: value for key, value in values.items() if key != "custom_domains"})


def _domains(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in ("custom_domains",) if key in values}


def _schedule(f: Callable[..., Any], schedule: object) -> ScheduleSpec | None:
    if schedule is None:
        return None
    if not isinstance(schedule, Schedule):
        raise InvalidError(f"schedule must be swell.Cron(...) or swell.Period(...), not {schedule!r}")
    from inspect import signature

    try:
        signature(f).bind()
    except TypeError:
        raise InvalidError(
            f"{f.__qualname__} has a schedule, so it is called without arguments: give its parameters defaults"
        ) from None
    return schedule.spec()


def _inputs(concurrent: dict[str, Any] | None, batched: dict[str, Any] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if concurrent is not None:
        fields["concurrency"] = concurrency(concurrent["max_inputs"], concurrent["target_inputs"])
    if batched is not None:
        fields["batching"] = batching(batched["max_batch_size"], batched["wait_ms"])
    return fields


# ---------------------------------------------------------------- classes


def class_spec(cls: type, options: ClassOptions, defaults: ContainerEnv) -> FunctionSpec:
    """Return the spec of a class under `@app.cls`: one pool for all its methods, named `ClassName.*`.

    If every parameter has a default, the spec is that of the instance with all defaults, so that `min_containers` keeps
    its pool warm. With a required parameter there is no such instance, and `min_containers` has no effect.

    Raises:
        InvalidError: the class, its methods and the options contradict each other; says what to change.
        TypeError: the target is not a class, an option does not exist, or `concurrent` lacks `max_inputs`.
    """
    check_names(options, ClassOptions, "@app.cls()")
    _check_class(cls, serialized=bool(options.get("serialized")))
    marked = dict(marked_methods(cls))
    _check_methods(cls, marked, snapshot=bool(options.get("enable_memory_snapshot")))
    parameters = parameters_of(cls)
    spec = pool_spec(f"{cls.__name__}.*", source_of(cls), options, defaults)
    scaling, encoded = spec.autoscaler, b""
    if has_required(parameters):
        scaling = replace(scaling, min_containers=None)
    else:
        encoded = encode_parameters(cls.__name__, check_parameters(cls.__name__, parameters, (), {}))
    batched = next((marks["batched"] for _, marks in marked.values() if "batched" in marks), None)
    domains = {
        name: marks["web"]["custom_domains"]
        for name, (_, marks) in marked.items()
        if "custom_domains" in marks.get("web", {})
    }
    return replace(
        spec,
        autoscaler=scaling,
        parameters=encoded,
        cls=ClassSpec(tuple(_methods(marked)), parameters),
        recorded={**spec.recorded, **({"custom_domains": domains} if domains else {})},
        **_inputs(marks_of(cls).get("concurrent"), batched),
    )


def marked_methods(cls: type) -> Iterator[tuple[str, tuple[Callable[..., Any], Marks]]]:
    """Yield (name, (plain function, marks)) of a class's marked methods, those of bases first, in order of definition.

    The function is the one that Python would call, and the marks are those that were set last: a method that overrides
    a marked one keeps its place and its marks.
    """
    found: dict[str, Marks] = {}
    for base in reversed(cls.__mro__):
        for name, attribute in vars(base).items():
            function = unwrap(attribute)
            if not isinstance(function, type) and (marks := marks_of(function)):
                found[name] = marks
    for name, marks in found.items():
        called = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
        yield name, (unwrap(called), marks)


def _check_class(cls: Any, *, serialized: bool) -> None:
    if is_handle(cls):
        raise InvalidError(f"{unwrap(cls).__qualname__} is registered already: apply @app.cls() to the plain class")
    if not isinstance(cls, type):
        raise TypeError(f"@app.cls() takes classes, not {cls!r}; for functions use @app.function()")
    if cls.__init__ is not object.__init__:
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        raise InvalidError(
            f"{cls.__qualname__} has a custom __init__ (of {owner.__qualname__}): declare its arguments as "
            "`name: str = swell.parameter()` and prepare the instance in a method under @swell.enter()"
        )
    check_importable(cls, "@app.cls", serialized=serialized)


def _check_methods(cls: type, marked: dict[str, tuple[Callable[..., Any], Marks]], *, snapshot: bool) -> None:
    callables = [name for name, (_, marks) in marked.items() if marks.keys() & {"method", "batched", "web"}]
    batched = [name for name, (_, marks) in marked.items() if "batched" in marks]
    if batched and len(callables) > 1:
        other = next(name for name in callables if name != batched[0])
        raise InvalidError(
            f"{cls.__qualname__}: a class with a batched method ({batched[0]}) can have no other method or web "
            f"endpoint, and has {other}: move that into a class of its own"
        )
    for function, marks in marked.values():
        if marks.get("enter", {}).get("snap") and not snapshot:
            raise InvalidError(f"{function.__qualname__}: enter(snap=True) needs @app.cls(enable_memory_snapshot=True)")
        if "batched" in marks:
            check_batchable(function)
            if marks.get("method", {}).get("is_generator"):
                raise InvalidError(
                    f"a batched function cannot be a generator: {function.__qualname__} must return a list"
                )


def _methods(marked: dict[str, tuple[Callable[..., Any], Marks]]) -> Iterator[MethodSpec]:
    for name, (function, marks) in marked.items():
        if "method" in marks or "batched" in marks:
            declared = cast("bool | None", marks.get("method", {}).get("is_generator"))
            yield MethodSpec(name, is_async(function), is_generator(function) if declared is None else declared)
        elif "web" in marks:
            yield MethodSpec(name, is_async(function), web=_web(marks["web"]))
