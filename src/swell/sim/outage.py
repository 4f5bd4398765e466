"""When the server is killed: at which of all the moments between two things that it does.

This module must not know what it does.
"""

from __future__ import annotations

__all__ = ["Outages", "ServerKilled"]


class ServerKilled(Exception):
    """The server is killed here: nothing that it was about to do happens."""


class Outages:
    """Counts the moments between effects, and strikes at some of them."""

    def __init__(self, strikes: tuple[int, ...]) -> None:
        self._strikes = set(strikes)
        self._is_over = False
        self.passed = 0

    def boundary(self) -> None:
        """Pass one moment.

        Raises:
            ServerKilled: it is one of those.
        """
        if self._is_over:
            return
        self.passed += 1
        if self.passed in self._strikes:
            raise ServerKilled

    def end(self) -> None:
        """Count and strike no more."""
        self._is_over = True
