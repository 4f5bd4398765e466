"""User values as JSON, for calls from programs without Python: a mark, then JSON.

Arguments sent as JSON are answered with a result as JSON, so that a process that passes both on never needs to
unpickle. This module must not know messages, nor load pickle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from swell.errors import DeserializationError, SerializationError

__all__ = [
    "MARK",
    "JsonException",
    "decode_json",
    "decode_json_arguments",
    "decode_json_exception",
    "encode_json",
    "encode_json_exception",
    "is_json",
    "json_of",
]

#: The first bytes of every such payload. Pickles of protocol 2 or later begin with 0x80 instead.
MARK: Final = b"\0json\0"
_NO_JSON: Final = "its type has no JSON"

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class JsonException(Struct, frozen=True):
    """An exception as text."""

    type: str  #: name of its class, with the module unless that is builtins
    message: str
    traceback: str  #: as Python prints it


class _Arguments(Struct, frozen=True):
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


_arguments = msgspec.json.Decoder(_Arguments)
_exception = msgspec.json.Decoder(JsonException)
_any = msgspec.json.Decoder()


def is_json(data: bytes | memoryview) -> bool:
    """Tell whether a payload is JSON."""
    return data[: len(MARK)] == MARK


def json_of(data: bytes | memoryview) -> bytes:
    """Return the JSON of a payload for which `is_json` is true."""
    return bytes(data[len(MARK) :])


def encode_json(value: object) -> bytes:
    """Return a value as a payload.

    Beside JSON's own types, it may have the types that msgspec encodes (tuples, sets, dataclasses, attrs classes,
    Structs, enums, datetimes as RFC 3339, timedeltas, UUIDs and Decimals as strings, bytes as base64) and numpy's
    scalars and arrays. NaN and the infinities become null, as in JavaScript.

    Raises:
        SerializationError: a part of it has no JSON; names the part's type and place.
    """
    try:
        return MARK + _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SerializationError(_why_unfit(value, error)) from None


def _as_plain(value: Any) -> Any:
    """Return a plain value in place of one that msgspec does not know."""
    if any(cls.__module__ == "numpy" for cls in type(value).__mro__) and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(_NO_JSON)


_encoder = msgspec.json.Encoder(enc_hook=_as_plain)


def decode_json(data: bytes | memoryview) -> Any:
    """Return the value in a payload that is JSON.

    Raises:
        DeserializationError: it is damaged.
    """
    return _decoded(_any, data)


def decode_json_arguments(data: bytes | memoryview) -> Arguments:
    """Return the arguments in a payload that is JSON: an object with `args`, `kwargs`, or both.

    Raises:
        DeserializationError: it is something else.
    """
    found: _Arguments = _decoded(_arguments, data)
    return tuple(found.args), found.kwargs


def encode_json_exception(kind: str, message: str, traceback: str) -> bytes:
    """Return an exception, described by texts, as a payload."""
    return MARK + _encoder.encode(JsonException(*map(_sendable, (kind, message, traceback))))


def decode_json_exception(data: bytes | memoryview) -> JsonException:
    """Return what `encode_json_exception` wrote.

    Raises:
        DeserializationError: it is something else.
    """
    return _decoded(_exception, data)


def _decoded(decoder: msgspec.json.Decoder[Any], data: bytes | memoryview) -> Any:
    try:
        return decoder.decode(memoryview(data)[len(MARK) :])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeserializationError(f"cannot read JSON: {error}") from None


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot travel


# ---------------------------------------------------------------- values without JSON


def _why_unfit(value: object, error: Exception) -> str:
    """Name the part of a value that has no JSON: the innermost that cannot be encoded though its parts can."""
    path, reason = "$", error
    while True:
        for step, part in _parts(value):
            failure = _failure(part)
            if failure is not None:
                path, value, reason = path + step, part, failure
                break
        else:
            break
        if isinstance(reason, RecursionError):
            break  # it contains itself, or nearly
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    why = "" if str(reason) == _NO_JSON else f" ({reason})"
    return f"a value of type {name} at {path} cannot be sent as JSON{why}; return strings, numbers, lists or dicts"


def _failure(value: object) -> Exception | None:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return error
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a value, each with the step of the path to it."""
    if isinstance(value, dict):
        for key, part in cast("dict[Any, Any]", value).items():
            yield f".{key}" if isinstance(key, str) else f"[{key!r:.40}]", part
    elif isinstance(value, (list, tuple, set, frozenset)):
        for number, part in enumerate(cast("list[Any]", value)):
            yield f"[{number}]", part
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):  # that module is slow to import
        for name in value.__dataclass_fields__:
            yield f".{name}", getattr(value, name, None)
