"""Whatever names, messages and logs are made of, no command hands anything to the terminal that it would obey."""

from __future__ import annotations

import io
import re
import types
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, Union, get_args, get_origin, get_type_hints

import click
import msgspec
import pytest

from swell.cli import logs, rpc
from swell.cli.failure import report
from swell.cli.main import main
from swell.cli.reload.serve_protocol import Created
from swell.cli.reload.serve_protocol import Failed as NotLoaded
from swell.cli.show.display import Display
from swell.cli.show.progress import RunProgress
from swell.config import Settings
from swell.discovery import proxy_tokens_path
from swell.edge.gateway import token_file
from swell.errors import InvalidError, NotFoundError, RemoteError
from swell.sdk.connection.output import PlainOutput
from swell.wire import apps as a
from swell.wire import messages as m
from swell.wire import queries as i

FORGED = "FORGED LINE"
MARKUP = "[red]r[/red][link=http://evil]l[/link]:warning:"
#: Colours, cursor, screen, clipboard, title, hyperlink, DCS, a question that is answered, C1, keyboard protocol, bell,
#: backspace, carriage return, a line, a tab, bidirectional overrides and isolates, separators of lines, half a pair.
HOSTILE = (
    "h\x1b[31mred\x1b[2J\x1b[1A\x1b]52;c;aGk=\x07\x1b]0;t\x1b\\\x1b]8;;http://evil\x07x\x1bP$q\x1b\\\x1b[6n\x9b2J\x9d0;t\x9c"
    f"\x1b[>4;2m\x08\x08\r\r\n\n{FORGED}\t\u202e\u2066\u200f\u2028\u2029\x7f\x00\x85{MARKUP}\udc9b"
)
#: What a program may write: all but what no UTF-8 has.
WRITTEN = HOSTILE.removesuffix("\udc9b")

SGR = re.compile(r"\x1b\[[0-9;]*m")
CONTAINER = "ta-" + "x" * 26 + HOSTILE

ANSWERS: dict[type, type[Any]] = {
    i.GetStatus: i.Status,
    i.ListApps: i.AppList,
    i.DescribeApp: i.AppDescription,
    i.ListVersions: i.VersionList,
    i.ListContainers: i.ContainerList,
    i.StopContainer: m.Done,
    i.InspectCall: i.CallReport,
    i.AskStory: i.Story,
    a.FindApp: a.AppFound,
    a.TagApp: m.Done,
    a.StopApp: m.Done,
    a.RedeployApp: a.Deployed,
}


class Screen(io.StringIO):
    """A stream that is a terminal, or is none."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def content(self) -> str:
        """Return what was written, after checking that a terminal obeys nothing of it but our colours."""
        written = self.getvalue()
        plain = SGR.sub("", written) if self.is_terminal else written
        obeyed = {c for c in plain if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in "\u202e\u2066\u200f"}
        assert obeyed <= {"\n", "\t"}, f"{obeyed} in {plain!r}"
        return plain


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def screens(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Screen, Screen]:
    """What stands in for stdout and stderr."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "2000")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen(request.param), Screen(request.param)


def hostile(kind: Any, depth: int = 0) -> Any:
    """Return a value of a type in which every text is hostile."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is str or kind is Any:
        return HOSTILE
    if kind is bytes:
        return b"\x1b"
    if origin in (Union, types.UnionType):
        return hostile(next(each for each in arguments if each not in (type(None), msgspec.UnsetType)), depth)
    if origin is list:
        return [hostile(arguments[0], depth + 1)]
    if origin is tuple:
        return (hostile(arguments[0], depth + 1),)
    if origin is dict:
        return {hostile(arguments[0]): hostile(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return kind(**{name: hostile(hints[name], depth + 1) for name in kind.__struct_fields__})
    return kind(1)


class Server:
    """A server all of whose words are hostile; a link to it, too."""

    address = f"unix:{HOSTILE}"

    def __init__(self, change: Callable[[Any], Any]) -> None:
        self.change = change

    def blocking_link(self) -> Server:
        return self

    def next_request(self) -> int:
        return 1

    async def request(self, _number: int, question: m.Message) -> tuple[Any, bytes]:
        return self.change(hostile(ANSWERS[type(question)])), b""


@contextmanager
def shown_on(screens: tuple[Screen, Screen]) -> Iterator[None]:
    """Let the screens be stdout and stderr. Not in the fixture: pytest puts its own there before the test begins."""
    with redirect_stdout(screens[0]), redirect_stderr(screens[1]):
        yield


def run(screens: tuple[Screen, Screen], *arguments: str) -> None:
    with shown_on(screens), suppress(SystemExit):
        main(list(arguments))


def as_it_is(answer: Any) -> Any:
    return answer


def deployed(answer: Any) -> Any:
    """Give apps the state without which some commands do nothing."""
    if isinstance(answer, i.AppList):
        rows = [msgspec.structs.replace(row, state="deployed", version=3) for row in answer.apps]
        return msgspec.structs.replace(answer, apps=rows)
    return answer


def going_on(answer: Any) -> Any:
    return msgspec.structs.replace(answer, ended_at=None) if isinstance(answer, i.CallReport) else answer


def twice(answer: Any) -> Any:
    """Have two apps of one name."""
    if isinstance(answer, i.AppList):
        rows = [msgspec.structs.replace(answer.apps[0], app_id=f"{HOSTILE}{n}", state="x") for n in range(2)]
        return msgspec.structs.replace(answer, apps=rows)
    return answer


COMMANDS: list[tuple[list[str], Callable[[Any], Any]]] = [
    (["status"], as_it_is),
    (["app", "list"], as_it_is),
    (["app", "show", HOSTILE], as_it_is),
    (["app", "show", HOSTILE], deployed),
    (["app", "show", HOSTILE], twice),
    (["app", "show", f"another {HOSTILE}"], as_it_is),
    (["app", "tag", HOSTILE], as_it_is),
    (["app", "tag", HOSTILE, f"{HOSTILE}=x"], as_it_is),
    (["app", "tag", HOSTILE, HOSTILE], as_it_is),
    (["app", "stop", HOSTILE], deployed),
    (["app", "stop", HOSTILE, "--yes"], deployed),
    (["app", "history", HOSTILE], as_it_is),
    (["app", "rollback", HOSTILE], deployed),
    (["app", "rollback", HOSTILE], as_it_is),
    (["app", "rollback", HOSTILE, HOSTILE], deployed),
    (["app", "rollover", HOSTILE], deployed),
    (["container", "list"], as_it_is),
    (["container", "list", "--all"], as_it_is),
    (["container", "stop", CONTAINER], as_it_is),
    (["container", "stop", HOSTILE], as_it_is),
    (["call", "show", f"fc-{HOSTILE}"], as_it_is),
    (["call", "show", HOSTILE], as_it_is),
    (["call", "cancel", f"fc-{HOSTILE}"], as_it_is),
    (["call", "result", f"fc-{HOSTILE}", "--index", "5"], as_it_is),
    (["why", HOSTILE], as_it_is),
    (["dashboard"], as_it_is),
    (["config"], as_it_is),
    (["run", HOSTILE], as_it_is),
    (["run", f"{HOSTILE}.py::{HOSTILE}"], as_it_is),
    (["serve", f"-m{HOSTILE}"], as_it_is),
    (["deploy", HOSTILE, f"--strategy={HOSTILE}"], as_it_is),
    ([HOSTILE], as_it_is),
    (["app", HOSTILE], as_it_is),
    ([f"--{HOSTILE}"], as_it_is),
    (["container", "list", f"--{HOSTILE}"], as_it_is),
]


@pytest.mark.parametrize(
    ("arguments", "change"),
    COMMANDS,
    ids=[str(n) for n in range(len(COMMANDS))],
)
def test_no_command_prints_what_a_terminal_obeys(
    arguments: list[str],
    change: Callable[[Any], Any],
    screens: tuple[Screen, Screen],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc, "daemon_client", lambda: Server(change))
    monkeypatch.setenv("SWELL_DATA_DIR", "/nowhere/\x1b[2J\n\u202e")
    run(screens, *arguments)
    out, err = screens[0].content(), screens[1].content()
    assert out or err
    assert not any(line.strip().startswith(FORGED) for line in out.splitlines()), "a name began a line"


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["app", "list"], ["app", "show", HOSTILE], ["why", HOSTILE]],
    ids=list("0123"),
)
def test_json_is_for_programs_and_means_what_was_sent(
    arguments: list[str], screens: tuple[Screen, Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "daemon_client", lambda: Server(as_it_is))
    run(screens, *arguments, "--json")
    assert HOSTILE in list(texts_in(msgspec.json.decode(screens[0].content().replace("\\udc9b", "?")), "?"))


def texts_in(value: Any, last: str) -> Iterator[str]:
    match value:
        case str():
            yield value.removesuffix(last) + "\udc9b"
        case list():
            for each in value:
                yield from texts_in(each, last)
        case dict():
            for each in value.values():
                yield from texts_in(each, last)
        case _:
            return


# ---------------------------------------------------------------- logs, progress, errors


def test_logs_are_shown_with_their_colours_and_nothing_else(
    screens: tuple[Screen, Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = hostile(i.LogEntry)
    payload = f"{WRITTEN}\n{WRITTEN}\n".encode("utf-8", "replace")
    monkeypatch.setattr(logs, "_entries", lambda _question: iter([(entry, payload)]))
    with shown_on(screens):
        logs.print_logs("ap-1", logs.Reading(timestamps=True, show_container_id=True, show_function_call_id=True))
    lines = screens[0].content().splitlines()
    assert all("|" in line for line in lines), "no line is without the name of its container"
    assert ("\x1b[31mred" in screens[0].getvalue()) is screens[0].is_terminal


@pytest.mark.parametrize("make", [PlainOutput, lambda: Display(HOSTILE, quiet=True)], ids=["sdk", "cli"])
def test_what_a_run_shows(make: Callable[[], Any], screens: tuple[Screen, Screen]) -> None:
    with shown_on(screens):
        output = make()
        for stream in ("stdout", "stderr", "system", HOSTILE):
            output.log(m.Log(HOSTILE, HOSTILE, HOSTILE, stream), f"{WRITTEN}\n")
        output.notice(HOSTILE)
        if isinstance(output, Display):
            output.output("stdout", f"{WRITTEN}\n")
            output.output("stderr", WRITTEN)
    assert screens[0].content()
    assert screens[1].content()


def test_the_board_shows_markup_as_it_is(screens: tuple[Screen, Screen]) -> None:
    from swell.cli.show.terminal import console

    run_progress = RunProgress(HOSTILE, lambda: 1.0)
    run_progress.update(
        m.Progress(
            "ap-1",
            [
                m.FunctionProgress(
                    function_name=HOSTILE,
                    starting=1,
                    running=1,
                    idle=1,
                    backlog=1,
                    running_inputs=1,
                    done=1,
                    total=1,
                    note=HOSTILE,
                )
            ],
        )
    )
    run_progress.map_started("map", HOSTILE)
    console(screens[0], width=2_000).print(run_progress.table())
    for line in run_progress.lines():
        screens[1].write(f"{line}\n")
    assert screens[0].content().count(MARKUP) == 4
    assert screens[1].content().count(MARKUP) == 3


def _group() -> BaseException:
    return ExceptionGroup(HOSTILE, [ValueError(HOSTILE), KeyError(HOSTILE)])


def _far_away() -> BaseException:
    frame: dict[str, Any] = {}
    code = compile("def f():\n    raise ValueError(text)\n", f"<ta-{HOSTILE}>:{HOSTILE}".replace("\0", ""), "exec")
    exec(code, {"text": HOSTILE}, frame)
    try:
        frame["f"]()
    except ValueError as error:
        return error
    raise AssertionError


def _noted() -> BaseException:
    error = ValueError("x")
    error.add_note(HOSTILE)
    return error


ERRORS: list[Callable[[], BaseException]] = [
    lambda: InvalidError(HOSTILE),
    lambda: NotFoundError(HOSTILE),
    lambda: RemoteError(HOSTILE),
    lambda: ValueError(HOSTILE),
    lambda: SyntaxError(HOSTILE, (HOSTILE, 1, 1, HOSTILE)),
    lambda: type(HOSTILE.replace("\0", "").replace("\udc9b", ""), (Exception,), {})(HOSTILE),
    _group,
    _far_away,
    _noted,
]


@pytest.mark.parametrize("error", ERRORS, ids=[str(n) for n in range(len(ERRORS))])
@pytest.mark.parametrize("everything", ["0", "1"])
def test_errors_are_shown_escaped(
    error: Callable[[], BaseException],
    everything: str,
    screens: tuple[Screen, Screen],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWELL_TRACEBACK", everything)
    with shown_on(screens):
        report(error())
    assert screens[1].content()


def test_an_edition_that_cannot_be_loaded_is_shown_escaped(screens: tuple[Screen, Screen]) -> None:
    from swell.cli.failure import panel
    from swell.cli.show.addresses import created_line

    created = Created({HOSTILE: HOSTILE}, HOSTILE)
    with shown_on(screens):
        display = Display(HOSTILE, quiet=True)
        display.show(panel(NotLoaded(HOSTILE, []).text))
        display.notice(created.trouble)
        for name, url in created.urls.items():
            display.notice(created_line(name, url))
    assert screens[1].content()


def test_tokens_have_names_that_can_be_shown(
    screens: tuple[Screen, Screen], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("SWELL_DATA_DIR", str(tmp_path / "data"))
    run(screens, "token", "create", "--name", HOSTILE)
    assert "Invalid name of a token" in screens[1].content()
    made, _ = token_file.create(proxy_tokens_path(Settings.load()), "plain")
    path = proxy_tokens_path(Settings.load())
    odd = msgspec.structs.replace(made, name=WRITTEN)
    with suppress(click.ClickException), open(path, "wb") as file:
        file.write(msgspec.json.encode([odd]))  # by an older version
    run(screens, "token", "list")
    assert MARKUP in screens[0].content()
