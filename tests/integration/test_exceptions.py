"""What a function raises is what its caller catches, with the traceback of where it was raised."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import pytest
import values_app as v

import swell
from swell.exception import (
    ExecutionError,
    FunctionTimeoutError,
    InvalidError,
    NotFoundError,
    SerializationError,
)


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(v.app)


@pytest.mark.nodes
def test_an_exception_of_the_users_own_keeps_type_and_fields() -> None:
    for call in (lambda: v.raises.remote("refused"), lambda: v.raises.spawn("refused").get()):
        with pytest.raises(v.Refused) as caught:
            call()
        assert (caught.value.code, caught.value.why) == (7, "no reason")
    with pytest.raises(v.Refused):
        v.async_raises.remote()


def test_an_exception_whose_constructor_does_not_take_its_args_arrives_nevertheless() -> None:
    with pytest.raises(v.Awkward) as caught:
        v.raises.remote("awkward")
    assert caught.value.args == ("one argument",)


@pytest.mark.nodes
def test_the_traceback_ends_where_it_was_raised() -> None:
    with pytest.raises(v.Refused) as caught:
        v.raises.remote("refused")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename.startswith("<ta-")
    assert last.filename.endswith("values_app.py")
    assert last.name == "raises"
    text = "".join(traceback.format_exception(caught.value))
    assert 'raise Refused(7, why="no reason")' in text  # its source is there, too
    assert "runner" not in text


def test_a_deep_traceback_survives() -> None:
    with pytest.raises(RecursionError, match="deep down"):
        v.raises.remote("deep")


def test_an_exception_that_cannot_be_pickled_is_described() -> None:
    with pytest.raises(SerializationError, match="Locked") as caught:
        v.raises.remote("locked")
    assert "holds a lock" in str(caught.value)
    assert "values_app.py" in str(caught.value)


@pytest.mark.parametrize(("what", "name"), [("touchy", "not for you"), ("unknown", "OnlyThereError")])
def test_an_exception_that_the_caller_cannot_rebuild_is_told_with_its_traceback(
    what: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "unshared", None)
    with pytest.raises(ExecutionError, match=name) as caught:
        v.raises.remote(what)
    assert "Traceback" in str(caught.value)
    assert "in raises" in str(caught.value)


def test_system_exit_is_a_failure_of_its_input_and_the_container_lives() -> None:
    before = v.pid.remote()
    with pytest.raises(SystemExit) as caught:
        v.raises.remote("exit")
    assert caught.value.code == 4
    assert v.pid.remote() == before


def test_stop_iteration_and_groups_arrive() -> None:
    with pytest.raises((StopIteration, RuntimeError)) as stopped:
        v.raises.remote("stop")
    assert "3" in str(stopped.value) or "StopIteration" in str(stopped.value)
    with pytest.raises(ExceptionGroup) as several:
        v.raises.remote("group")
    assert [type(error) for error in several.value.exceptions] == [ValueError, KeyError]


def test_the_cause_is_shown() -> None:
    with pytest.raises(ValueError, match="outer") as caught:
        v.raises.remote("cause")
    assert caught.value.args == ("outer",)
    inner = caught.value.__cause__
    assert isinstance(inner, KeyError)
    assert traceback.extract_tb(inner.__traceback__)[-1].name == "raises"


def test_a_replaced_stderr_costs_neither_the_exception_nor_the_container() -> None:
    before = v.pid.remote()
    with pytest.raises(ValueError, match="mine"):
        v.raises.remote("stderr")
    assert v.pid.remote() == before


def test_errors_of_swell_raised_by_a_user_are_errors_as_any_other() -> None:
    with pytest.raises(NotFoundError, match="own use"):
        v.raises.remote("swell")


def test_a_very_long_text_is_trimmed_or_whole_but_arrives() -> None:
    with pytest.raises(ValueError, match="xxx"):
        v.raises.remote("long")


def test_running_out_of_time_is_an_error_of_its_own() -> None:
    with pytest.raises(FunctionTimeoutError, match="timeout = 1"):
        v.stuck.remote()
    assert not issubclass(FunctionTimeoutError, TimeoutError)


@pytest.mark.parametrize("function", [v.returns_coroutine, v.returns_generator], ids=lambda f: f.name)
def test_a_function_that_returns_a_coroutine_or_generator_is_told_what_to_do(
    function: swell.Function[..., object],
) -> None:
    with pytest.raises(InvalidError, match="is_generator=True"):
        function.remote()


def test_a_generator_function_that_returns_none_is_told_so() -> None:
    with pytest.raises(InvalidError, match="generator"):
        list(v.returns_no_generator.remote_gen())


def test_wrong_arguments_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        v.echo.remote(value=1, other=2)
    with pytest.raises(TypeError, match="missing"):
        v.echo.remote()


def test_memory_over_the_limit_is_a_memory_error() -> None:
    assert v.allocates.remote(10) == 10 << 20
    with pytest.raises(MemoryError):
        v.allocates.remote(2_000)
    assert v.allocates.remote(10) == 10 << 20
