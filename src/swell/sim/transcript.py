"""Everything an engine was told and decided, as bytes: to compare two histories, or to repeat one.

This module must not know where events come from.
"""

from __future__ import annotations

import hashlib

import msgspec

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import Effect, Event

__all__ = ["Transcript", "repeat"]

_encoder = msgspec.msgpack.Encoder()

Line = tuple[float, Event | None, bytes]  #: when, what happened (None: a tick), and all effects


class Transcript:
    """Writes down events and effects as they pass. Its `digest` is equal for equal histories."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def write(self, now: float, event: Event | None, effects: list[Effect]) -> None:
        """Note one event and what was decided on it."""
        self.lines.append((now, event, as_bytes(effects)))

    @property
    def digest(self) -> str:
        """A fingerprint of all events and effects, in order."""
        state = hashlib.sha256()
        for now, event, effects in self.lines:
            state.update(_encoder.encode((now, type(event).__name__, event)))
            state.update(effects)
        return state.hexdigest()


def as_bytes(effects: list[Effect]) -> bytes:
    """Return effects as bytes, with their kinds."""
    return b"".join(_encoder.encode((type(effect).__name__, effect)) for effect in effects)


def repeat(lines: list[Line], settings: Settings, seed: str) -> int | None:
    """Tell a new engine the same; return the number of the first line on which it decides otherwise, None if none."""
    engine = Engine(settings, seed)
    for number, (now, event, effects) in enumerate(lines):
        again = engine.tick(now) if event is None else engine.handle(event, now)
        if as_bytes(again) != effects:
            return number
    return None
