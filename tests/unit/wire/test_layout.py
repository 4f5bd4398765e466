"""The layout of messages on the wire: containers and clients of other releases read and write it by position."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, get_args

import msgspec.inspect as inspect
import pytest
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from swell.wire import messages, template
from swell.wire.message import Message

#: The number of the protocol, and `layout()` as it was first with it: by message, the types of the fields in order. An
#: app that was deployed with another release runs that release in its containers. So what is here changes only together
#: with PROTOCOL; fields after it may be added.
KNOWN: dict[str, Any] = json.loads(Path(__file__).with_name("layout.json").read_text())

GROUPS = {
    "server": messages.ToServer,
    "client": messages.ToClient,
    "container": messages.ToContainer,
    "callee": messages.ToCallee,
    "caller": messages.ToCaller,
    "template": template.Request,
    "host": template.Reply,
}

NAMES = {
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.StrType: "str",
    inspect.BytesType: "bytes",
    inspect.BoolType: "bool",
    inspect.NoneType: "none",
    inspect.AnyType: "any",
}


def layout() -> dict[str, list[Any]]:
    """Return the types of the fields of every message."""
    return {name: _of_struct(kind) for name, kind in _messages().items()}


def _messages() -> dict[str, type[Message]]:
    return {
        f"{to} {kind.__struct_config__.tag}": kind
        for to, group in GROUPS.items()
        for kind in get_args(group) or (group,)
    }


@functools.cache
def _of_struct(kind: type[Message]) -> list[Any]:
    return [_of(each.type) for each in inspect.type_info(kind).fields]


def _of(kind: Any) -> Any:
    match kind:
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            return ["list", _of(kind.item_type)]
        case inspect.TupleType():
            return ["tuple", *map(_of, kind.item_types)]
        case inspect.DictType():
            return ["dict", _of(kind.key_type), _of(kind.value_type)]
        case inspect.UnionType():
            return ["union", *sorted(map(_of, kind.types), key=json.dumps)]
        case inspect.EnumType():
            return type(next(iter(kind.cls)).value).__name__
        case inspect.LiteralType():
            return type(kind.values[0]).__name__
        case inspect.StructType():
            if kind.array_like:
                return ["struct", *(_of(each.type) for each in kind.fields)]
            return ["object", *([each.encode_name, _of(each.type)] for each in kind.fields)]
        case inspect.Metadata():
            return _of(kind.type)
        case _:
            return NAMES[type(kind)]


def _begins_with(now: Any, known: Any) -> bool:
    """Tell whether a type is as it was, but for what was added at the end of structs."""
    if not isinstance(known, list) or not isinstance(now, list):
        return now == known
    if known[0] in ("struct", "object"):
        now = now[: len(known)]
    return len(now) == len(known) and all(map(_begins_with, now, known))


def test_the_layout_is_that_of_this_protocol() -> None:
    assert KNOWN["protocol"] == messages.PROTOCOL, "write layout.json anew: peers of another protocol are refused"


@pytest.mark.parametrize("message", KNOWN["messages"])
def test_fields_of_a_message_are_only_added_at_its_end(message: str) -> None:
    now, known = layout()[message], KNOWN["messages"][message]
    assert _begins_with(["struct", *now], ["struct", *known])


def test_a_field_that_was_added_has_a_default() -> None:
    """A peer that does not know it leaves it out."""
    for name, kind in _messages().items():
        added = fields(kind)[len(KNOWN["messages"].get(name, fields(kind))) :]
        assert all(map(_has_default, added)), kind.__name__


def _has_default(field: FieldInfo) -> bool:
    return field.default is not NODEFAULT or field.default_factory is not NODEFAULT
