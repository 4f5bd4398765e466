"""The cookie by which a browser is logged in to the dashboard: who sets it and who must not pass it on share its name.

This module must not know what a session is.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SESSION_COOKIE"]

SESSION_COOKIE: Final = "swell_session"
