"""The specs of an App: what a server is told of everything it has, complete and checked.

This module must not know servers, or where a container will find the code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.model import FunctionSpec
from swell.sdk.declare.options import check_at_load
from swell.sdk.declare.source import finish_source

if TYPE_CHECKING:
    from swell.sdk.app import App

__all__ = ["specs_of"]


def specs_of(app: App) -> list[FunctionSpec]:
    """Return the specs of everything the App has, complete and checked.

    Raises:
        InvalidError: what decorators accept, but no container could run with.
        NotFoundError: an environment variable that a Secret requires is not set.
        SerializationError: a function that travels by value cannot be pickled.
    """
    specs: list[FunctionSpec] = []
    handles = [*app.registered_functions.values(), *(cls.service for cls in app.registered_classes.values())]
    for function in handles:
        check_at_load(function.spec)
        specs.append(finish_source(function.spec, function.__swell_raw__))
    return specs
