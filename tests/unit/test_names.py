"""Names are words that others read: bounded, and without anything that a terminal obeys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.errors import InvalidError
from swell.escaping import one_line
from swell.names import (
    TEXT_MAX,
    check_tag,
    check_tags,
    check_text,
    function_name_problem,
    identifier_problem,
    object_name_problem,
    tag_problem,
    tags_problem,
    text_problem,
    variables_problem,
)

HOSTILE = ["", "a\x1b[2J", "a\nb", "a\u202eb", "a\x9bb", "a\udc9b", "x" * 10_000]

PROBLEMS: dict[str, Callable[[str], str]] = {
    "app": lambda name: object_name_problem(name, "App"),
    "function": function_name_problem,
    "class": lambda name: function_name_problem(f"{name}.*"),
    "method": lambda name: identifier_problem(name, "method"),
    "tag": lambda tag: tag_problem(tag or "\n"),
    "key": lambda key: tags_problem({key: "value"}),
    "value": lambda value: tags_problem({"key": value}),
    "text": lambda text: text_problem(text or "\n", "commit"),
}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_hostile_name_is_refused_and_shown_escaped(problem: Callable[[str], str], name: str) -> None:
    told = problem(name)
    assert told
    assert one_line(told) == told
    assert len(told) < 600


@given(st.text(max_size=300))
def test_whatever_is_allowed_can_be_shown(name: str) -> None:
    for problem in PROBLEMS.values():
        assert problem(name) or not name or one_line(name) == name


@pytest.mark.parametrize(
    "name", ["f", "Model.*", "Model.predict", "outer.<locals>.inner", "<lambda>", "größe", "कार्य", "to-do.v2"]
)
def test_functions_have_the_names_that_python_gives(name: str) -> None:
    assert function_name_problem(name) == ""


@pytest.mark.parametrize("name", ["f@2", "f/3", "a b", ".*", "a:b"])
def test_functions_have_no_name_that_means_something_else_to_the_engine(name: str) -> None:
    assert "Use 1 to 200" in function_name_problem(name)


@pytest.mark.parametrize("variables", [{"": "x"}, {"a=b": "x"}, {"a\0": "x"}, {"a": "\0"}], ids=ascii)
def test_variables_that_no_process_can_have(variables: dict[str, str]) -> None:
    assert variables_problem(variables)


def test_a_secret_is_not_shown() -> None:
    assert "hidden" not in variables_problem({"KEY": "hidden\0"})


def test_what_is_wrong_is_raised_with_value_bound_and_fix() -> None:
    with pytest.raises(InvalidError, match=r"Invalid commit: 'a\\x1b'\. Use one line of at most 200 characters"):
        check_text("a\x1b", "commit")
    with pytest.raises(InvalidError, match="at most 50"):
        check_tag("x" * 51)
    with pytest.raises(InvalidError, match="a version's tag is a str"):
        check_tag(3)
    with pytest.raises(InvalidError, match="at most 100 tags, not 101"):
        check_tags({f"k{n}": "v" for n in range(101)})
    check_text("x" * TEXT_MAX, "commit")
