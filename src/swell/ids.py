"""Ids: their prefixes and form, and what may be one. Said once for SDK, engine and edge.

An id is a prefix, which says what it names, and 22 or 26 letters and digits. Those of apps are random: the caller hands
the randomness in. Those of calls begin with the time, and are random in the rest. Those of functions, containers and
scheduled runs are the engine's, which derives them (`swell.engine.ids`). The id of an input is that of its call, and
its index: `fc-…` has `in-…:0`, `in-…:1`, and so on.

A bundle is named by the digest of its files. Clients make the ids of their apps and calls, and files are named after
them: `id_problem` refuses one that would lead elsewhere. Pure. This module must not know what is done with an id.
"""

from __future__ import annotations

import re
from typing import Final

from swell.bounds import whole_number

__all__ = [
    "APP",
    "APP_ID",
    "CALL",
    "CALL_LEASE",
    "CALL_RANDOM_BYTES",
    "CONTAINER",
    "CONTAINER_LENGTH",
    "FUNCTION",
    "INPUT",
    "RANDOM_BYTES",
    "call_and_index",
    "call_id",
    "id_problem",
    "input_id",
    "is_digest",
    "random_id",
]

APP: Final = "ap-"
CALL: Final = "fc-"
CALL_LEASE: Final = "cl-"
CONTAINER: Final = "ta-"
FUNCTION: Final = "fu-"
INPUT: Final = "in-"

RANDOM_BYTES: Final = 11  #: of a random id: enough that none is ever drawn twice
CALL_RANDOM_BYTES: Final = 8  #: of a call's id: enough that nobody guesses one, and no two of one millisecond are equal
CONTAINER_LENGTH: Final = len(CONTAINER) + 26
APP_ID: Final = re.compile(rf"{APP}[A-Za-z0-9]{{22}}")

_DIGEST: Final = re.compile("[0-9a-f]{64}", re.ASCII)
_FROM_A_CLIENT: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


def random_id(prefix: str, random: bytes) -> str:
    """Return the id of an app from RANDOM_BYTES random bytes: the prefix and 22 hexadecimal digits."""
    return prefix + random.hex()


def call_id(now_ms: int, random: bytes) -> str:
    """Return the id of a call made at that time, from CALL_RANDOM_BYTES random bytes: 22 hexadecimal digits.

    The first six are the milliseconds modulo 2**24, about 4.7 hours. So ids made one after another are neighbours: a
    database that sorts by them writes into the page it wrote into last, not into one that it must find and read first.
    """
    return f"{CALL}{now_ms & 0xFFFFFF:06x}{random.hex()}"


def input_id(call_id: str, index: int) -> str:
    """Return the id of input `index` of a call."""
    return f"{call_id.replace(CALL, INPUT, 1)}:{index}"


def call_and_index(written: str) -> tuple[str, int | None]:
    """Return the call that an id of a call ("fc-…") or of an input ("in-…:7") means, and the input's index."""
    name, _, index = written.partition(":")
    return CALL + name[len(CALL) :], whole_number(index)


def is_digest(written: str) -> bool:
    """Tell whether a text can be the digest of a bundle, which is its name."""
    return _DIGEST.fullmatch(written) is not None


def id_problem(written: str, of: str) -> str:
    """Return why an id that a client made cannot be that of `of`, as in "a call"; "" if it can."""
    if _FROM_A_CLIENT.fullmatch(written):
        return ""
    return f"{written!r:.200} is not the id of {of}: 1 to 100 letters, digits, '-' and '_'"
