"""The pause between starts of containers that keep failing. This module must not know containers or clocks."""

from __future__ import annotations

__all__ = ["StartBackoff"]

BACKOFF_MAX_S = 60.0
DOUBLINGS_MAX = 10  #: of the first pause; keeps the power finite


class StartBackoff:
    """Failed starts in a row, and when the next start may be tried: 1, 2, 4, … times the first pause, up to 60 s."""

    __slots__ = ("failures", "not_before", "why")

    def __init__(self) -> None:
        self.failures = 0
        self.not_before = 0.0
        self.why = ""  #: the last one failed

    def failed(self, why: str, now: float, first_s: float) -> None:
        """Count a failed start; after the first in a row, wait `first_s` seconds."""
        self.failures += 1
        self.why = why
        self.not_before = now + min(BACKOFF_MAX_S, first_s * 2 ** min(self.failures - 1, DOUBLINGS_MAX))

    def succeeded(self) -> None:
        """Forget the failures: a container has started."""
        self.why = ""
        self.failures = 0
        self.not_before = 0.0
