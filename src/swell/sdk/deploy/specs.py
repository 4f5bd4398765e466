"""The specs of an App: what a server must know of every function and class, complete and checked.

This module must not know servers, or where a container will find the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from swell.model import FunctionSpec
from swell.sdk.declare.pool_spec import check_at_load
from swell.sdk.declare.source import finish_source

__all__ = ["AppSpec", "Declared", "specs_of"]


class Declared(NamedTuple):
    """A function or class of an App."""

    spec: FunctionSpec
    raw: Any  #: the user's function or class


class AppSpec(NamedTuple):
    """What an App consists of at one moment."""

    name: str | None
    description: str  #: how it is shown if it has no name
    tags: Mapping[str, str]
    declared: tuple[Declared, ...]


def specs_of(app: AppSpec) -> list[FunctionSpec]:
    """Return the specs of everything that an App declares, complete and checked.

    Raises:
        InvalidError: decorators accept a spec that no container could run with.
        NotFoundError: an environment variable that a Secret requires is not set.
        SerializationError: a function that travels by value cannot be pickled.
    """
    specs: list[FunctionSpec] = []
    for spec, raw in app.declared:
        check_at_load(spec)
        specs.append(finish_source(spec, raw))
    return specs
