"""Parameters as text: what a URL carries is read as the same value again, and nothing else is read."""

from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.model import ParameterSpec
from swell.sdk.declare.parameters import Value, format_parameter, parse_parameter


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("str", "a b&c", "a b&c"),
        ("str", "", ""),
        ("int", -7, "-7"),
        ("int", 2**63 - 1, "9223372036854775807"),
        ("bool", True, "true"),
        ("bool", False, "false"),
        ("bytes", b"\xff\xfe>", "__4-"),
        ("bytes", b"", ""),
    ],
)
def test_a_value_survives_its_text(kind: str, value: Value, text: str) -> None:
    assert format_parameter(value) == text
    parsed = parse_parameter(ParameterSpec("p", kind), text)
    assert (type(parsed), parsed) == (type(value), value)


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on"])
def test_ways_to_write_true(text: str) -> None:
    assert parse_parameter(ParameterSpec("p", "bool"), text) is True


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("int", "x", "p='x' is no int of 64 bits"),
        ("int", "1.5", "p='1.5' is no int of 64 bits"),
        ("int", str(2**64), "is no int of 64 bits"),
        ("bool", "maybe", "p='maybe' is neither true nor false"),
        ("bytes", "A", "p='A' is no URL-safe base64"),
    ],
)
def test_a_text_of_another_type_is_refused(kind: str, text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_parameter(ParameterSpec("p", kind), text)
