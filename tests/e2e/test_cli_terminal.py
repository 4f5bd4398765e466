"""A program that writes what a terminal obeys: the person at the terminal sees it, and the terminal does not."""

from __future__ import annotations

import re

import pytest
from place import Place
from terminal import on_a_terminal

HOSTILE = r"""
import swell

app = swell.App("hostile")

@app.function()
def write() -> str:
    print("\x1b]52;c;aGVsbG8=\x07clipboard \x1b[2J\x1b[Hcleared \x9b2J \u202ereversed", flush=True)
    print("covered\rcovering\b\b\b", flush=True)
    print("\x1b[1;32mgreen", flush=True)
    print("plain", flush=True)
    raise ValueError("\x1b]0;title\x07 of an error\u202e")

@app.function()
def load() -> None: ...

print("\x1b[2J\x1b[33mimported\x9b", flush=True)

@app.local_entrypoint()
def main():
    write.remote()
"""

SHOWN = (
    r"\x1b]52;c;aGVsbG8=\x07clipboard \x1b[2J\x1b[Hcleared \x9b2J \u202ereversed",
    r"| covered",
    r"| covering\x08\x08\x08",
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: What rich writes to redraw its board: the cursor hidden and shown, up, to the left, and the line erased.
REDRAWN = re.compile(r"\x1b\[(\?25[lh]|\d*A|\d*[GK]|2K)|\r")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(scope="module")
def hostile(deployed: Place) -> Place:
    """A place where containers have written what a terminal obeys."""
    (deployed.folder / "hostile.py").write_text(HOSTILE)
    deployed.told("deploy", "hostile.py")
    deployed.python("try: swell.Function.from_name('hostile', 'write').remote()\nexcept ValueError: pass")
    deployed.eventually(lambda: "plain" in deployed.told("app", "logs", "hostile"))
    return deployed


def check(screen: str) -> None:
    """Check what stands on a screen, without our own colours and movements."""
    plain = REDRAWN.sub("", COLOUR.sub("", screen))
    assert not CONTROL.findall(plain), plain
    for text in SHOWN:
        assert text in plain


def test_logs_on_a_terminal_keep_their_colours_only(hostile: Place) -> None:
    screen, code = on_a_terminal(hostile.folder, "app", "logs", "hostile", columns=300, environment=hostile.environment)
    assert code == 0
    check(screen)
    assert "\x1b[1;32mgreen\x1b[0m" in screen


def test_logs_in_a_file_have_not_even_these(hostile: Place) -> None:
    told = hostile.told("app", "logs", "hostile")
    assert not CONTROL.findall(told)
    for text in (*SHOWN, "| green", "| plain"):
        assert text in told


def test_a_run_shows_logs_and_its_error_escaped(hostile: Place) -> None:
    screen, code = on_a_terminal(
        hostile.folder, "run", "-q", "hostile.py", columns=300, environment=hostile.environment
    )
    assert code == 1
    own, _, theirs = screen.partition("imported\x9b")
    assert own == "\x1b[2J\x1b[33m", "what the program prints here is its own business"
    check(theirs)
    assert r"ValueError: \x1b]0;title\x07 of an error\u202e" in theirs
