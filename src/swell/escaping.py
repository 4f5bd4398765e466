r"""Escape untrusted text: characters that a terminal would execute become visible, all others stay as they are.

A terminal executes orders in the text it prints. ESC and the C1 controls begin sequences that move the cursor, fill the
clipboard (OSC 52), set the title, switch the keyboard to another protocol or have the terminal type an answer. A
carriage return or a backspace lets later text cover earlier text, and a bidirectional override shows text in another
order than it has. A line feed in a name begins a line that looks like one of swell's. So a log line, an exception's
message or an app's name could forge the text that a person at the terminal reads, and the command they type next.

All text is therefore escaped where it is printed, as Python writes it in a string literal: `\x1b`, `\u202e`. It is not
escaped where it is stored or sent: a program reads exact text. Three functions, by the kind of text:

    one_line   a name, an id, a cell, a message of one line: line feeds are escaped, too
    many_lines a message or a traceback: lines and tabs stay
    log_lines  output of a program: lines and tabs stay, its colours may, and a line that it rewrote becomes several

Colours are the one sequence that may pass, SGR with nothing but digits, ';' and ':' between `ESC [` and `m`. It changes
how text looks and nothing else, and is reset at the end of its line. `ESC [ > 4 ; 2 m`, which looks alike and switches
the keyboard, has another character in it and does not pass.

Nearly every text is printable as a whole, which `isprintable` finds ten times faster than a pattern: it comes first.

Pure functions. This module must not know the code that prints, or the terminal.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["json_document", "log_lines", "many_lines", "one_line"]

_C0_C1: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"  #: controls except tab and line feed
#: Arabic letter mark, left-to-right and right-to-left mark, line and paragraph separator, the embeddings and overrides,
#: the isolates, interlinear annotation and the invisible tag characters; and the surrogates, which are no characters.
_INVISIBLE: Final = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff"

_IN_TEXT: Final = re.compile(f"[{_C0_C1}{_INVISIBLE}]")
_IN_LINE: Final = re.compile(f"[{_C0_C1}{_INVISIBLE}\t\n]")
_IN_JSON: Final = re.compile(f"[\x7f-\x9f{_INVISIBLE}]")  # JSON has escaped the others

_SGR: Final = r"\x1b\[[0-9;:]{0,64}m"
_IN_COLOURED: Final = re.compile(f"({_SGR})|[{_C0_C1}{_INVISIBLE}]")
_COLOUR: Final = re.compile(_SGR)
_RESET: Final = "\x1b[0m"


def one_line(value: str) -> str:
    r"""Return a text as one line: every control character is escaped, line feeds and tabs among them.

    Example: "a\nb\x1b[2J" gives r"a\nb\x1b[2J".
    """
    return value if value.isprintable() else _IN_LINE.sub(_escaped, value)


def many_lines(value: str) -> str:
    r"""Return a text of several lines: line feeds and tabs stay, "\r\n" is a line feed, the rest is escaped."""
    return _IN_TEXT.sub(_escaped, value.replace("\r\n", "\n"))


def log_lines(value: str, *, colours: bool) -> list[str]:
    r"""Return the lines that a program wrote, without their line feeds.

    A carriage return ends a line as well: the text before it stays visible, and the text after it cannot overwrite the
    name of its container. A progress bar becomes a line for each of its states.

    Args:
        value: Whole lines; a line feed at the end ends the last one.
        colours: Let colours pass, until the end of their line. Otherwise they are left out.
    """
    found: list[str] = []
    for line in value.removesuffix("\n").split("\n"):
        if "\r" in line:
            found += [part for part in line.split("\r") if part] or [""]
        else:
            found.append(line)
    show = _coloured if colours else _plain
    return [line if line.isprintable() else show(line) for line in found]


def json_document(document: str) -> str:
    r"""Return an equal JSON text, with characters that a terminal would execute written as `\u` and four digits.

    JSON itself escapes only characters below the space. None of these characters is valid outside a string, so that all
    of them may be replaced.
    """
    return _IN_JSON.sub(_json_escaped, document)


def _plain(line: str) -> str:
    return _IN_TEXT.sub(_escaped, _COLOUR.sub("", line))


def _coloured(line: str) -> str:
    shown = _IN_COLOURED.sub(lambda found: found[1] or _escaped(found), line)
    return f"{shown}{_RESET}" if "\x1b" in shown else shown


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _json_escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
