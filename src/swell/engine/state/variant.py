"""What makes a pool a variant of another: its base, its changes, and since when it has been idle.

This module must not know how many variants there may be, or what becomes of an idle one.
"""

from __future__ import annotations

__all__ = ["Variant"]


class Variant:
    """A function with other parameters or options than its base."""

    __slots__ = ("base_id", "changes", "idle_at", "is_public")

    def __init__(self, base_id: str, changes: bytes, *, is_public: bool) -> None:
        self.base_id = base_id  #: the function that it is a variant of
        self.changes = changes  #: what it changes of that, encoded
        self.is_public = is_public  #: only requests over HTTP have asked for it
        self.idle_at: float | None = None  #: since when it has been idle; None if it is not

    def mark_bound(self) -> None:
        """Note that a program has bound it: it is not public any more."""
        self.is_public = False

    def mark_idle(self, now: float) -> float:
        """Note that it is idle; return since when it has been."""
        if self.idle_at is None:
            self.idle_at = now
        return self.idle_at

    def mark_busy(self) -> None:
        """Note that it has containers or calls."""
        self.idle_at = None
