"""What a test and its containers tell each other, through a directory: notes in order, and signals to wait for.

User code under test imports it; it must not know swell.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

PATIENCE_S = 100.0  #: less than a test may take on a quiet machine, so that it is told what was waited for


def _directory() -> Path:
    return Path(os.environ["BOARD"])


def note(*words: object) -> None:
    """Write a line; lines of several processes never mix."""
    line = " ".join(str(word) for word in words) + "\n"
    with (_directory() / "notes").open("ab", buffering=0) as file:
        file.write(line.encode())


def notes(topic: str = "") -> list[str]:
    """What was noted since the board was wiped, oldest first; with a topic, what follows it as a line's first word."""
    file = _directory() / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.removeprefix(topic).strip() for line in lines if line.split()[0] == topic] if topic else lines


def give(signal: str) -> None:
    """Let whoever waits for a signal go on."""
    (_directory() / f"signal-{signal}").touch()


def given(signal: str) -> bool:
    """True if a signal was given."""
    return (_directory() / f"signal-{signal}").exists()


def wait_for(signal: str) -> None:
    """Wait until a signal is given."""
    deadline = time.monotonic() + PATIENCE_S
    while not given(signal):
        assert time.monotonic() < deadline, f"nobody gave the signal {signal!r}; noted so far: {notes()}"
        time.sleep(0.002)


def wait_for_note(*lines: str) -> None:
    """Wait until every one of these lines is noted."""
    deadline = time.monotonic() + PATIENCE_S
    while not set(lines) <= set(notes()):
        assert time.monotonic() < deadline, f"nobody noted all of {lines}; noted so far: {notes()}"
        time.sleep(0.002)


def wait_for_count(topic: str, count: int = 1) -> None:
    """Wait until so many lines are noted on a topic."""
    deadline = time.monotonic() + PATIENCE_S
    while len(notes(topic)) < count:
        assert time.monotonic() < deadline, f"fewer than {count} notes on {topic!r}; noted so far: {notes()}"
        time.sleep(0.002)


def count_up(counter: str) -> int:
    """Add one to a counter that all processes share; return what it was before."""
    number = 0
    while True:
        try:
            (_directory() / f"counter-{counter}-{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return number


def wipe() -> None:
    """Forget everything."""
    for file in _directory().iterdir():
        file.unlink()
