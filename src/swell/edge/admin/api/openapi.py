"""The description of the API as OpenAPI 3.1, made from the table of operations and the types they name.

This module must not know how an operation works.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from swell.edge.admin.api.operation import PREFIX, Nothing, Operation
from swell.edge.admin.failures import Problem, code_of, status_of
from swell.errors import AuthError, Error, InvalidError, PermissionDeniedError, RequestSizeError, ServiceError

__all__ = ["describe", "errors_of"]

_REF: Final = "#/components/schemas/{name}"
#: Values for parts of a path, as in examples/deployed.py.
_EXAMPLES: Final = {"app": "deployed", "function": "greet", "about": "deployed.greet"}
_INTRODUCTION: Final = """Call functions by name with arguments in JSON, read results, see what runs and why, and
change the autoscaler. Every request shows the token in the file that `swell status` names:
`Authorization: Bearer <token>`."""


def errors_of(operation: Operation) -> list[type[Error]]:
    """Return the classes of errors that an operation answers with."""
    always: list[type[Error]] = [AuthError, PermissionDeniedError, InvalidError, ServiceError]
    if operation.body is not None:
        always.append(RequestSizeError)
    return sorted({*always, *operation.errors}, key=lambda cls: (status_of(cls), cls.__name__))


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of these operations."""
    types = [Problem]
    for operation in operations:
        types += [operation.answer, *([operation.body] if operation.body else [])]
    _, components = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "swell", "version": version("swell"), "description": _INTRODUCTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    summary, _, rest = inspect.cleandoc(operation.text).partition("\n\n")
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": " ".join(summary.split()),
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": _responses(operation),
    }
    if rest:
        described["description"] = rest
    if operation.body is not None:
        content = _content("application/json", operation.body)
        if operation.example:
            content["application/json"]["example"] = operation.example
        described["requestBody"] = {"required": False, "content": content}
    return described


def _path_parameters(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in re.findall(r"{(\w+)}", path):
        schema = {"type": "string", "minLength": 1}
        parameter: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": schema}
        if name in _EXAMPLES:
            parameter["example"] = _EXAMPLES[name]
        found.append(parameter)
    return found


def _query_parameters(query: type) -> list[dict[str, Any]]:
    if query is Nothing:
        return []
    (reference,), components = msgspec.json.schema_components([query], ref_template=_REF)
    schema = components[reference["$ref"].rpartition("/")[2]]
    found: list[dict[str, Any]] = []
    for name, each in schema["properties"].items():
        schema = {key: value for key, value in each.items() if key != "description"}
        found.append({"name": name, "in": "query", "description": each.get("description", ""), "schema": schema})
    return found


def _responses(operation: Operation) -> dict[str, Any]:
    kind = "application/x-ndjson" if operation.streams else "application/json"
    found: dict[str, Any] = {
        str(operation.status): {
            "description": HTTPStatus(operation.status).phrase,
            "content": _content(kind, operation.answer),
        }
    }
    refusals: dict[int, list[str]] = {}
    for cls in errors_of(operation):
        refusals.setdefault(status_of(cls), []).append(code_of(cls))
    if operation.body is not None:
        refusals[400] = [code_of(InvalidError)]
    for status, codes in sorted(refusals.items()):
        found[str(status)] = {"description": ", ".join(codes), "content": _content("application/json", Problem)}
    return found


def _content(kind: str, of: type) -> dict[str, dict[str, Any]]:
    return {kind: {"schema": {"$ref": _REF.format(name=of.__name__)}}}
