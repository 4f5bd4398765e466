"""Parameters of functions as command-line options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, Optional, Union

import click
import pytest
from click.testing import CliRunner

from swell.cli.arguments import Arguments, command_for
from swell.errors import ExecutionError, InvalidError
from swell.model import ParameterSpec


def parsed(function: Callable[..., Any], line: str, **options: Any) -> Arguments:
    command = command_for("swell run job.py", function, **options)
    with command.make_context("swell run job.py", line.split()) as context:
        return command.invoke(context)


def help_of(function: Callable[..., Any]) -> str:
    return CliRunner().invoke(command_for("swell run job.py", function), ["--help"]).output


def every_type(
    text: str, count: int, ratio: float, day: datetime, plain, flag: bool = False, maybe: int | None = None
): ...


def test_each_type_is_parsed_as_it_is_annotated() -> None:
    line = "--text a --count 3 --ratio 0.5 --day 2026-05-01T14:30:00+00:00 --plain 7 --flag --maybe 4"
    assert parsed(every_type, line).named == {
        "text": "a",
        "count": 3,
        "ratio": 0.5,
        "day": datetime(2026, 5, 1, 14, 30, tzinfo=UTC),
        "plain": "7",
        "flag": True,
        "maybe": 4,
    }


def test_defaults_are_kept_as_they_are() -> None:
    marker = datetime(2026, 1, 1)

    def function(a: str = "x", b: int = 1, c: bool = True, d: datetime = marker, e: bool | None = None, f=None): ...

    assert parsed(function, "").named == {"a": "x", "b": 1, "c": True, "d": marker, "e": None, "f": None}


@pytest.mark.parametrize(("line", "value"), [("", None), ("--go", True), ("--no-go", False)])
def test_an_optional_bool_has_three_states(line: str, value: bool | None) -> None:
    def function(go: bool | None = None): ...

    assert parsed(function, line).named == {"go": value}


def test_underscores_become_dashes() -> None:
    def function(learning_rate: float, _hidden: int = 1, from_: str = ""): ...

    given = parsed(function, "--learning-rate 0.1 --hidden 2 --from x").named
    assert given == {"learning_rate": 0.1, "_hidden": 2, "from_": "x"}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Optional[int], "3", 3),  # noqa: UP045
        (Union[None, str], "x", "x"),  # noqa: UP007
        (Literal["a", "b"], "b", "b"),
        (Literal[8, 16], "16", 16),
        (Literal["a", "b"] | None, "a", "a"),
        (datetime, "2026-05-01", datetime(2026, 5, 1)),
    ],
    ids=repr,
)
def test_more_annotations(annotation: Any, text: str, value: object) -> None:
    def function(x): ...

    function.__annotations__["x"] = annotation
    assert parsed(function, f"--x {text}").named == {"x": value}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "Missing option '--size'"),
        ("--size huge", "'huge' is not one of 'small', 'large'"),
        ("--size small --count many", "'many' is not a valid integer"),
        ("--size small --cuont 3", "--count"),
        ("--size small extra", "unexpected extra argument"),
        ("--size small --day soon", "'soon' is not a date"),
    ],
)
def test_a_bad_line_is_a_usage_error(line: str, problem: str) -> None:
    def function(size: Literal["small", "large"], count: int = 1, day: datetime | None = None): ...

    with pytest.raises(click.UsageError) as told:
        parsed(function, line)
    assert told.value.exit_code == 2
    shown = told.value.format_message()
    assert problem in shown


@pytest.mark.parametrize("annotation", [list[int], dict, int | str, Literal["a", 1], bytes, Literal[True]], ids=repr)
def test_what_no_command_line_can_give_is_refused(annotation: Any) -> None:
    def function(x): ...

    function.__annotations__["x"] = annotation
    with pytest.raises(InvalidError, match="parameter x has the unparseable annotation"):
        command_for("job", function)


def test_annotations_that_cannot_be_evaluated() -> None:
    def function(x): ...

    function.__annotations__["x"] = "NoSuchType"
    with pytest.raises(ExecutionError, match=r"Unable to generate command line interface.*NoSuchType"):
        command_for("job", function)


def test_help_answers_to_both_names_beside_a_parameter_that_looks_like_one() -> None:
    def function(h: int = 1): ...

    assert "--h INTEGER" in help_of(function)
    assert CliRunner().invoke(command_for("swell run job.py", function), ["-h"]).output == help_of(function)
    assert parsed(function, "--h 2").named == {"h": 2}


def test_a_lone_variadic_gets_every_token_as_it_stands() -> None:
    def function(*args): ...

    assert parsed(function, "--depth 3 -- x --help").positional == ("--depth", "3", "--", "x", "--help")
    assert parsed(function, "").positional == ()
    assert "[ARGS]..." in help_of(function)


def one_and_rest(x: int, *rest: str): ...
def named_rest(**rest: str): ...


@pytest.mark.parametrize("function", [one_and_rest, named_rest])
def test_other_variadics_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidError, match=r"\*args must be the only parameter"):
        command_for("job", function)


def test_positional_only_parameters_are_passed_by_position() -> None:
    def function(a: int, b: int = 2, /, *, c: int = 3): ...

    assert parsed(function, "--c 5 --a 1") == Arguments((1, 2), {"c": 5}, {})


def test_a_parameter_may_be_called_help_or_profile() -> None:
    def function(profile: bool = False, name: str = ""): ...

    assert parsed(function, "--profile --name x").named == {"profile": True, "name": "x"}


# ---------------------------------------------------------------- methods


def predict(self, text: str, n: int = 1): ...


SIZE = ParameterSpec("size", "str", "small", has_default=True)
DEPTH = ParameterSpec("depth", "int")


def test_parameters_of_the_class_and_of_the_method_are_pooled() -> None:
    given = parsed(predict, "--depth 4 --text hi --n 2", is_method=True, of_class=[SIZE, DEPTH])
    assert given == Arguments((), {"text": "hi", "n": 2}, {"size": "small", "depth": 4})


def test_a_name_cannot_be_both() -> None:
    with pytest.raises(InvalidError, match="'text' is a parameter of the class and of the method"):
        command_for("job", predict, is_method=True, of_class=[ParameterSpec("text", "str")])


def test_bytes_cannot_be_given_but_may_have_a_default() -> None:
    default = ParameterSpec("key", "bytes", b"", has_default=True)
    assert parsed(predict, "--text hi", is_method=True, of_class=[default]).of_class == {}
    with pytest.raises(InvalidError, match="key is bytes"):
        command_for("job", predict, is_method=True, of_class=[ParameterSpec("key", "bytes")])


def test_help_has_the_docstring_and_the_defaults() -> None:
    def function(name: str = "world"):
        """Say hello.

        More words.
        """

    text = help_of(function)
    assert "Say hello." in text
    assert "--name TEXT" in text
    assert "[default: world]" in text
