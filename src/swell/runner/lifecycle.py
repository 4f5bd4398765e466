"""The user's program in a container: an instance of the class, its entry points, enter hooks and exit hooks.

This module must not know the server, or when hooks are run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, cast

import msgspec

from swell.errors import InvalidError
from swell.model import FunctionSpec
from swell.runner.entry import EntryPoint, marks_of, raw
from swell.runner.loader import find

if TYPE_CHECKING:
    from swell.runner.randomness import Generators

__all__ = ["Program", "load_program"]

Hook = Callable[[], Any]


class Program:
    """The user's code in the form in which a container runs it.

    Attributes:
        entries: Entry points for calls, by method name; a function has the empty name.
        web: Entry points that answer HTTP, or make the app that does, by the same names.
        enter_snap: Hooks to run before a snapshot, in order.
        enter: Hooks to run after it, in order.
        exit: Hooks to run at the end, in order.
        generators: Random number generators of the snapshot that it was loaded in; None if that was not in one.
    """

    def __init__(self, entries: dict[str, EntryPoint], web: Collection[str], instance: object | None = None) -> None:
        self.entries = {name: entry for name, entry in entries.items() if name not in web}
        self.web = {name: entry for name, entry in entries.items() if name in web}
        self.enter_snap: list[Hook] = []
        self.enter: list[Hook] = []
        self.exit: list[Hook] = []
        self.generators: Generators | None = None
        if instance is not None:
            self._find_hooks(instance)

    @property
    def is_async(self) -> bool:
        """True if an entry point needs an event loop."""
        return bool(self.web) or any(entry.is_async for entry in self.entries.values())

    def _find_hooks(self, instance: object) -> None:
        for name, marks in _marked(type(instance)).items():
            if "enter" in marks:
                hooks = self.enter_snap if marks["enter"].get("snap") else self.enter
                hooks.append(_bound(instance, name))
            if "exit" in marks:
                self.exit.append(_without_arguments(_bound(instance, name)))


def load_program(spec: FunctionSpec, bundle_dir: str = "") -> Program:
    """Import the user's code and return it as a Program. Hooks are not run.

    Args:
        spec: The function, or the class, to load.
        bundle_dir: Directory of the bundle's source files; "" if there is no bundle.

    Raises:
        InvalidError: the code does not match the spec.
        BaseException: what the user's module raises.
    """
    target = find(spec.source, bundle_dir)
    if spec.cls is None:
        if not callable(target):
            raise InvalidError(f"{_name(spec)} is a {type(target).__name__}, not a function")
        return Program({"": EntryPoint("", target, spec.is_async, spec.is_generator)}, spec.web_methods)
    if not isinstance(target, type):
        raise InvalidError(f"{_name(spec)} is a {type(target).__name__}, not a class")
    instance: object = object.__new__(cast("type[object]", target))
    for name, value in _parameters(spec).items():
        setattr(instance, name, value)
    entries = {
        method.name: EntryPoint(method.name, _bound(instance, method.name), method.is_async, method.is_generator)
        for method in spec.cls.methods
    }
    return Program(entries, spec.web_methods, instance)


def _name(spec: FunctionSpec) -> str:
    return f"{spec.source.module}.{spec.source.qualname}"


def _parameters(spec: FunctionSpec) -> dict[str, Any]:
    assert spec.cls is not None
    values: dict[str, Any] = {p.name: p.default for p in spec.cls.parameters if p.has_default}
    if spec.parameters:
        values |= msgspec.msgpack.decode(spec.parameters, type=dict[str, Any])
    missing = [p.name for p in spec.cls.parameters if p.name not in values]
    if missing:
        raise InvalidError(f"Missing required parameter {missing[0]!r} of {spec.source.qualname}")
    return values


def _bound(instance: object, name: str) -> Callable[..., Any]:
    try:
        attribute = raw(inspect.getattr_static(instance, name))
    except AttributeError:
        raise InvalidError(f"class {type(instance).__qualname__} has no method {name!r}") from None
    return attribute.__get__(instance, type(instance)) if hasattr(attribute, "__get__") else attribute


def _marked(cls: type) -> dict[str, dict[str, Any]]:
    """Return marks by method name: base classes first, in order of definition; an override keeps the base's place."""
    found: dict[str, dict[str, Any]] = {}
    for owner in reversed(cls.__mro__):
        for name, attribute in vars(owner).items():
            marks = {**marks_of(attribute), **marks_of(raw(attribute))}
            if marks:
                found[name] = marks
    return found


def _without_arguments(hook: Callable[..., Any]) -> Hook:
    # Exit hooks of old code take the three arguments of __exit__.
    parameters = inspect.signature(hook).parameters.values()
    wants_three = any(p.default is p.empty and p.kind <= p.POSITIONAL_OR_KEYWORD for p in parameters)
    return (lambda: hook(None, None, None)) if wants_three else hook
