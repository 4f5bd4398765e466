"""Errors as answers over HTTP: the status of each class of error, and the same JSON for all of them.

This module must not know routes, or which code raises an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from swell.errors import (
    AlreadyExistsError,
    AuthError,
    ConflictError,
    ConnectionError,
    Error,
    InvalidError,
    NotFoundError,
    OutputExpiredError,
    PermissionDeniedError,
    RequestSizeError,
    ResourceExhausted,
    ServiceError,
    UnimplementedError,
)

__all__ = ["STATUSES", "Failure", "Problem", "code_of", "failed", "refused", "status_of"]

#: Status of each class of error and of its subclasses, unless those are listed, too.
STATUSES: Final[dict[type[Error], int]] = {
    AuthError: 401,
    PermissionDeniedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    AlreadyExistsError: 409,
    OutputExpiredError: 410,
    RequestSizeError: 413,
    InvalidError: 422,
    ResourceExhausted: 429,
    UnimplementedError: 501,
    ConnectionError: 503,
    ServiceError: 503,
    Error: 500,
}


class Failure(Struct, frozen=True, omit_defaults=True):
    """An error."""

    code: str  #: name of the class of the error, as the SDK raises it
    message: str  #: the error and its fix
    limit: str | None = None  #: name of the limit
    value: float | None = None  #: its value
    retry_after_s: float | None = None  #: seconds after which to retry


class Problem(Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: Failure


def status_of(kind: type[Error]) -> int:
    """Return the status of a class of errors."""
    return next(STATUSES[cls] for cls in kind.__mro__ if cls in STATUSES)


def code_of(kind: type[Error]) -> str:
    """Return the code of a class of errors: its name, or that of the class it only narrows."""
    return next(cls.__name__ for cls in kind.__mro__ if "code" in vars(cls))


def failed(error: Error) -> Response:
    """Return the answer for an error."""
    fields: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, ResourceExhausted):
        fields = {"limit": error.limit, "value": error.value, "retry_after_s": error.retry_after_s}
        if error.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    return _answer(status_of(type(error)), Failure(code_of(type(error)), str(error), **fields), headers)


def refused(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with an error that has no class."""
    return _answer(status, Failure(code, message), headers or {})


def _answer(status: int, failure: Failure, headers: Mapping[str, str]) -> Response:
    body = msgspec.json.encode(Problem(failure))
    return Response(body, status, {"cache-control": "no-store", **headers}, "application/json")
