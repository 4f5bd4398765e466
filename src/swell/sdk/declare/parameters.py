"""Parameters of a class: their declaration by `parameter()`, and the encoding of their values, which identifies a pool.

The encoding is canonical (defaults applied, keys sorted), so that equal values always identify the same pool. This
module must not know pools or functions.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, get_type_hints, overload

import msgspec

from swell.bounds import integer
from swell.errors import InvalidError, InvalidTypeError
from swell.model import ParameterSpec

__all__ = [
    "check_parameters",
    "encode_parameters",
    "format_parameter",
    "has_required",
    "new_instance",
    "parameter",
    "parameters_of",
    "parse_parameter",
]

T = TypeVar("T")
Value = str | int | bool | bytes

_TYPES: Final[dict[str, type]] = {"str": str, "int": int, "bool": bool, "bytes": bytes}
_ENCODED_MAX: Final = 16 << 10
_MISSING: Final = object()
_TRUE: Final = frozenset(("true", "1", "yes", "on"))
_FALSE: Final = frozenset(("false", "0", "no", "off"))


class _Parameter:
    """The class attribute that `parameter()` returns; an instance's own value replaces it."""

    def __init__(self, default: object, init: bool) -> None:
        self.default = default
        self.init = init
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        if self.default is _MISSING:
            raise AttributeError(f"{owner.__name__}.{self.name} has no value: it has no default, and none was given")
        return self.default


@overload
def parameter(*, init: bool = True) -> Any: ...
@overload
def parameter(*, default: T, init: bool = True) -> T: ...
def parameter(*, default: Any = _MISSING, init: bool = True) -> Any:
    """Declare a parameter of an `@app.cls` class; every set of values has its own pool of containers.

    Args:
        default: Value when none is given; without it the parameter is required.
        init: False makes it a plain annotated attribute that is no parameter.

    Example:
        `size: str = swell.parameter(default="small")`, then `Model(size="large").predict.remote(x)`. The types that are
        possible are str, int, bool and bytes.
    """
    return _Parameter(default, init)


def parameters_of(cls: type) -> tuple[ParameterSpec, ...]:
    """Return the parameters that a class and its bases declare, those of bases first.

    Raises:
        InvalidError: one is not annotated, its type is not supported, or its default has another type.
    """
    found: dict[str, ParameterSpec] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, _Parameter) and value.init:
                found[name] = _spec_of(base, name, value)
            else:
                found.pop(name, None)  # a subclass has made it a plain attribute
    return tuple(found.values())


def _spec_of(owner: type, name: str, declared: _Parameter) -> ParameterSpec:
    where = f"{owner.__name__}.{name}"
    annotation = owner.__annotations__.get(name, _MISSING)
    if annotation is _MISSING:
        raise InvalidError(f"{where} = swell.parameter() must be annotated, as in `{name}: str = swell.parameter()`")
    if isinstance(annotation, str) and annotation not in _TYPES:
        annotation = _evaluated(owner, name, annotation)
    kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if kind not in _TYPES or annotation not in (kind, _TYPES[kind]):
        raise InvalidError(f"{where}: {annotation!r} is not a supported type of parameter; use str, int, bool or bytes")
    if declared.default is _MISSING:
        return ParameterSpec(name, kind)
    return ParameterSpec(name, kind, _checked(where, kind, declared.default), has_default=True)


def _evaluated(owner: type, name: str, annotation: str) -> Any:
    try:
        return get_type_hints(owner)[name]
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise InvalidError(
            f"{owner.__name__}.{name}: the annotation {annotation!r} is not a supported type: {error}"
        ) from error


def _checked(where: str, kind: str, value: Any) -> Value:
    """Return the value in its declared type: True for an int becomes 1."""
    expected = _TYPES[kind]
    if not isinstance(value, expected):
        raise InvalidTypeError(f"{where}: Expected {kind}, got {type(value).__name__} ({value!r})")
    return expected(value) if kind == "int" else value


def has_required(specs: Sequence[ParameterSpec]) -> bool:
    """Tell whether some parameter has no default."""
    return any(not spec.has_default for spec in specs)


def check_parameters(
    owner: str, specs: Sequence[ParameterSpec], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Value]:
    """Return all parameters of one instance, defaults applied.

    Raises:
        InvalidError: positional arguments, a missing or an unknown parameter.
        InvalidTypeError: a value has another type than declared; a TypeError, too.
    """
    if args:
        raise InvalidError(
            f"{owner}(...) takes keyword arguments only: write {owner}(name=value), not {args[0]!r} alone"
        )
    unknown = sorted(kwargs.keys() - {spec.name for spec in specs})
    if unknown:
        known = ", ".join(spec.name for spec in specs) or "none"
        raise InvalidError(f"{owner} has no parameter {unknown[0]!r}; its parameters: {known}")
    values: dict[str, Value] = {}
    for spec in specs:
        if spec.name in kwargs:
            values[spec.name] = _checked(f"{owner}({spec.name}=…)", spec.kind, kwargs[spec.name])
        elif spec.has_default:
            assert spec.default is not None
            values[spec.name] = spec.default
        else:
            raise InvalidError(f"Missing required parameter {spec.name!r} of {owner}: write {owner}({spec.name}=…)")
    return values


def encode_parameters(owner: str, values: Mapping[str, Value]) -> bytes:
    """Return the canonical bytes of a set of parameters; none at all give b"".

    Raises:
        InvalidError: they take more than 16 KiB, or have an int of more than 64 bits.
    """
    if not values:
        return b""
    try:
        encoded = msgspec.msgpack.encode({name: values[name] for name in sorted(values)})
    except OverflowError:
        raise InvalidError(
            f"the parameters of {owner} hold an int that does not fit into 64 bits; pass it as a str"
        ) from None
    if len(encoded) > _ENCODED_MAX:
        raise InvalidError(
            f"the parameters of {owner} take {len(encoded):,} bytes; at most {_ENCODED_MAX:,} are accepted. "
            "Pass large values as arguments of a method"
        )
    return encoded


def parse_parameter(spec: ParameterSpec, text: str) -> Value:
    """Return the value that a text stands for, as in the query of a URL.

    Raises:
        InvalidError: the text is not a value of the parameter's type.
    """
    match spec.kind:
        case "int":
            number = integer(text)
            if number is None:
                raise InvalidError(f"{spec.name}={text!r:.100} is no int of 64 bits")
            return number
        case "bool":
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise InvalidError(f"{spec.name}={text!r} is neither true nor false")
        case "bytes":
            try:
                return base64.urlsafe_b64decode(text)
            except (binascii.Error, ValueError):
                raise InvalidError(f"{spec.name}={text!r} is no URL-safe base64") from None
        case _:
            return text


def format_parameter(value: Value) -> str:
    """Return the text that `parse_parameter` reads as this value."""
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def new_instance(cls: type[T], values: Mapping[str, Value]) -> T:
    """Return an instance with its parameters as attributes; `__init__` is not called."""
    instance = cls.__new__(cls)
    for name, value in values.items():
        setattr(instance, name, value)
    return instance
