"""The bounds of options: how large a number may be that somebody chooses for a function, written once.

The decorators, the JSON API and the server's validation of specs read them here. `swell.bounds` says which numbers a
message can carry at all, whatever they mean. This module must not know who checks, or in which words.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "BACKOFF",
    "BATCH_SIZE",
    "BATCH_WAIT_MS",
    "CONTAINERS",
    "CORES",
    "GPUS",
    "MAX_INPUTS",
    "RETRY_DELAY_MAX_S",
    "RETRY_DELAY_S",
    "SCALEDOWN_WINDOW_S",
    "STORED_BACKOFF",
    "STORED_RETRY_DELAY_S",
    "STORED_SCALEDOWN_WINDOW_S",
    "TIMEOUT_S",
    "Bounds",
]


class Bounds(NamedTuple):
    """The least and the largest value, both allowed."""

    least: int
    most: int


TIMEOUT_S: Final = Bounds(1, 86_400)  #: of an attempt, and of a start
MAX_INPUTS: Final = Bounds(1, 1_000)  #: of one container at once
BATCH_SIZE: Final = Bounds(1, 1_000)  #: inputs
BATCH_WAIT_MS: Final = Bounds(0, 600_000)
CONTAINERS: Final = Bounds(0, 1_000_000)  #: of one function, where the JSON API sets them
CORES: Final = Bounds(0, 1_000_000)  #: that a container asks for
GPUS: Final = Bounds(1, 1_000)  #: of one kind that a container asks for

# Where a program may choose less than the server takes, specs with the wider values are stored and must be read.
SCALEDOWN_WINDOW_S: Final = Bounds(2, 3_600)
STORED_SCALEDOWN_WINDOW_S: Final = Bounds(1, 3_600)
RETRY_DELAY_S: Final = Bounds(0, 60)  #: before the first retry
RETRY_DELAY_MAX_S: Final = Bounds(1, 60)  #: before any retry
STORED_RETRY_DELAY_S: Final = Bounds(0, 86_400)
BACKOFF: Final = Bounds(1, 10)
STORED_BACKOFF: Final = Bounds(1, 1_000)
