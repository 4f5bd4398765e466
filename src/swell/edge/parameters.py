"""Parameters of a class as other programs give them: as text in the query of a URL, or as JSON.

Both become the bytes that name a variant, with the checks of the SDK. This module must not know routes or requests.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from swell.errors import InvalidError
from swell.model import ParameterSpec
from swell.sdk.declare.parameters import check_parameters, encode_parameters, parse_parameter

__all__ = ["default_parameters", "parameters_of_json", "parameters_of_query"]


def parameters_of_query(owner: str, specs: Sequence[ParameterSpec], query: str) -> bytes:
    """Return the parameters that a query names, encoded. What else it names is for the app.

    Raises:
        InvalidError: one is missing, too large, or not a text of its type.
        InvalidTypeError: one has another type than declared.
    """
    types = {spec.name: spec for spec in specs}
    given = {name: parse_parameter(types[name], text) for name, text in _pairs(query) if name in types}
    return encode_parameters(owner, check_parameters(owner, specs, (), given))


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True)
    except ValueError as error:
        raise InvalidError(str(error)) from error


def parameters_of_json(owner: str, specs: Sequence[ParameterSpec], given: Mapping[str, Any]) -> bytes:
    """Return parameters that stand in JSON, encoded: as the SDK takes them, but for bytes, which come as base64.

    Raises:
        InvalidError: one is missing, unknown, too large, or not base64.
        InvalidTypeError: one has another type than declared.
    """
    values = dict(given)
    for spec in specs:
        value = values.get(spec.name)
        if spec.kind == "bytes" and isinstance(value, str):
            try:
                values[spec.name] = base64.b64decode(value, validate=True)
            except binascii.Error as error:
                raise InvalidError(
                    f"{owner}({spec.name}=…) is declared as bytes, so it comes as base64: {error}"
                ) from None
    return encode_parameters(owner, check_parameters(owner, specs, (), values))


def default_parameters(specs: Sequence[ParameterSpec]) -> bytes | None:
    """Return the parameters of the base of a class, encoded; None if some have to be given."""
    if any(not spec.has_default for spec in specs):
        return None
    return encode_parameters("", {spec.name: spec.default for spec in specs})
