"""What a person reads when something went wrong."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swell.cli.failure import describe, report
from swell.errors import InvalidError
from swell.sdk.app import App
from swell.wire.payload import decode_exception, encode_exception

CONTAINER = "ta-K7QF2MABCDEFGHIJKLMNOPQRST"


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def user_code() -> None:
    raise ValueError("not so")


def in_container(function: Callable[[], object]) -> BaseException:
    return decode_exception(encode_exception(caught(function), where=CONTAINER, hide=()))


def remote_call() -> None:
    raise in_container(user_code)


def test_an_error_of_swell_alone_is_its_message() -> None:
    assert describe(InvalidError("max_inputs must be 1..1000, got 0")) == "max_inputs must be 1..1000, got 0"
    assert describe(InvalidError()) == "InvalidError", "never nothing at all"


def test_an_error_in_user_code_shows_where() -> None:
    text = describe(caught(user_code))
    assert text.startswith("Traceback (most recent call last):\n  File ")
    assert 'raise ValueError("not so")' in text
    assert text.endswith("ValueError: not so")


def test_a_wrong_declaration_shows_the_users_line_and_nothing_of_swell() -> None:
    def declare() -> None:
        App("x").function(min_containers=-1)(user_code)

    text = describe(caught(declare))
    assert 'App("x").function(min_containers=-1)' in text
    assert "swell/sdk" not in text
    assert "min_containers must be 0 or more" in text


def without_test(error: BaseException) -> BaseException:
    """Cut the frames of this file off the beginning, so that an error begins as it does under `swell run`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return error.with_traceback(trace)


def test_frames_before_the_users_own_are_left_out(tmp_path: Path) -> None:
    script = tmp_path / "job_that_fails.py"
    script.write_text("import json\njson.loads('?')\n")
    text = describe(without_test(caught(lambda: runpy.run_path(str(script)))))
    assert text.splitlines()[1] == f'  File "{script}", line 2, in <module>'
    assert "json/decoder.py" in text, "below user code, every frame of others may matter"


def test_the_part_of_a_container_stands_behind_a_divider_with_its_name() -> None:
    lines = describe(caught(remote_call)).splitlines()
    divider = next(number for number, line in enumerate(lines) if line.startswith(f"── in container {CONTAINER} ─"))
    assert any("remote_call" in line for line in lines[:divider])
    assert any("in user_code" in line for line in lines[divider:])
    assert not any(f"<{CONTAINER}>" in line for line in lines), "the place is in the divider, not in every line"
    assert any('raise ValueError("not so")' in line for line in lines[divider:])
    assert lines[-1] == "ValueError: not so"


def test_what_led_to_an_error_is_told_first() -> None:
    def wraps() -> None:
        try:
            remote_call()
        except ValueError as error:
            raise RuntimeError("gave up") from error

    text = describe(caught(wraps))
    assert text.index("ValueError: not so") < text.index("direct cause") < text.index("RuntimeError: gave up")
    assert f"in container {CONTAINER}" in text


def test_every_error_of_a_group_is_told() -> None:
    def several() -> None:
        raise ExceptionGroup("two", [in_container(user_code), KeyError("b")])

    text = describe(caught(several))
    assert "exception 1 of 2" in text
    assert "ValueError: not so" in text
    assert "KeyError: 'b'" in text


def test_a_syntax_error_tells_its_place_only() -> None:
    text = describe(without_test(caught(lambda: compile("x = (", "job.py", "exec"))))
    assert text.startswith('  File "job.py", line 1')
    assert text.endswith("SyntaxError: '(' was never closed")


def defect() -> None:
    exec(compile("1 / 0", describe.__code__.co_filename, "exec"))


def test_a_defect_of_swell_called_by_the_user_says_how_to_see_more() -> None:
    text = describe(caught(defect))
    assert "cli/failure.py" not in text
    assert "SWELL_TRACEBACK=1 shows the frames of swell, too" in text


def test_a_defect_of_swell_alone_keeps_every_frame() -> None:
    text = describe(without_test(caught(defect)))
    assert "cli/failure.py" in text
    assert text.endswith("ZeroDivisionError: division by zero")


# ---------------------------------------------------------------- where it is written


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_it_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    report(InvalidError("no such file"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Error: no such file\n")


def test_on_a_terminal_it_is_a_panel_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    report(caught(remote_call))
    assert " Error " in err.getvalue().splitlines()[0]
    assert "\x1b[31m╭" in err.getvalue()
    assert "ValueError: not so" in err.getvalue()


def test_the_raw_traceback_can_be_had(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWELL_TRACEBACK", "1")
    report(caught(remote_call))
    err = capsys.readouterr().err
    assert f"<{CONTAINER}>:" in err
    assert "──" not in err


def test_a_bad_setting_is_told_like_any_other_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_CONTAINERS_MAX", "many")
    report(InvalidError("setting containers_max is wrong"))
    assert capsys.readouterr().err == "Error: setting containers_max is wrong\n"
