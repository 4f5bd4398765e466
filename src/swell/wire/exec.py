"""What `swell container exec` and a command that runs beside a container tell each other.

Their words are frames in a stream of bytes, which passes servers and agents unread. Either side may have sent WINDOW
bytes that the other has not taken care of, so nothing in between has to hold back more than that: a user who does not
read stops the command, and a command that does not read stops the user. This module must not know processes, terminals
or connections.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from swell.bounds import Integer, Text, Variables
from swell.wire.codec import FrameDecoder

__all__ = [
    "WINDOW",
    "Ended",
    "Input",
    "Output",
    "Read",
    "Refused",
    "Resize",
    "Run",
    "Signal",
    "ToCommand",
    "ToUser",
    "Took",
    "for_command",
    "for_user",
]

WINDOW: Final = 256 << 10  #: bytes of one direction that may be on their way
WORD_MAX: Final = 4 << 20  #: bytes of one word: twice what the kernel takes as arguments and variables of a program

Arguments = Annotated[list[bytes], Meta(min_length=1, max_length=100_000)]
Bytes = Annotated[int, Meta(ge=1, le=WINDOW)]
Lines = Annotated[int, Meta(ge=0, le=65_535)]  #: or columns, of a terminal


class Word(Struct, array_like=True, frozen=True, gc=False):
    """What one of the two tells the other."""


# ---------------------------------------------------------------- to the command


class Run(Word, frozen=True, tag=1):
    """Begin: the first word, sent once."""

    command: Arguments
    variables: Variables  #: of the user's terminal; they override those of the container
    terminal: tuple[Lines, Lines] | None  #: lines and columns of the one that the command gets; None: it gets pipes


class Input(Word, frozen=True, tag=2):
    """Bytes for the command to read, as the payload."""

    is_last: bool = False


class Read(Word, frozen=True, tag=3):
    """The user has read so many bytes of output: as many more may be sent."""

    count: Bytes


class Resize(Word, frozen=True, tag=4):
    """The terminal has another size."""

    lines: Lines
    columns: Lines


class Signal(Word, frozen=True, tag=5):
    """Send the command's process group a signal."""

    number: Annotated[int, Meta(ge=1, le=64)]


# ---------------------------------------------------------------- to the user


class Output(Word, frozen=True, tag=20):
    """Bytes that the command has written, as the payload."""

    stream: Annotated[int, Meta(ge=1, le=2)]  #: 1: stdout, or its terminal; 2: stderr


class Took(Word, frozen=True, tag=21):
    """The command has taken so many bytes of input, or takes no more: as many more may be sent."""

    count: Bytes


class Ended(Word, frozen=True, tag=22):
    """The command has ended, and this is the last word."""

    status: Integer  #: its exit code, or minus the signal that killed it


class Refused(Word, frozen=True, tag=23):
    """The command cannot be started, or goes on no more; `text` says why. The last word."""

    text: Text


ToCommand = Run | Input | Read | Resize | Signal
ToUser = Output | Took | Ended | Refused


def for_command() -> FrameDecoder[ToCommand]:
    """Return a decoder of words to a command."""
    return FrameDecoder(msgspec.msgpack.Decoder(ToCommand), WINDOW, WORD_MAX)


def for_user() -> FrameDecoder[ToUser]:
    """Return a decoder of words to its user."""
    return FrameDecoder(msgspec.msgpack.Decoder(ToUser), WINDOW, WORD_MAX)
