"""Finds the pool of a call by name: a function of a deployed app, or a method of a class with its parameters.

It does so as the SDK does, with one difference: a parameter declared as bytes comes as base64. This module must not
know how a call is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from swell.edge.admin.api.operation import ApiContext
from swell.edge.parameters import parameters_of_json
from swell.errors import ConflictError, InvalidError, NotFoundError
from swell.model import FunctionSpec, MethodSpec
from swell.wire.apps import FindFunction, FunctionFound
from swell.wire.messages import BindFunction, Bound
from swell.wire.variant import changes_between

__all__ = ["Target", "find_target"]


class Target(Struct, frozen=True):
    """The function or method that is called."""

    function_id: str
    name: str  #: for people: "square", "Model.predict"
    method: str  #: empty for a function
    is_generator: bool


async def find_target(
    context: ApiContext, app: str, name: str, parameters: Mapping[str, Any], *, version: int = 0
) -> Target:
    """Find a function, or a method of the instance with these parameters; version 0 is the live one.

    Raises:
        NotFoundError: there is no such app, function, class or method.
        ConflictError: it is a web function.
        InvalidError: parameters are missing, unknown or of another type.
    """
    owner, _, method = name.partition(".")
    lookup = f"{owner}.*" if method else owner
    found = await context.ask(FunctionFound, partial(FindFunction, app=app, name=lookup, version=version))
    if not method:
        if parameters:
            raise InvalidError(f"{name} is a function: it has no parameters; put what it is called with into kwargs")
        _refuse_web(name, is_web=found.spec.web is not None)
        return Target(found.function_id, name, "", found.spec.is_generator)
    declared = _method(found.spec, owner, method)
    _refuse_web(name, is_web=declared.web is not None)
    function_id = await _bound(context, found, owner, parameters)
    return Target(function_id, name, method, declared.is_generator)


def _refuse_web(name: str, *, is_web: bool) -> None:
    if is_web:
        raise ConflictError(f"{name} is a web function: it answers HTTP requests at its own URL, and no calls")


def _method(spec: FunctionSpec, owner: str, name: str) -> MethodSpec:
    methods = () if spec.cls is None else spec.cls.methods
    for method in methods:
        if method.name == name:
            return method
    known = ", ".join(method.name for method in methods) or "none"
    raise NotFoundError(f"{owner} has no method {name!r}; it has {known}")


async def _bound(context: ApiContext, found: FunctionFound, owner: str, parameters: Mapping[str, Any]) -> str:
    """Return the id of the pool of an instance; without parameters, that of the class."""
    spec = found.spec
    declared = () if spec.cls is None else spec.cls.parameters
    encoded = parameters_of_json(owner, declared, parameters)
    if encoded == spec.parameters:
        return found.function_id
    instance = replace(spec, parameters=encoded, autoscaler=replace(spec.autoscaler, min_containers=None))
    changes = changes_between(spec, instance)
    bound = await context.ask(Bound, partial(BindFunction, function_id=found.function_id, changes=changes))
    return bound.function_id
