"""The specs of an App: what a server must know of every function and class, complete and checked.

This module must not know servers, or where a container will find the code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from swell.errors import Error, InvalidError, NotFoundError
from swell.model import FunctionSpec
from swell.names import is_text
from swell.sdk.declare.container_env import missing_secret
from swell.sdk.declare.pool_spec import check_at_load
from swell.sdk.declare.source import finish_source

__all__ = ["AppSpec", "Declared", "specs_of", "without_missing_secrets"]

_encode = msgspec.msgpack.Encoder().encode


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


def without_missing_secrets(app: AppSpec) -> tuple[AppSpec, dict[str, Error]]:
    """Return an App without the functions whose Secrets are missing here, and their errors, by name.

    They must not stop the others. If there is no other, they are left in, and refused.
    """
    problems: dict[str, Error] = {
        spec.name: NotFoundError(missing) for spec, _ in app.declared if (missing := missing_secret(spec))
    }
    left = tuple(declared for declared in app.declared if declared.spec.name not in problems)
    return (app._replace(declared=left), problems) if left else (app, {})


def specs_of(app: AppSpec) -> list[FunctionSpec]:
    """Return the specs of everything that an App declares, complete and checked.

    Raises:
        InvalidError: decorators accept a spec that no container could run with, or a name or option is no text.
        NotFoundError: an environment variable that a Secret requires is not set.
        SerializationError: a function that travels by value cannot be pickled.
    """
    specs: list[FunctionSpec] = []
    for spec, raw in app.declared:
        check_at_load(spec)
        _check_file(spec)
        specs.append(_checked_text(finish_source(spec, raw)))
    return specs


def _check_file(spec: FunctionSpec) -> None:
    """Refuse a function of a script that is in an archive: a container reads scripts from files."""
    file = spec.source.file
    if spec.source.module != "__main__" or file is None or os.path.exists(file):
        return
    above = os.path.dirname(file)
    if os.path.isfile(above):
        raise InvalidError(
            f"{spec.name} is defined in {os.path.basename(file)} of the archive {above}, and containers read a script "
            "from a file: unpack the archive, or define the function in a module that the script imports"
        )


def _checked_text(spec: FunctionSpec) -> FunctionSpec:
    """Refuse a spec with something in it that is no text, and so cannot be sent."""
    for name, value in spec.variables.items():
        if not (is_text(name) and is_text(value)):  # not the value, which may be a secret
            raise InvalidError(f"{spec.name}: the environment variable {name!r} is not UTF-8, by its name or its value")
    try:
        _encode(spec)
    except UnicodeEncodeError as error:
        raise InvalidError(
            f"{spec.name}: {error.object!r:.300} is not UTF-8, and cannot be sent: use another name, or rename the file"
        ) from None
    return spec
