"""Bounds of the numbers and texts that a peer may send: named types, checked where messages are decoded.

A peer may send any 64-bit number, and text of any length. SQLite stores integers below 2^63, a float holds them exactly
only up to 2^53, and a time of NaN compares with nothing: one such value, once accepted, would fail far from its source.
So every field of a message has one of these types, and the socket refuses values outside before anything has changed.
`whole_number` reads numbers in text.

These bounds are wide: they admit all that swell can handle. The narrower bounds of one option are checked elsewhere
(`policy.validation`), with messages that name the option. This module must not know messages or peers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast

from msgspec import Meta

__all__ = [
    "ARGUMENTS_MAX",
    "INTEGER_MAX",
    "ITEMS_MAX",
    "MOMENT_MAX",
    "SECONDS_MAX",
    "TEXT_MAX",
    "Code",
    "Count",
    "Functions",
    "Id",
    "Index",
    "Indexes",
    "Integer",
    "Limit",
    "Moment",
    "Name",
    "Number",
    "Offsets",
    "Pid",
    "RequestNumber",
    "Seconds",
    "Size",
    "Tags",
    "Text",
    "Variables",
    "Version",
    "integer",
    "plain_problem",
    "whole_number",
]

#: The largest integer that floats, JSON and JavaScript hold exactly. The sum of a thousand such fits 63 bits.
INTEGER_MAX: Final = 2**53 - 1
SECONDS_MAX: Final = 1e10  #: three hundred years
MOMENT_MAX: Final = 1e12  #: seconds since the epoch; thirty thousand years either way
NUMBER_MAX: Final = 1e300  #: any finite number, with room to multiply
ITEMS_MAX: Final = 1 << 20  #: inputs or results of one message
TEXT_MAX: Final = 1 << 20  #: characters
ARGUMENTS_MAX: Final = 1 << 20  #: words of a command line
DEPTH_MAX: Final = 16  #: levels of nested values
INT64_MAX: Final = 2**63 - 1  #: bound of a value that is only passed on

_Whole = Meta(ge=0, le=INTEGER_MAX)

Integer = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]  #: any; its own bounds are checked later
Count = Annotated[int, _Whole]  #: how many
Index = Annotated[int, _Whole]  #: a position, counted from 0
Size = Annotated[int, _Whole]  #: bytes
Version = Annotated[int, _Whole]  #: of an app, from 1; 0 means none in particular
RequestNumber = Annotated[int, _Whole]  #: by which a client matches an answer to its request
Pid = Annotated[int, _Whole]  #: id of a process
Code = Annotated[int, Meta(ge=0, le=255)]  #: number of an OutputStatus

Number = Annotated[float, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]  #: any finite one; its own bounds are checked later
Seconds = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]  #: a length of time
Limit = Annotated[float, Meta(ge=0)]  #: at least 0; infinity means no limit
Moment = Annotated[float, Meta(ge=-MOMENT_MAX, le=MOMENT_MAX)]  #: a point in time: seconds since the epoch

Id = Annotated[str, Meta(max_length=256)]  #: of any object
Name = Annotated[str, Meta(max_length=1_000)]  #: of an app, a function, a parameter
Text = Annotated[str, Meta(max_length=TEXT_MAX)]  #: words for people, paths, values of variables

Offsets = Annotated[list[Size], Meta(max_length=ITEMS_MAX)]  #: where the items of a payload end
Indexes = Annotated[list[Index], Meta(max_length=ITEMS_MAX)]
Tags = Annotated[dict[Name, Text], Meta(max_length=1_000)]
Variables = Annotated[dict[Name, Text], Meta(max_length=10_000)]  #: of an environment: values by name
Functions = Meta(max_length=10_000)  #: of one app


def whole_number(text: str, most: int = INTEGER_MAX) -> int | None:
    """Return the number in a text that has only the digits 0 to 9; None for any other text.

    Unlike `int`, it accepts no sign, space, underscore or digit of another script, and no number above `most`.
    """
    if not (len(text) <= len(str(most)) and text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= most else None


def integer(text: str) -> int | None:
    """Return the 64-bit number in a text of digits with an optional minus sign; None for any other text."""
    number = whole_number(text.removeprefix("-"), INT64_MAX)
    return -number if number is not None and text.startswith("-") else number


def plain_problem(value: Any, depth: int = DEPTH_MAX) -> str:
    """Return why a value of any type cannot be stored and sent; "" if it can.

    Allowed are None, bool, text, bytes, 64-bit integers, finite floats, and lists and maps of these.
    """
    match value:
        case None | bool() | str() | bytes():
            return ""
        case int():
            return "" if abs(value) <= INT64_MAX else "an integer has more than 64 bits"
        case float():
            return "" if abs(value) <= NUMBER_MAX else f"{value} is not a number up to {NUMBER_MAX:g}"
        case _ if not depth:
            return f"values are nested more than {DEPTH_MAX} levels deep"
        case list() | tuple():
            return _first_problem(cast("Sequence[Any]", value), depth)
        case dict():
            held = cast("Mapping[Any, Any]", value)
            return _first_problem([*held.keys(), *held.values()], depth)
        case _:
            return f"a {type(value).__name__} cannot be sent"


def _first_problem(values: Sequence[Any], depth: int) -> str:
    return next(filter(None, (plain_problem(one, depth - 1) for one in values)), "")
