"""How an error is shown at the terminal: its message, after the traceback from the first line of the user's code on.

Frames of swell and of the libraries below it are left out; those of a container stand behind a divider with its name.
SWELL_TRACEBACK=1 shows all frames. This module must not know commands.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from itertools import dropwhile, groupby
from typing import Final

from swell.cli.show import terminal
from swell.config import Settings
from swell.errors import Error, InvalidError
from swell.escaping import many_lines
from swell.sdk.connection.output import has_colour

__all__ = ["describe", "panel", "report", "text_of"]

_REMOTE: Final = re.compile(r"<(ta-[^>]*)>:(.*)", re.DOTALL)
_HERE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD: Final = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_PACKAGES: Final = ("site-packages", "dist-packages")

RULE: Final = 72  #: characters of a divider


def report(error: BaseException) -> None:
    """Print an error to stderr: in a red panel on a terminal, as plain lines elsewhere."""
    if _raw_wanted():
        terminal.text("".join(traceback.format_exception(error)).rstrip("\n"), err=True)
    else:
        terminal.styled(panel(describe(error)))


def text_of(error: BaseException) -> str:
    """Return the text of an error: that of `describe` or, with SWELL_TRACEBACK=1, the full traceback."""
    return "".join(traceback.format_exception(error)).rstrip("\n") if _raw_wanted() else describe(error)


def panel(text: str) -> str:
    """Return the text of an error for stderr: in a red panel on a terminal, as plain lines elsewhere.

    The text is escaped: the messages and the file names in it are written by others.
    """
    text = many_lines(text)
    if not has_colour(sys.stderr):
        lead = "" if text.startswith(("Traceback", " ")) else "Error: "  # a SyntaxError begins with its indented place
        return f"{lead}{text}\n"
    from rich.panel import Panel
    from rich.text import Text

    body = Text(text)
    body.highlight_regex(r"(?m)^── .*", "yellow")
    body.highlight_regex(r'(?m)^ +File "[^"]*", line \d+.*$', "cyan")
    return terminal.render(Panel(body, title="Error", title_align="left", border_style="red"), sys.stderr)


def describe(error: BaseException) -> str:
    """Return the text of an error: its message, after the traceback from the first frame of the user's code on."""
    return "\n".join(_told(error, traceback.TracebackException.from_exception(error, compact=True)))


def _raw_wanted() -> bool:
    try:
        return Settings.load().traceback
    except InvalidError:  # it may be the error to be shown
        return False


def _told(error: BaseException | None, told: traceback.TracebackException) -> Iterator[str]:
    """Yield the text of an error and of its causes; `told` is the standard library's view of it."""
    if told.__cause__ is not None:
        yield from _told(error and error.__cause__, told.__cause__)
        yield "\nThe above exception was the direct cause of the following exception:\n"
    elif told.__context__ is not None and not told.__suppress_context__:
        yield from _told(error and error.__context__, told.__context__)
        yield "\nDuring handling of the above exception, another exception occurred:\n"
    yield from _traced(error, told.stack)
    if isinstance(error, Error) and not _users_part(told.stack):
        yield str(error) or type(error).__name__
    else:
        yield "".join(told.format_exception_only()).rstrip("\n")
    inner_errors: Sequence[BaseException] = getattr(error, "exceptions", ()) if told.exceptions else ()
    for number, (inner_error, inner) in enumerate(zip(inner_errors, told.exceptions or (), strict=False), start=1):
        yield f"  ── exception {number} of {len(inner_errors)} ──"
        yield from (f"  {line}" for text in _told(inner_error, inner) for line in text.splitlines())


def _traced(error: BaseException | None, stack: traceback.StackSummary) -> Iterator[str]:
    """Yield the traceback: the frames of the user's code or, for a defect of swell, all of them."""
    frames = _users_part(stack)
    is_meant = isinstance(error, Error | SyntaxError)  # the text of a SyntaxError tells its place
    if not frames and not is_meant:
        frames = list(stack)
    if not frames:
        return
    yield "Traceback (most recent call last):"
    yield from _sections(frames)
    if _is_swell(stack[-1].filename) and not is_meant and frames[-1] is not stack[-1]:
        yield "  (SWELL_TRACEBACK=1 shows the frames of swell, too)"


def _users_part(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames from the first one of the user's code on, without those of swell in between."""
    users = dropwhile(lambda frame: _is_machinery(frame.filename), stack)
    return [frame for frame in users if not _is_swell(frame.filename)]


def _is_swell(filename: str) -> bool:
    return filename.startswith(_HERE)


def _is_machinery(filename: str) -> bool:
    if filename.startswith("<frozen ") or _is_swell(filename):
        return True
    parts = filename.split(os.sep)
    if any(name in parts for name in _PACKAGES):
        return "click" in parts
    return filename.startswith(_STANDARD)


def _sections(frames: list[traceback.FrameSummary]) -> Iterator[str]:
    """Yield the text of frames, with a divider wherever a container's begin or end."""
    was_away = False
    for container, group in groupby(frames, key=lambda frame: _place(frame)[0]):
        if container or was_away:
            yield f"── {f'in container {container}' if container else 'here'} ".ljust(RULE, "─")
        was_away = bool(container)
        summary = traceback.StackSummary.from_list([_at_home(frame) for frame in group])
        yield "".join(summary.format()).rstrip("\n")


def _place(frame: traceback.FrameSummary) -> tuple[str, str]:
    """Return the container ("" for this machine) and the file of a frame."""
    found = _REMOTE.match(frame.filename)
    return (found[1], found[2]) if found else ("", frame.filename)


def _at_home(frame: traceback.FrameSummary) -> traceback.FrameSummary:
    """Return the frame with its file as the container saw it, its source line kept."""
    container, file = _place(frame)
    if not container:
        return frame
    return traceback.FrameSummary(file, frame.lineno, frame.name, lookup_line=False, line=frame.line)
