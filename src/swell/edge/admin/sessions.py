"""Logins to the dashboard: tokens that work once, and the sessions of browsers.

A link with a token may stay in a browser's history or a terminal's scrollback; the admin token must not. This module
must not know HTTP.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from time import monotonic
from typing import Final

__all__ = ["LOGIN_S", "SESSION_S", "Sessions"]

LOGIN_S: Final = 600.0  #: how long a token for a login works
SESSION_S: Final = 30 * 86_400.0  #: how long a browser stays logged in, if this process lives so long
TOKENS_MAX: Final = 256  #: unspent tokens; the oldest are dropped
SESSIONS_MAX: Final = 1_024  #: browsers that are logged in; the oldest are dropped


class Sessions:
    """Tokens and sessions. Both are kept as digests, so that the time of a lookup reveals nothing.

    Args:
        now: Returns seconds of any clock.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._tokens = _Expiring(TOKENS_MAX)
        self._sessions = _Expiring(SESSIONS_MAX)

    def mint(self) -> str:
        """Return a token that logs in one browser, once, within `LOGIN_S`."""
        return self._tokens.add(self._now(), LOGIN_S)

    def is_unspent(self, token: str) -> bool:
        """Return whether the token would log in a browser now."""
        return self._tokens.has(token, self._now())

    def login(self, token: str) -> str | None:
        """Spend a token; return the cookie of a new session, None if the token is spent, old or unknown."""
        if not self._tokens.take(token, self._now()):
            return None
        return self._sessions.add(self._now(), SESSION_S)

    def knows(self, cookie: str) -> bool:
        """Return whether the cookie is that of a session."""
        return self._sessions.has(cookie, self._now())

    def logout(self, cookie: str) -> None:
        """End a session, if there is one."""
        self._sessions.take(cookie, self._now())


class _Expiring:
    """Random secrets with an expiry."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._until: dict[bytes, float] = {}  # by digest, the oldest first

    def add(self, now: float, lasts_s: float) -> str:
        """Create a secret and return it."""
        while self._until and (len(self._until) >= self._count_max or next(iter(self._until.values())) <= now):
            del self._until[next(iter(self._until))]
        secret = secrets.token_urlsafe(32)
        self._until[_digest(secret)] = now + lasts_s
        return secret

    def has(self, secret: str, now: float) -> bool:
        return self._until.get(_digest(secret), now) > now

    def take(self, secret: str, now: float) -> bool:
        """Remove a secret; return whether it was still valid."""
        return self._until.pop(_digest(secret), now) > now


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
