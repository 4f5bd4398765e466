"""Instances of a class with one set of parameters: their pool, the Functions of their methods, their local object.

Parameters are checked and encoded when the pool, or the local object, is first needed. This module must not know how a
Function finds its pool.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from msgspec.structs import replace

from swell.model import FunctionSpec
from swell.sdk.declare.function_spec import marked_methods
from swell.sdk.declare.parameters import Value, check_parameters, encode_parameters, new_instance
from swell.sdk.declare.source import is_async
from swell.sdk.function import Function
from swell.wire.context import own_function_id

__all__ = ["Instance"]

_KEY: Final = "__swell_instance__"  #: attribute of the user's object that holds its Instance


class Instance:
    """The parameters behind an `Obj`, and behind `self` inside a method.

    Args:
        service: The Function of the pool of instances with default parameters.
        args: Positional arguments; an error, which is raised at first use.
        kwargs: The given parameters.
        live: The object whose methods a container runs; its enter hooks have run.
    """

    def __init__(
        self,
        service: Function[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        live: Any = None,
    ) -> None:
        self.service: Final = service
        self.args: Final = args
        self.kwargs: Final = kwargs
        self._functions: dict[str, Function[..., Any]] = {}
        self._pool_spec: FunctionSpec | None = None
        self._live: Any = live
        self._entered = live is not None

    @classmethod
    def of(cls, service: Function[..., Any], live: Any) -> Instance:
        """Return the Instance of an object of the user's class; in a container, that of the container's pool."""
        known: Instance | None = live.__dict__.get(_KEY)
        if known is None:
            specs = () if service.spec.cls is None else service.spec.cls.parameters
            known = cls(service, (), {spec.name: getattr(live, spec.name) for spec in specs}, live)
            live.__dict__[_KEY] = known
        return known

    def __reduce__(self) -> tuple[Any, ...]:
        return Instance, (self.service, self.args, self.kwargs)

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.service.name

    def pool_spec(self) -> FunctionSpec:
        """Return the spec of its pool.

        Raises:
            InvalidError: positional arguments, a missing or unknown parameter, or too many bytes of them.
            InvalidTypeError: a parameter has another type than declared.
        """
        if self._pool_spec is None:
            spec = self.service.spec
            encoded = encode_parameters(self.name, self._values())
            if encoded != spec.parameters:
                scaling = replace(spec.autoscaler, min_containers=None)
                spec = replace(spec, parameters=encoded, autoscaler=scaling)
            self._pool_spec = spec
        return self._pool_spec

    def _values(self) -> dict[str, Value]:
        cls = self.service.spec.cls
        return check_parameters(self.name, () if cls is None else cls.parameters, self.args, self.kwargs)

    def function(self, method: str = "") -> Function[..., Any]:
        """Return the Function of a method, or without a name that of the whole pool."""
        function = self._functions.get(method)
        if function is None:
            raw = self._callable(method) if method else self.service.__swell_raw__
            # A container's own object stands for the container's pool, whatever options made that pool.
            own_id = own_function_id() if self._live is not None else ""
            function = self.service.of_instance(method, raw, self.pool_spec, own_id)
            self._functions[method] = function
        return function

    def local(self) -> Any:
        """Return the local object of the user's class; its enter hooks are not run."""
        if self._live is None:
            self._live = new_instance(cast("type[Any]", self.service.get_raw_f()), self._values())
            self._live.__dict__[_KEY] = self
        return self._live

    def _callable(self, method: str) -> Callable[..., Any] | None:
        """Return the callable for `.local(…)` of a method: its function on the local object, after the enter hooks."""
        owner = cast("type | None", self.service.__swell_raw__ if self._live is None else type(self._live))
        if owner is None:
            return None  # a handle out of a pickle
        raw = next(function for name, (function, _) in marked_methods(owner) if name == method)
        if self._entered:
            return raw.__get__(self._live)

        @functools.wraps(raw)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not is_async(raw):
                self._enter()
            return raw(self.local(), *args, **kwargs)

        return call

    def _enter(self) -> None:
        """Run the enter hooks, those for the snapshot first, unless they have run."""
        live: object = self.local()
        if self._entered:
            return
        self._entered = True
        hooks = [(marks["enter"], hook) for _, (hook, marks) in marked_methods(type(live)) if "enter" in marks]
        for _, hook in sorted(hooks, key=lambda pair: not pair[0]["snap"]):
            outcome = hook(live)
            if is_async(hook):
                import asyncio

                asyncio.run(outcome)
