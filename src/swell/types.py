"""Public types that appear in answers: states of inputs.

This module must not know who answers.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["InputStatus"]


class InputStatus(IntEnum):
    """State of one input, as a call graph shows it."""

    PENDING = 0
    SUCCESS = 1
    FAILURE = 2
    TERMINATED = 3
    TIMEOUT = 4
    INIT_FAILURE = 5

    @classmethod
    def _missing_(cls, value: object) -> InputStatus:
        return cls.PENDING  # a number that only a newer server knows
