"""Crash points: the boundaries between two effects at which the simulated server is killed.

This module must not know effects.
"""

from __future__ import annotations

__all__ = ["CrashPoints", "ServerKilled"]


class ServerKilled(Exception):
    """The server is killed here: its pending effects never happen."""


class CrashPoints:
    """Counts the boundaries between effects, and kills the server at some of them."""

    def __init__(self, crash_points: tuple[int, ...]) -> None:
        self._points = set(crash_points)
        self._is_over = False
        self.passed = 0

    def boundary(self) -> None:
        """Pass one boundary.

        Raises:
            ServerKilled: it is a crash point.
        """
        if self._is_over:
            return
        self.passed += 1
        if self.passed in self._points:
            raise ServerKilled

    def end(self) -> None:
        """Count no more, and kill no more."""
        self._is_over = True
