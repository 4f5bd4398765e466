"""What clients call their apps and calls. Files are named after it, so that it must not lead anywhere.

This module must not know what is done with an id.
"""

from __future__ import annotations

import re

__all__ = ["id_problem"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


def id_problem(written: str, of: str) -> str:
    """Return why a client's word cannot be the id of something, as in "a call"; "" if it can."""
    if _ID.fullmatch(written):
        return ""
    return f"{written!r:.200} is not the id of {of}: 1 to 100 letters, digits, '-' and '_'"
