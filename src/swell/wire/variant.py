"""The changes of a variant to its base: a function with other parameters or options, and all else inherited.

Only the changes travel and are stored, so that a new version of the base reaches its variants. The floor of a base,
`min_containers`, is its own: variants never inherit it. This module must not know handles, pools, or which changes make
sense.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from swell.errors import InvalidError
from swell.model import FunctionSpec

__all__ = ["apply_changes", "changes_between", "merged_changes", "parameter_changes"]

#: Parts of a spec that a variant changes field by field.
_PARTS: Final = ("autoscaler", "resources")
#: Fields that a variant shares with its base, or does without: changes to them are ignored.
_FIXED: Final = ("name", "source", "schedule")

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


def changes_between(base: FunctionSpec, variant: FunctionSpec) -> bytes:
    """Return the fields in which a variant differs from its base, encoded: equal changes give equal bytes."""
    changed = _differences(base, variant)
    for name in _FIXED:
        changed.pop(name, None)
    for name in changed.keys() & set(_PARTS):
        changed[name] = _differences(getattr(base, name), getattr(variant, name))
    scaling = changed.get("autoscaler", {})
    if scaling.get("min_containers", 0) is None:  # every variant has this
        del scaling["min_containers"]
        if not scaling:
            del changed["autoscaler"]
    return _encoder.encode(changed)


def parameter_changes(parameters: bytes) -> bytes:
    """Return the changes of a variant that has only other parameters of its class."""
    return _encoder.encode({"parameters": parameters})


def merged_changes(first: bytes, second: bytes) -> bytes:
    """Return the changes to a base of a variant that changes `second` in a variant that changes `first` in the base.

    Raises:
        InvalidError: these are no changes of a function.
    """
    try:
        merged, over = _decode(first), _decode(second)
        for name in _PARTS:
            if name in merged and name in over:
                over[name] = {**merged[name], **over[name]}
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
        raise InvalidError(f"these are not the options of a variant: {error}") from None
    return _encoder.encode({**merged, **over})


def apply_changes(base: FunctionSpec, changes: bytes) -> FunctionSpec:
    """Return the variant of a base, which may have another version than the base that the changes were made for.

    Raises:
        InvalidError: these are no changes of a function.
    """
    try:
        changed = _decode(changes)
        whole = _decode(_encoder.encode(_without_floor(base)))
        for name in _PARTS:
            if name in changed:
                changed[name] = {**whole.get(name, {}), **changed[name]}
        variant = msgspec.msgpack.decode(_encoder.encode({**whole, **changed}), type=FunctionSpec)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise InvalidError(f"{base.name}: these are not the options of a variant: {error}") from None
    return replace(variant, name=base.name, source=base.source, schedule=None)


def _without_floor(base: FunctionSpec) -> FunctionSpec:
    return replace(base, autoscaler=replace(base.autoscaler, min_containers=None))


def _differences(base: Struct, variant: Struct) -> dict[str, Any]:
    before = asdict(base)
    return {name: value for name, value in asdict(variant).items() if value != before[name]}
