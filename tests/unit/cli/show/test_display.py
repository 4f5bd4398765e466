"""Where log lines and warnings go, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable

import pytest

from swell.cli.show import display as module
from swell.cli.show.display import Display
from swell.sdk.connection.output import PlainOutput, current_output, enable_output
from swell.wire.messages import FunctionProgress, Log, Progress


class Stream(io.StringIO):
    """A stream on which one can wait for a text."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal
        self._written = threading.Condition()

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def wait_for(self, text: str) -> None:
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), timeout=30), self.getvalue()


def log(stream: str = "stdout") -> Log:
    return Log("ap-1", "square", "ta-K7QF2MABCDEFGH", stream)


Streams = Callable[..., tuple[Stream, Stream]]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Put streams in place of stdout and stderr; called in the test, for pytest puts its own there before it."""

    def replace(*, out: bool = False, err: bool = False) -> tuple[Stream, Stream]:
        monkeypatch.setattr(sys, "stdout", Stream(terminal=out))
        monkeypatch.setattr(sys, "stderr", Stream(terminal=err))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return sys.stdout, sys.stderr  # type: ignore[return-value]

    return replace


def test_each_line_says_where_it_comes_from(streams: Streams) -> None:
    out, err = streams()
    PlainOutput().log(log(), "one\n\n  three\n")
    assert out.getvalue() == "square ta-K7QF2M| one\nsquare ta-K7QF2M| \nsquare ta-K7QF2M|   three\n"
    assert err.getvalue() == ""


@pytest.mark.parametrize("stream", ["stderr", "system"])
def test_what_is_no_output_of_the_program_goes_to_stderr(stream: str, streams: Streams) -> None:
    out, err = streams()
    PlainOutput().log(log(stream), "careful\n")
    PlainOutput().notice("the GPU is a CPU")
    assert out.getvalue() == ""
    assert err.getvalue() == "square ta-K7QF2M| careful\nswell: the GPU is a CPU\n"


def test_timestamps_are_local_and_carry_their_zone(streams: Streams) -> None:
    out, _ = streams()
    PlainOutput(timestamps=True).log(log(), "one\ntwo\n")
    pattern = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d square ta-K7QF2M\| \w+\n){2}"
    assert re.fullmatch(pattern, out.getvalue())


@pytest.mark.parametrize(("stream", "colour"), [("stdout", 34), ("stderr", 31), ("system", 33)])
def test_a_terminal_shows_the_stream_by_its_colour(stream: str, colour: int, streams: Streams) -> None:
    terminals = streams(out=True, err=True)
    PlainOutput().log(log(stream), "hello\n")
    assert f"\x1b[{colour}mhello\x1b[0m\n" in terminals[stream != "stdout"].getvalue()


def test_colours_can_be_declined(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = streams(out=True, err=True)
    monkeypatch.setenv("NO_COLOR", "1")
    PlainOutput().log(log(), "hello\n")
    assert out.getvalue() == "square ta-K7QF2M| hello\n"


def test_a_reader_who_leaves_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    PlainOutput().log(log(), "hello\n")


def test_outputs_nest_and_nothing_is_shown_outside() -> None:
    assert current_output() is None
    outer = PlainOutput()
    with enable_output(outer):
        with enable_output():
            assert current_output() is not outer
        assert current_output() is outer
    assert current_output() is None


# ---------------------------------------------------------------- the display


def test_a_run_that_is_over_at_once_never_loads_rich(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = streams(out=True, err=True)
    monkeypatch.setattr(module, "PROGRESS_AFTER_S", 3_600.0)
    monkeypatch.setitem(sys.modules, "rich.live", None)  # importing it would fail
    with Display("squares") as display:
        display.log(log(), "hello\n")
    assert "hello" in out.getvalue()
    assert err.getvalue() == ""


def test_logs_stand_above_the_board_and_nothing_of_it_stays(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = streams(out=True, err=True)
    monkeypatch.setattr(module, "PROGRESS_AFTER_S", 0.0)
    with Display("squares") as display:
        display.progress(
            Progress(
                "ap-1",
                [
                    FunctionProgress(
                        function_name="square",
                        starting=0,
                        running=3,
                        idle=0,
                        backlog=0,
                        running_inputs=3,
                        done=10,
                        total=13,
                    )
                ],
            )
        )
        err.wait_for("3 running")
        display.log(log(), "from a container\n")
        sys.stdout.write("from the program\n")
    both = err.getvalue() + out.getvalue()
    assert "from a container" in both
    assert "from the program" in both
    assert err.getvalue().endswith("\x1b[2K"), "the last line of the board is erased"
    assert (sys.stdout, sys.stderr) == (out, err), "the streams are as they were"


def test_stdout_that_is_no_terminal_gets_the_logs_and_only_them(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = streams(err=True)
    monkeypatch.setattr(module, "PROGRESS_AFTER_S", 0.0)
    with Display("squares") as display:
        err.wait_for("squares")
        display.log(log(), "result\n")
    assert out.getvalue() == "square ta-K7QF2M| result\n"


def test_quiet_shows_logs_and_warnings_only(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = streams(out=True, err=True)
    monkeypatch.setattr(module, "PROGRESS_AFTER_S", 0.0)
    with Display("squares", quiet=True) as display:
        display.map_started("fc-1", "square")
        display.log(log(), "hello\n")
        display.notice("careful")
    assert "hello" in out.getvalue()
    assert err.getvalue() == "\x1b[33mswell: careful\x1b[0m\n"


def test_a_file_gets_a_line_now_and_then(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = streams()
    monkeypatch.setattr(module, "LINES_EVERY_S", 0.001)
    with Display("squares") as display:
        display.map_started("fc-1", "square")
        display.map_advanced("fc-1", 1, 2, 3)
        err.wait_for("square map: 1/3")
    assert out.getvalue() == ""
