"""The name of the cookie of the dashboard's sessions: the admin port sets it, and the gateway must not pass it on.

This module must not know what a session is.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SESSION_COOKIE"]

SESSION_COOKIE: Final = "swell_session"
