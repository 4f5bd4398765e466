"""The functions and entrypoints in a user's module that can be run, and the choice of one.

A target is named in full, or inferred when only one is possible: entrypoints before functions, and names of the module
before those that only an App has. This module must not know command-line options, or how a target is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from swell.cli.reference import Reference, near
from swell.errors import InvalidError
from swell.sdk.app import App
from swell.sdk.cls import Cls
from swell.sdk.entrypoint import LocalEntrypoint
from swell.sdk.function import Function

if TYPE_CHECKING:
    from swell.model import ClassSpec, MethodSpec, ParameterSpec

    Handle = LocalEntrypoint[..., Any] | Function[..., Any] | Cls[Any]

__all__ = ["Target", "choose"]


class Rank(IntEnum):
    """The order of targets when no name is given."""

    ENTRYPOINT = 0  #: with a name in the module
    FUNCTION = 1
    APP_ENTRYPOINT = 2  #: known to an App only
    APP_FUNCTION = 3
    VARIANT = 4  #: made by with_options() and the like: runs when named


class Target(NamedTuple):
    """A function, method or entrypoint that can be run."""

    names: tuple[str, ...]  #: how it can be written, the most direct one first
    app: App  #: what must run around it
    handle: Handle
    rank: Rank
    method: str = ""  #: for a class

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.is_local:
            return "local entrypoint"
        return "method" if self.method else "function"

    @property
    def raw(self) -> Callable[..., Any]:
        """The user's plain function; for a method it takes `self` first."""
        raw: Any = self.handle.__swell_raw__
        return getattr(getattr(raw, self.method), "__swell_raw__") if self.method else raw  # noqa: B009

    @property
    def is_local(self) -> bool:
        """True for a local entrypoint, which runs here and not in a container."""
        return isinstance(self.handle, LocalEntrypoint)

    @property
    def class_parameters(self) -> tuple[ParameterSpec, ...]:
        """What an instance is made with, for a method."""
        return self.handle.spec.cls.parameters if isinstance(self.handle, Cls) and self.handle.spec.cls else ()

    @property
    def is_web(self) -> bool:
        """True if it answers HTTP."""
        match self.handle:
            case Function():
                return self.handle.is_web
            case Cls():
                return any(method.web is not None for method in self._methods if method.name == self.method)
            case _:
                return False

    @property
    def is_generator(self) -> bool:
        """True if it yields values in a container."""
        match self.handle:
            case LocalEntrypoint():
                return False
            case Cls():
                return any(method.is_generator for method in self._methods if method.name == self.method)
            case _:
                return self.handle.is_generator

    @property
    def _methods(self) -> tuple[MethodSpec, ...]:
        return self.handle.spec.cls.methods if isinstance(self.handle, Cls) and self.handle.spec.cls else ()


def choose(reference: Reference, module: ModuleType) -> Target:
    """Return the target that is named, or the only one that is possible.

    Raises:
        InvalidError: none has that name, several are possible, or it cannot be run from here; the message lists them.
    """
    targets = find(module)
    if not reference.name:
        return _runnable(_only(reference, [target for target in targets if not target.is_web]))
    for target in targets:
        if reference.name in target.names:
            return _runnable(target)
    inner = [target for target in targets if any(name.startswith(f"{reference.name}.") for name in target.names)]
    if inner:
        return _runnable(_only(reference, inner))
    known = [name for target in targets for name in target.names]
    problem = f"there is no {reference.name!r} to run in {reference.source}{near(reference.name, known)}"
    if callable(getattr(module, reference.name, None)):
        problem = f"{reference.name!r} in {reference.source} is not registered: put @app.function() over it"
    raise InvalidError(f"{problem}\n{_listing(reference, targets)}".rstrip())


def _only(reference: Reference, targets: list[Target]) -> Target:
    best = [target for target in targets if target.rank == min(known.rank for known in targets)]
    if not best:
        raise InvalidError(
            f"nothing to run in {reference.source}: it needs an app = swell.App(), and a function under "
            "@app.local_entrypoint() or @app.function() that does not answer HTTP"
        )
    if len(best) > 1:
        raise InvalidError(f"say which one to run:\n{_listing(reference, targets)}")
    return best[0]


def _runnable(target: Target) -> Target:
    name = target.names[0]
    if target.is_web:
        raise InvalidError(f"{name} is a web function: it answers HTTP, and cannot be run from the command line")
    if target.is_generator:
        raise InvalidError(
            f"{name}: generator functions cannot be run from the command line; write a local entrypoint that iterates "
            f"over {name.rpartition('.')[2]}.remote_gen(…)"
        )
    return target


def _listing(reference: Reference, targets: list[Target]) -> str:
    return "\n".join(f"  {reference.naming(target.names[0])}  ({target.kind})" for target in targets)


# ---------------------------------------------------------------- finding them


def find(module: ModuleType) -> list[Target]:
    """Return everything in a module that has a name there or in one of its Apps, each once, in order of definition.

    Handles of deployed functions, looked up by name, belong to no App here and are left out.
    """
    found: dict[tuple[int, str], Target] = {}
    for target in (*_of_module(module), *_of_apps(module)):
        key = (id(target.handle), target.method)
        known = found.get(key)
        found[key] = known._replace(names=known.names + target.names) if known else target
    return sorted(found.values(), key=lambda target: target.rank)


def _of_module(module: ModuleType) -> Iterator[Target]:
    namespace: dict[str, Any] = vars(module)
    for name, value in namespace.items():
        app = value.app if isinstance(value, LocalEntrypoint | Function | Cls) else None
        if not isinstance(app, App):
            continue
        if isinstance(value, LocalEntrypoint):
            yield Target((name,), app, namespace[name], Rank.ENTRYPOINT)
        else:
            yield from _of_handle((name,), app, namespace[name], _rank(app, namespace[name]))


def _rank(app: App, handle: Any) -> Rank:
    registered: Any = (*app.registered_functions.values(), *app.registered_classes.values())
    return Rank.FUNCTION if any(handle is known for known in registered) else Rank.VARIANT


def _of_apps(module: ModuleType) -> Iterator[Target]:
    for variable, app in vars(module).items():
        if not isinstance(app, App):
            continue
        for name, entrypoint in app.registered_entrypoints.items():
            yield Target((f"{variable}.{name}", name), app, entrypoint, Rank.APP_ENTRYPOINT)
        for name, handle in (*app.registered_functions.items(), *app.registered_classes.items()):
            yield from _of_handle((f"{variable}.{name}", name), app, handle, Rank.APP_FUNCTION)


def _of_handle(names: tuple[str, ...], app: App, handle: Any, rank: Rank) -> Iterator[Target]:
    if isinstance(handle, Function):
        yield Target(names, app, handle, rank)
        return
    cls_spec: ClassSpec | None = handle.spec.cls
    for method in () if cls_spec is None else cls_spec.methods:
        yield Target(tuple(f"{name}.{method.name}" for name in names), app, handle, rank, method.name)
