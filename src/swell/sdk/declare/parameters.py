"""Parameters of a class: how `parameter()` declares them, and how values become the identity of a pool.

The encoding is canonical (defaults applied, keys sorted), so that equal values always mean the same pool. This module
must not know pools or functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, get_type_hints, overload

import msgspec

from swell.errors import InvalidError, InvalidTypeError
from swell.model import ParameterSpec

__all__ = ["encode_parameters", "has_required", "new_instance", "parameter", "parameters_of"]

T = TypeVar("T")
Value = str | int | bool | bytes

_TYPES: Final[dict[str, type]] = {"str": str, "int": int, "bool": bool, "bytes": bytes}
_ENCODED_MAX: Final = 16 << 10
_MISSING: Final = object()


class _Parameter:
    """What `parameter()` leaves on the class until an instance has the value."""

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
        InvalidError: one is not annotated, its type is not a supported one, or its default has another type.
    """
    found: dict[str, ParameterSpec] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, _Parameter) and value.init:
                found[name] = _spec_of(base, name, value)
            else:
                found.pop(name, None)  # a subclass made it a plain attribute
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
    """Return the value in its declared type: True given for an int is 1."""
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
        InvalidError: more than 16 KiB, or an int of more than 64 bits.
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


def new_instance(cls: type[T], values: Mapping[str, Value]) -> T:
    """Make an instance with its parameters set as attributes; no `__init__` runs."""
    instance = cls.__new__(cls)
    for name, value in values.items():
        setattr(instance, name, value)
    return instance
