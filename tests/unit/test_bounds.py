"""What a number or a text of a peer may be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.bounds import DEPTH_MAX, INTEGER_MAX, integer, plain_problem, whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), (str(INTEGER_MAX), INTEGER_MAX)])
def test_digits_are_a_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "²", "٣", "+1", "-1", " 1", "1 ", "1\n", "1_0", "1.0", "1e3", "0x1", str(INTEGER_MAX + 1), "9" * 5_000],
)
def test_nothing_else_is_a_number(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("-7", -7), ("7", 7), ("-0", 0), (str(2**63 - 1), 2**63 - 1)])
def test_an_integer_may_have_a_minus_sign(text: str, number: int) -> None:
    assert integer(text) == number


@pytest.mark.parametrize("text", ["", "-", "--1", "+1", "- 1", str(2**63), "-²", "1_0"])
def test_nothing_else_is_an_integer(text: str) -> None:
    assert integer(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    number = whole_number(text)
    assert number is None or 0 <= number <= INTEGER_MAX


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -INTEGER_MAX, 1.5, "text", b"bytes", [1, ["a"]], {"a": {"b": (1, 2)}}],
    ids=repr,
)
def test_plain_values_can_be_kept(value: object) -> None:
    assert plain_problem(value) == ""


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**64), math.nan, math.inf, -math.inf, {1, 2}, [[2**63]], {"a": math.nan}, {2**63: "a"}],
    ids=repr,
)
def test_what_would_fail_later_is_no_plain_value(value: object) -> None:
    assert plain_problem(value)


def test_values_deep_in_each_other_are_no_plain_value() -> None:
    value: object = 1
    for _ in range(DEPTH_MAX):
        value = [value]
    assert plain_problem(value) == ""
    assert "deep" in plain_problem([value])
    for _ in range(100_000):
        value = {"a": value}
    assert "deep" in plain_problem(value)
    while isinstance(value, dict):  # or freeing it would recurse as deep
        value = value.pop("a")
